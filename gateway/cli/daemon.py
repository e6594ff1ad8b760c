"""Asks the running daemon over HTTP, with a token made from its signing secret."""

import asyncio
import getpass
import json
import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO

import aiohttp

from gateway.app import Paths, signing_secret
from gateway.cli.settings import EXIT_NO_DAEMON, fail
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.config.model import is_loopback
from gateway.errors import GatewayError
from gateway.web.auth import issue_token

_PATIENCE = 10.0  # seconds
_LONG_TIMEOUT = aiohttp.ClientTimeout(total=130)
_PIECE = 64 * 1024
_ELSEWHERE = ("192.0.2.1", 9)  # of the addresses for documentation
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon answered."""

    status: int
    body: Any

    def data(self) -> Any:
        """Its data; an error of the daemon ends the command."""
        if self.status >= 400:  # noqa: PLR2004 - HTTP's errors
            fail(f"the gateway answers: {self.body['error']['message']}")
        return self.body["data"]


class NoDaemonError(GatewayError):
    """Nothing answers on the configured port."""


def base_url(config: Config) -> str:
    """Where the daemon is asked from its own machine."""
    return f"http://{_EVERYWHERE.get(config.http.host, config.http.host)}:{config.http.port}"


def person() -> str:
    """Who types this command, for the audit trail: through `sudo` the one who did."""
    try:
        return f"cli:{os.environ.get('SUDO_USER') or getpass.getuser()}"
    except (KeyError, OSError):  # an account without a name
        return f"cli:{os.getuid()}"


def page_url(config: Config) -> str:
    """Where the page is for a browser, on another machine of the LAN if it is served there."""
    http = config.http
    if is_loopback(http.host):
        return base_url(config)
    host = _own_address() if http.host in _EVERYWHERE else http.host
    scheme = "http" if http.tls == "off" and http.tls_cert is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{http.port}"


def _own_address() -> str:
    """This machine's address on the LAN; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:  # no network
            return f"{socket.gethostname()}.local"
        address: str = probe.getsockname()[0]
        return address


def make_token(config: Config, paths: Paths, *, subject: str, ttl: timedelta) -> str:
    """An admin's token."""
    try:
        secret = signing_secret(config, paths)
    except GatewayError as error:
        fail(f"{error} (run it as the gateway's user or with sudo)")
    return issue_token(secret, subject=subject, ttl=ttl, now=SystemClock().now())


def ask(
    config: Config,
    paths: Paths,
    method: str,
    path: str,
    body: Any = None,
    *,
    patience: float = _PATIENCE,
) -> Answer:
    """One request to the daemon; without one the command ends with exit code 3."""
    try:
        return asyncio.run(request(config, paths, method, path, body, patience=patience))
    except NoDaemonError:
        fail(
            f"no gateway answers at {base_url(config)}: is it running? (systemctl status gateway)",
            EXIT_NO_DAEMON,
        )


async def download(config: Config, paths: Paths, path: str, target: BinaryIO) -> None:
    """Write what the daemon answers to a POST into `target`; an error of the daemon ends the command.

    Raises:
        NoDaemonError: nothing answers, or it stopped halfway.
        OSError: `target` cannot be written.
    """
    token = make_token(config, paths, subject=person(), ttl=timedelta(minutes=5))
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=_LONG_TIMEOUT, headers=headers) as session,
            session.post(base_url(config) + path) as response,
        ):
            if response.status != 200:  # noqa: PLR2004 - HTTP's OK
                Answer(response.status, json.loads(await response.text())).data()
            async for piece in response.content.iter_chunked(_PIECE):
                target.write(piece)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        raise NoDaemonError from None


async def request(
    config: Config,
    paths: Paths,
    method: str,
    path: str,
    body: Any = None,
    *,
    patience: float = _PATIENCE,
) -> Answer:
    """One request to the daemon.

    Raises:
        NoDaemonError: nothing answers.
    """
    token = make_token(config, paths, subject=person(), ttl=timedelta(minutes=5))
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=patience)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.request(method, base_url(config) + path, json=body) as response,
        ):
            return Answer(response.status, json.loads(await response.text()))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        raise NoDaemonError from None
