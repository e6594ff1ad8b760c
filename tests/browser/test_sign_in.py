"""How an admin signs in to the page, and how nobody else does."""

import re

import aiohttp
import jwt
import pytest
from playwright.async_api import expect

from tests.browser.visit import DAY, HOUR, a_visit
from tests.house import a_house

SESSION = "gateway_session"


async def session_of(page):
    """The session's cookie, None without one."""
    return next((one for one in await page.context.cookies() if one["name"] == SESSION), None)


async def test_an_admin_pastes_a_token_and_is_where_they_wanted_to_go(tmp_path):
    async with a_visit(tmp_path) as visit, visit.person() as page:
        code = visit.stays["ana"]
        await page.goto(f"/stays/{code}")
        await expect(page).to_have_url(re.compile(r"/sign-in\?next="))
        await expect(page.locator("html")).to_have_attribute("lang", "pt-BR")
        await expect(page.locator("body")).not_to_contain_text("Ana")

        await page.get_by_label("Token").fill("eyJ0.no.token")
        await page.get_by_role("button", name="Entrar").click()
        await expect(page.get_by_role("alert")).to_contain_text("não vale")
        assert await session_of(page) is None

        await page.goto(f"/stays/{code}")
        await page.get_by_label("Token").fill(f"  {visit.house.token}\n")
        await page.get_by_role("button", name="Entrar").click()
        await expect(page).to_have_url(re.compile(rf"/stays/{code}$"))
        await expect(page.get_by_role("heading", level=1)).to_have_text("Ana Souza em Apto 101")
        cookie = await session_of(page)
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
        ends = jwt.decode(visit.house.token, options={"verify_signature": False})["exp"]
        assert cookie["expires"] == pytest.approx(min(ends, cookie["expires"]), abs=5)

        await page.get_by_role("button", name="Sair").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Entrar")
        assert await session_of(page) is None
        await page.goto("/")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Entrar")
        _, trail = await visit.house.api("GET", "/api/admin/audit?event=admin.signed_in")
        assert [(one["actor"], one["detail"]) for one in trail["data"]] == [
            ("tester", "with a token, from 127.0.0.1")
        ]


async def test_a_link_signs_in_once_however_often_it_is_looked_at(tmp_path):
    async with a_visit(tmp_path) as visit:
        status, made = await visit.house.api(
            "POST", "/api/admin/sign-in-links", json={"subject": "ana", "sessionSeconds": 3600}
        )
        assert status == 201
        path = made["data"]["path"]
        for _ in range(2):  # a messenger looks at it before a person does
            async with visit.house.session.get(visit.url + path) as answer:
                assert answer.status == 200
                assert SESSION not in answer.cookies
        async with visit.person() as page:
            await page.goto(path)
            await page.get_by_role("button", name="Entrar").click()
            await expect(page.locator(".verdict")).to_be_visible()
            await expect(page.locator("footer")).to_contain_text("Conectado como ana")
        async with visit.person() as page:
            await page.goto(path)
            await expect(page.get_by_role("alert")).to_contain_text("já foi usado")
        async with visit.house.session.post(
            visit.url + "/sign-in", data={"link": path.partition("=")[2]}
        ) as answer:
            assert answer.status == 401
            assert SESSION not in answer.cookies


async def post(house, path, *, scheme="http", session=None, headers=None, **fields):
    """Status, headers and text of a form that is posted without a browser."""
    url = f"{scheme}://127.0.0.1:{house.gateway.listener.port}{path}"
    cookies = {} if session is None else {SESSION: session}
    async with (
        aiohttp.ClientSession(cookies=cookies, cookie_jar=aiohttp.CookieJar(unsafe=True)) as client,
        client.post(url, data=fields, headers=headers, allow_redirects=False, ssl=False) as answer,
    ):
        return answer.status, answer.headers, await answer.text()


async def form_token(house):
    """What stands in every form of the session that the house's token begins."""
    url = f"http://127.0.0.1:{house.gateway.listener.port}/access"
    async with house.session.get(url, cookies={SESSION: house.token}) as answer:
        return re.search(r'name="form" value="([0-9a-f]+)"', await answer.text())[1]


