"""What runs inside a function's own process; nothing here is imported by the service."""
