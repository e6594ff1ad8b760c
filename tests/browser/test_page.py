"""What an admin sees and does on the page, in a real browser."""

import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.browser.visit import DAY, DESK, HOUR, PHONE, a_visit

PATHS = ("/", "/stays", "/stays/{ana}", "/access", "/locks", "/runs", "/held", "/matching")


def complaints(page):
    """What the browser itself finds wrong with the page, from now on."""
    found = []
    page.on("console", lambda line: found.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


async def test_the_first_screen_says_who_comes_and_whether_their_code_works(tmp_path):
    async with a_visit(tmp_path) as visit, visit.admin() as page:
        found = complaints(page)
        await page.goto("/")
        await expect(page.locator(".verdict.good h1")).to_have_text("Everything is fine")
        await expect(page.locator(".verdict")).to_contain_text("Next: Bruno Lima in Apto 102, ")
        arrivals = page.get_by_role("region", name="Who arrives next").get_by_role("listitem")
        await expect(arrivals).to_have_count(2)
        await expect(arrivals.nth(0)).to_contain_text("Bruno Lima")
        await expect(arrivals.nth(0)).to_contain_text(
            re.compile(r"Code on both doors, confirmed at \d\d:\d\d")
        )
        await expect(arrivals.nth(1)).to_contain_text("Clara Reis")
        await expect(arrivals.nth(1)).to_contain_text("Code goes on both doors")
        here = page.get_by_role("region", name="Who is here").get_by_role("listitem")
        await expect(here).to_have_count(1)
        await expect(here).to_contain_text("Ana Souza")

        lane = page.get_by_role("group", name="Stays in Apto 101")
        await expect(lane.get_by_role("link")).to_have_count(2)
        await expect(lane.locator(".turn")).to_have_count(1)  # Ana leaves, Clara comes
        await expect(lane.locator(".opening")).to_have_count(2)  # Ana at two doors
        await lane.get_by_role("link", name=re.compile("Clara Reis")).click()
        await expect(page).to_have_url(re.compile(rf"/stays/{visit.stays['clara']}$"))

        answer = await page.goto("/")
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)
        assert answer.headers["cache-control"] == "no-store"
        pins = {await visit.house.pin(visit.stays[name]) for name in ("ana", "bruno")}
        for path in PATHS:
            await page.goto(path.format(**visit.stays))
            text = await page.content()
            assert not [pin for pin in pins if pin in text], path
        assert found == []


async def test_a_lock_that_is_lost_shows_by_itself_with_what_to_do(tmp_path):
    async with a_visit(tmp_path) as visit, visit.admin() as page:
        await page.clock.install()
        await page.goto("/")
        await expect(page.locator(".verdict.good")).to_be_visible()
        await visit.house.hub.cut()
        visit.house.book(visit.house.flat_102, 0 * HOUR, HOUR, guest="Davi Melo")

        async def lost():
            _, body = await visit.house.api("GET", "/api/admin/locks")
            return [one["reachable"] for one in body["data"]] == [True, False, False]

        await visit.house.until(lost)
        await page.clock.run_for(31_000)
        await expect(page.locator(".verdict.bad h1")).to_contain_text("need")
        worries = page.get_by_role("region", name="What needs you").get_by_role("listitem")
        offline = worries.filter(has_text="hub is offline")
        await expect(offline).to_contain_text("none of its 2 locks can be reached")
        await offline.get_by_role("link").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Locks")
        await expect(page.get_by_role("listitem").filter(has_text="apt-102")).to_contain_text(
            "cannot be reached"
        )


async def test_what_is_old_does_not_pass_for_what_is(tmp_path):
    async with a_visit(tmp_path) as visit, visit.admin() as page:
        await page.clock.install()
        await page.goto("/")
        old = page.get_by_role("alert")
        await expect(old).to_be_hidden()
        await page.context.set_offline(True)
        await page.clock.run_for(31_000)
        await expect(old).to_contain_text("The gateway does not answer")
        await expect(page.locator(".verdict")).to_be_visible()
        await page.context.set_offline(False)
        await page.clock.run_for(31_000)
        await expect(old).to_be_hidden()
        await page.context.clear_cookies(name="gateway_session")
        await page.clock.run_for(31_000)
        await expect(page).to_have_url(re.compile("/sign-in"))