async def test_a_form_counts_only_from_this_page_of_this_session(tmp_path):
    async with a_house(tmp_path) as house, house.running():
        await house.first_run()
        await house.reconciled()
        here = f"http://127.0.0.1:{house.gateway.listener.port}"
        own = await form_token(house)
        async with house.session.get(f"{here}/runs") as answer:
            assert answer.url.path == "/sign-in"
        before = (await house.status())["lastRun"]
        refused = {
            "no token in the form": ({}, {}),
            "a wrong one": ({}, {"form": "0" * 32}),
            "from another page": ({"Origin": "https://evil.example"}, {"form": own}),
            "from nowhere": ({"Origin": "null"}, {"form": own}),
            "from another port": ({"Origin": "http://127.0.0.1:1"}, {"form": own}),
            "across sites, by an old browser": ({"Sec-Fetch-Site": "cross-site"}, {"form": own}),
        }
        for why, (headers, fields) in refused.items():
            status, _, _ = await post(
                house, "/runs", session=house.token, headers=headers, **fields
            )
            assert status == 403, why
        status, headers, _ = await post(house, "/runs", form=own)
        assert (status, headers["Location"]) == (303, "/sign-in")
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
            status, _, _ = await post(house, "/sign-in", headers=headers, token=house.token)
            assert status == 403
        assert (await house.status())["lastRun"] == before
        status, headers, _ = await post(
            house, "/runs", session=house.token, headers={"Origin": here}, form=own
        )
        assert (status, headers["Location"]) == (303, "/runs?done=asked")
        await house.next_run_after(before)


async def test_on_the_lan_the_page_is_served_over_tls_alone(tmp_path):
    http = {"host": "0.0.0.0", "port": 0}
    async with a_house(tmp_path, on_lan=True, http=http) as house, house.running():
        await house.first_run()
        port = house.gateway.listener.port
        for path in ("/", "/stays?page=1", "/sign-in?link=abc"):
            async with house.session.get(
                f"http://127.0.0.1:{port}{path}", allow_redirects=False
            ) as answer:
                assert answer.status == 303
                assert answer.headers["Location"] == f"https://127.0.0.1:{port}{path}"
        status, headers, _ = await post(house, "/sign-in", token=house.token)
        assert status == 403
        assert "Set-Cookie" not in headers
        fields = {"token": house.token, "next": "//evil.example/"}
        status, headers, _ = await post(house, "/sign-in", scheme="https", **fields)
        assert (status, headers["Location"]) == (303, "/")
        assert "Secure" in headers["Set-Cookie"]
        for _ in range(5):
            status, _, _ = await post(house, "/sign-in", scheme="https", token="a.b.c")
        status, _, text = await post(house, "/sign-in", scheme="https", **fields)
        assert status == 429, text


async def test_a_browser_of_the_lan_is_led_to_tls_and_acts_there(tmp_path):
    http = {"host": "0.0.0.0", "port": 0}
    async with (
        a_visit(tmp_path, on_lan=True, https=True, http=http) as visit,
        visit.person(ignore_https_errors=True) as page,
    ):
        await page.goto(f"{visit.url}/runs".replace("https:", "http:"))
        await expect(page).to_have_url(re.compile(r"^https://.*/sign-in\?next=%2Fruns$"))
        await page.get_by_label("Token").fill(visit.house.token)
        await page.get_by_role("button", name="Entrar").click()
        await page.get_by_role("button", name="Ler o Stays agora").click()
        await expect(page.get_by_role("status")).to_contain_text("sendo lido")
        assert (await session_of(page))["secure"]


async def test_without_tls_the_lan_reads_the_page_and_neither_sees_a_pin_nor_changes_anything(
    tmp_path,
):
    http = {"host": "0.0.0.0", "port": 0, "tls": "off"}
    async with a_house(tmp_path, on_lan=True, http=http, pace=None) as house, house.running():
        stay = house.stays.code(house.book(house.flat_101, HOUR, 3 * DAY))
        await house.reconciled()
        status, _, _ = await post(house, "/sign-in", token=house.token)
        assert status == 303
        url = f"http://127.0.0.1:{house.gateway.listener.port}"
        async with house.session.get(
            f"{url}/stays/{stay}", cookies={SESSION: house.token}
        ) as answer:
            text = await answer.text()
        assert answer.status == 200
        assert "/reveal" not in text
        own = re.search(r'name="form" value="([0-9a-f]+)"', text)[1]
        for act in ("reveal", "message", "revoke", "reissue", "reprocess"):
            status, _, text = await post(
                house,
                f"/stays/{stay}/{act}",
                session=house.token,
                headers={"Origin": url},
                form=own,
            )
            assert status == 403, act
            assert "https" in text
        assert [one["event"] for one in (await house.stay(stay))["audit"]].count("pin.revoked") == 0
