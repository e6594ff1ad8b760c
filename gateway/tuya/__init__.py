"""Tuya locks over the local protocol: direct or behind a hub."""
