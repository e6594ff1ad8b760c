"""The Stays.net External API, as far as the gateway reads it."""
