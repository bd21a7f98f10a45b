"""What no command shows that was not asked for a value."""

CANARY = "canary-value-c11"