async def test_a_code_is_shown_sent_changed_and_taken_on_the_page_of_its_stay(tmp_path):
    async with a_visit(tmp_path) as visit, visit.admin() as page:
        house, code = visit.house, visit.stays["bruno"]
        (held,) = house.apt_102.codes
        await page.goto(f"/stays/{code}")
        digits = page.locator(".digits")
        await expect(digits).to_have_text(f"****{held.pin[-2:]}")
        await page.get_by_role("button", name="Show the whole code").click()
        await expect(digits).to_have_text(held.pin)
        await expect(page.locator(".story li").first).to_contain_text("looked at the whole code")
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == held.pin

        await page.goto(f"/stays/{code}")
        await page.get_by_role("button", name="Send to the guest").click()
        await expect(page.locator("#message")).to_contain_text(held.pin)
        link = page.get_by_role("link", name="Open WhatsApp with this message")
        await expect(link).to_have_attribute("href", re.compile(r"^https://wa\.me/55119\d+\?text="))

        await page.goto(f"/stays/{code}")
        await page.get_by_text("Give another code", exact=True).click()
        form = page.locator("form[action$=reissue]")
        await form.get_by_label(re.compile("Why")).fill("lost, it was 443322")
        await form.get_by_role("button").click()
        await expect(page.get_by_role("status")).to_contain_text("There is another code")
        old = held.pin
        await house.until(lambda: [one.pin != old for one in house.apt_102.codes] == [True])
        await house.pin_status(code, "active")
        await page.goto(f"/stays/{code}")
        await expect(page.locator(".story")).to_contain_text("lost, it was ****")
        assert await house.pin(code) != old

        await page.get_by_role("button", name="Look at it again").click()
        await expect(page.get_by_role("status")).to_contain_text("tried again")
        await page.get_by_text("Take the code away", exact=True).click()
        await page.get_by_role("button", name="Yes, take it away").click()
        await expect(page.get_by_role("status")).to_contain_text("being taken from every door")
        await house.until(lambda: not house.apt_102.codes)
        await house.pin_status(code, "revoked")
        await page.goto(f"/stays/{code}")
        await expect(page.locator(".pin").first).to_have_text("The code is gone from every door")
        story = page.locator(".story")
        await expect(story).to_contain_text("The code was taken away by a person")
        await expect(story).to_contain_text("tester")
        await expect(story).not_to_contain_text(re.compile(r"[a-z]+\.[a-z_]+"))  # all in words


async def test_a_cleaner_is_given_a_code_for_some_hours_and_it_ends(tmp_path):
    async with a_visit(tmp_path) as visit, visit.admin(language="pt-BR") as page:
        house = visit.house
        await page.goto("/access")
        await page.get_by_label("Nome").fill("Dona Rosa")
        await page.get_by_role("button", name="Dar uma senha").click()
        await expect(page.get_by_role("alert")).to_contain_text("Assim não dá")
        await expect(page.get_by_label("Nome")).to_have_value("Dona Rosa")  # nothing typed is lost
        await page.get_by_label("street").check()
        await page.get_by_text("Só em algumas horas da semana").click()
        await page.get_by_label("seg", exact=True).check()
        await page.get_by_label("qui", exact=True).check()
        await page.get_by_label("Das", exact=True).fill("08:00")
        await page.locator("input[name=end]").fill("12:00")
        await page.get_by_role("button", name="Dar uma senha").click()
        await expect(page.get_by_role("status")).to_contain_text("Pronto")
        await page.get_by_role("button", name="Mostrar a senha inteira").click()
        pin = await page.locator(".digits").text_content()
        house.pins.add(pin)
        await house.until(lambda: pin in {one.pin for one in house.street.codes})

        await page.goto("/access")
        row = page.get_by_role("listitem").filter(has_text="Dona Rosa")
        await expect(row).to_contain_text("seg e qui, 08:00 às 12:00")
        await row.locator("summary").click()
        await row.get_by_role("button", name="Encerrar agora").click()
        await expect(page.get_by_role("status")).to_contain_text("Encerrado")
        await house.until(lambda: pin not in {one.pin for one in house.street.codes})


async def test_a_lock_without_a_listing_is_offered_one_to_paste(tmp_path):
    def only_101(house):
        house.settings["listings"] = house.config_values()["listings"][:1]

    async with a_visit(tmp_path, prepare=only_101) as visit, visit.admin() as page:
        await page.goto("/matching")
        rows = page.get_by_role("listitem").filter(has_text="apt-10")
        await expect(rows.filter(has_text="apt-101")).to_contain_text("configured like this")
        await expect(rows.filter(has_text="apt-102")).to_contain_text("not configured")
        toml = page.locator("#toml")
        await expect(toml).to_contain_text('locks = ["apt-102"]')
        await expect(toml).not_to_contain_text("apt-101")
        await page.goto("/")
        worry = page.get_by_role("listitem").filter(has_text="Nobody gets a PIN on listing")
        await expect(worry.get_by_role("link")).to_have_attribute("href", "/matching")


