"""A small shop: every secret of it lives in Secrets Manager and is rotated while it serves."""
