"""Database backends that log in with the credentials of a secret, through its rotations."""
