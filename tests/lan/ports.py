"""UDP ports and senders for a test of broadcasts on loopback."""

import socket
from contextlib import contextmanager


@contextmanager
def a_mouth():
    """A socket that may broadcast."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        yield mouth


def free_ports():
    """Three UDP ports of one test alone: others may be broadcasting meanwhile."""
    with a_mouth() as one, a_mouth() as two, a_mouth() as three:
        for probe in (one, two, three):
            probe.bind(("", 0))
        return tuple(probe.getsockname()[1] for probe in (one, two, three))
