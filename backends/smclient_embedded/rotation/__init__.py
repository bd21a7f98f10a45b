"""Rotation without I/O: the states a rotation goes through, and when the next one is due."""
