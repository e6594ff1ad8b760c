"""A simulated property on loopback: a Stays server, Tuya hubs and locks that speak as real ones do.

Written from the references of the wire, not from the gateway's own client.
"""
