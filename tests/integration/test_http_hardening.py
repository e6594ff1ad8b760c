"""The HTTP port against pages, guests of the LAN and floods."""

import asyncio

from gateway.web.auth import BadTokens
from tests.house import living

SHIELDS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Server": "gateway",
}


async def answer(house, raw):
    reader, writer = await asyncio.open_connection("127.0.0.1", house.gateway.listener.port)
    writer.write(raw)
    found = await reader.read()
    writer.close()
    await writer.wait_closed()
    return found


def test_a_page_whose_name_was_turned_to_the_gateway_is_sent_away(tmp_path):
    async def story(house):
        for path in ("/healthz", "/metrics", "/", "/api/admin/reservations"):
            code, body = await house.api("GET", path, headers={"Host": "evil.example"})
            assert (code, body["error"]["code"]) == (421, "misdirected")
        code, _ = await house.api("GET", "/api/admin/locks", headers={"Host": "door.example:80"})
        assert code == 200
        code, _ = await house.api("GET", "/api/admin/locks", headers={"Host": "192.168.1.20"})
        assert code == 200
        old = await answer(house, b"GET /healthz HTTP/1.0\r\n\r\n")  # no browser
        assert old.startswith(b"HTTP/1.0 200")

    living(tmp_path, story, http={"names": ["door.example"]})


def test_every_answer_carries_its_shields_errors_too(tmp_path):
    async def story(house):
        base = f"http://127.0.0.1:{house.gateway.listener.port}"
        for path, headers in (
            ("/healthz", {}),
            ("/nowhere", {}),
            ("/api/admin/locks", {}),
            ("/api/admin/locks", {"Authorization": "Bearer no"}),
            ("/healthz", {"Host": "evil.example"}),
        ):
            async with house.session.get(base + path, headers=headers) as response:
                assert {name: response.headers.get(name) for name in SHIELDS} == SHIELDS

    living(tmp_path, story)


def test_a_browser_that_lost_its_way_gets_a_page_and_a_program_json(tmp_path):
    async def story(house):
        base = f"http://127.0.0.1:{house.gateway.listener.port}"
        browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        for path, headers, page in (
            ("/nowhere", browser, True),
            ("/assets/page.css", browser, True),
            ("/nowhere", {}, False),
            ("/api/nowhere", browser, False),
            ("/api/admin/nowhere", browser, False),
        ):
            async with house.session.get(
                base + path, headers=headers | {"Authorization": f"Bearer {house.token}"}
            ) as response:
                assert response.status == 404
                if page:
                    assert response.content_type == "text/html"
                    assert "Não existe esta estadia ou página." in await response.text()
                else:
                    assert (await response.json())["error"]["code"] == "not_found"
        async with house.session.post(f"{base}/nowhere", headers=browser) as response:
            assert (response.status, response.content_type) == (404, "text/html")

    living(tmp_path, story)


def test_headers_and_bodies_have_an_end(tmp_path):
    async def story(house):
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: "
        long = await answer(house, head + b"a" * 20_000 + b"\r\nConnection: close\r\n\r\n")
        assert long.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
        many = b"".join(b"X-%d: 1\r\n" % number for number in range(5000))
        full = await answer(house, head + b"a\r\n" + many + b"Connection: close\r\n\r\n")
        assert b" 400 " in full.split(b"\r\n")[0]
        code, _ = await house.api(
            "POST", "/api/admin/reconciliation/held", data=b"{" + b" " * 20_000 + b"}"
        )
        assert code == 413

    living(tmp_path, story)


def test_a_flood_of_addresses_is_forgotten_before_it_fills_the_memory():

    tokens = BadTokens()
    for number in range(5000):
        tokens.count(f"fe80::{number:x}", 0.0)
    for _ in range(5):
        tokens.count("192.168.1.7", 1.0)
    assert tokens.too_many("192.168.1.7", 2.0)
    assert len(tokens._seen) <= 1024
