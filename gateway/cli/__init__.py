"""The command line: `gateway`."""
