"""By which names the gateway may be asked: against web pages whose name was turned to its address."""

import ipaddress
import re
import socket
from collections.abc import Iterable

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


class Hosts:
    """The names of this machine and of the configuration; addresses are always right.

    A page can have its own name resolve to any address, but it cannot choose the Host header.
    """

    def __init__(self, configured: Iterable[str]) -> None:
        own = socket.gethostname().lower()
        self._names = {"localhost", own, f"{own}.local", *(name.lower() for name in configured)}

    def allow(self, header: str) -> bool:
        """Is it a Host header that names this gateway?"""
        matched = _HOST.fullmatch(header)
        if matched is None:
            return False
        host = matched[1].strip("[]").lower().removesuffix(".")
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host in self._names or host.endswith(".localhost")
        return True
