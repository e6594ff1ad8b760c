"""Which Host headers name this gateway."""

import socket

import pytest

from gateway.web.hosts import Hosts

OWN = socket.gethostname()


@pytest.mark.parametrize(
    "header",
    [
        "192.168.1.9",
        "192.168.1.9:8080",
        "[::1]:8080",
        "[fe80::1]",
        "localhost",
        "LOCALHOST:80",
        "gateway.localhost",
        OWN,
        f"{OWN}.local:8080",
        f"{OWN}.local.",
        "door.example",
        "127.0.0.1",
    ],
)
def test_addresses_own_names_and_configured_ones_are_let_in(header):
    assert Hosts(["Door.example"]).allow(header)


@pytest.mark.parametrize(
    "header",
    [
        "evil.example",
        "evil.example:8080",
        "door.example.evil",
        "xdoor.example",
        "",
        " ",
        "a b",
        "localhost.evil",
        "127.0.0.1.evil",
        "[::1",
        "127.0.0.1:port",
        "localhost, evil",
        "é",
        "@",
    ],
)
def test_every_other_name_is_misdirected(header):
    assert not Hosts(["door.example"]).allow(header)
