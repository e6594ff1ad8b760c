"""What the gateway decides, as pure functions and values: no IO, no clock, no framework."""