async def test_what_the_brake_holds_waits_for_a_person(tmp_path):
    def a_third_flat(house):
        casa = house.stays.add_listing("Casa do Jardim")
        listings = house.config_values()["listings"]
        house.settings["listings"] = [
            *listings,
            {"stays_id": casa, "name": "Casa do Jardim", "locks": ["street"]},
        ]
        house.eva = house.book(casa, -DAY, 3 * DAY, guest="Eva <i>Prado</i>")

    async with a_visit(tmp_path, prepare=a_third_flat) as visit, visit.admin() as page:
        house = visit.house
        await house.until(lambda: len(house.street.codes) == 3)

        async def read():
            return (await house.stay(house.eva))["guest"]["name"]

        await house.until(read)
        for reservation in list(house.stays.reservations):
            house.stays.cancel(reservation)
        await house.reconciled()
        await page.goto("/")
        worry = page.get_by_role("listitem").filter(has_text="The brake holds stays")
        await worry.get_by_role("link").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Held for you")
        held = page.get_by_role("listitem").filter(has_text="Stays says: cancelled")
        await expect(held.filter(has_text="Ana Souza")).to_have_count(1)
        await expect(held).to_have_count(3)
        await expect(held.filter(has_text="Eva <i>Prado</i>")).to_have_count(1)  # as she wrote it
        codes = {one.pin for one in house.street.codes}
        await page.get_by_role("button", name="It is wrong: let them keep their codes").click()
        await expect(page.get_by_role("status")).to_have_text("They keep their codes.")
        await expect(page.locator("main")).to_contain_text("Nothing is held.")
        await house.reconciled()
        assert {one.pin for one in house.street.codes} == codes
        await house.pin_status(visit.stays["ana"], "active")


async def test_the_language_is_the_sites_until_a_person_chooses_another(tmp_path):
    async with a_visit(tmp_path) as visit, visit.person() as page:
        await page.goto("/")
        await page.get_by_role("button", name="English").click()
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        await page.get_by_label("Token").fill(visit.house.token)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator(".verdict h1")).to_have_text("Everything is fine")
        await page.goto(f"/stays/{visit.stays['ana']}")
        await page.get_by_role("button", name="Português").click()
        await expect(page).to_have_url(re.compile(rf"/stays/{visit.stays['ana']}$"))
        await expect(page.get_by_role("heading", level=1)).to_have_text("Ana Souza em Apto 101")
        await page.goto("/")
        await expect(page.locator(".verdict h1")).to_have_text("Está tudo certo")


async def test_on_a_phone_nothing_is_cut_off_and_nothing_scrolls_sideways(tmp_path):
    async with a_visit(tmp_path) as visit:
        for language in ("pt-BR", "en"):
            async with visit.admin(language=language, viewport=PHONE, has_touch=True) as page:
                for path in PATHS:
                    await page.goto(path.format(**visit.stays))
                    width = await page.evaluate("document.documentElement.scrollWidth")
                    assert width <= PHONE["width"], (language, path)
                    cut = await page.evaluate(
                        "[...document.querySelectorAll('main *')].filter(one =>"
                        " !one.closest('svg') && one.getBoundingClientRect().right > innerWidth + 1)"
                        ".map(one => one.outerHTML.slice(0, 80))"
                    )
                    assert cut == [], (language, path)


async def test_without_javascript_everything_can_be_read_and_done(tmp_path):
    async with (
        a_visit(tmp_path) as visit,
        visit.admin(java_script_enabled=False, viewport=PHONE) as page,
    ):
        for path in PATHS:
            await page.goto(path.format(**visit.stays))
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await page.goto("/")
        refresh = page.locator("noscript meta[http-equiv=refresh], meta[http-equiv=refresh]")
        await expect(refresh).to_have_count(1)
        await expect(page.locator(".verdict h1")).to_have_text("Everything is fine")
        await page.goto(f"/stays/{visit.stays['ana']}")
        await page.get_by_role("button", name="Show the whole code").click()
        pin = await visit.house.pin(visit.stays["ana"])
        await expect(page.locator(".digits")).to_have_text(pin)
        await page.get_by_role("link", name="Readings").click()
        await page.get_by_role("button", name="Read Stays now").click()
        await expect(page.get_by_role("status")).to_contain_text("being read")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(tmp_path, scheme):
    async with a_visit(tmp_path) as visit:
        size = DESK if scheme == "light" else PHONE
        async with visit.admin(viewport=size, color_scheme=scheme) as page:
            for path in ("/sign-in", *PATHS):
                await page.goto(path.format(**visit.stays))
                await page.evaluate("document.querySelectorAll('details').forEach(o => o.open = 1)")
                found = (await Axe().run(page)).response["violations"]
                serious = [
                    (one["id"], one["nodes"][0]["html"])
                    for one in found
                    if one["impact"] in {"serious", "critical"}
                ]
                assert serious == [], path
