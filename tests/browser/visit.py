"""A real browser before the page of a real gateway, in a house where something goes on."""

import asyncio
import re
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.house import House, a_house

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PHONE = {"width": 360, "height": 780}
DESK = {"width": 1200, "height": 900}


def chromium():
    """Where the machine's Chromium is."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "Chromium is missing: apt-get install chromium"
    return found


@asynccontextmanager
async def a_browser():
    """Chromium, as Debian has it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visit:
    """Somebody who looks at the page of a house. `stays`: codes of its stays by the guest's name."""

    house: House
    browser: Browser
    stays: dict
    scheme: str = "http"

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.house.gateway.listener.port}"

    @asynccontextmanager
    async def person(self, **settings):
        """A new browser context, with nobody signed in; its page."""
        options = {"viewport": DESK, "base_url": self.url, "locale": "pt-BR"} | settings
        context: BrowserContext = await self.browser.new_context(**options)
        context.set_default_timeout(20_000)
        try:
            yield await context.new_page()
        finally:
            await context.close()

    @asynccontextmanager
    async def admin(self, *, language="en", **settings):
        """The same after signing in."""
        async with self.person(**settings) as page:
            await page.context.add_cookies(
                [{"name": "gateway_language", "value": language, "url": self.url}]
            )
            await sign_in(page, self.house.token)
            yield page


async def sign_in(page: Page, token):
    """Paste a token into the form."""
    await page.goto("/")
    await page.locator("input[name=token]").fill(token)
    await page.locator("button.main").click()
    await page.wait_for_url(re.compile(r"/$"))


@asynccontextmanager
async def a_visit(folder, *, prepare=None, https=False, **settings):
    """Ana is in Apto 101 and has opened her doors; Bruno comes to Apto 102 in an hour; Clara follows Ana."""
    settings = {"site": {"timezone": "America/Sao_Paulo", "name": "Edifício Aurora"}} | settings
    async with a_house(folder, **settings) as house:
        ana = house.book(house.flat_101, -DAY, 2 * DAY, guest="Ana Souza")
        bruno = house.book(house.flat_102, HOUR, 3 * DAY, guest="Bruno Lima")
        clara = house.book(house.flat_101, DAY + 4 * HOUR, 4 * DAY, guest="Clara Reis")
        if prepare is not None:
            prepare(house)
        mapped = len(house.config_values()["listings"]) > 1
        async with house.running(), a_browser() as browser:
            for stay in (ana, bruno) if mapped else (ana,):
                await house.pin_status(stay, "active")
            pin = house.apt_101.codes[0].pin
            assert house.street.try_pin(pin)
            assert house.apt_101.try_pin(pin)
            named = {"ana": ana, "clara": clara} | ({"bruno": bruno} if mapped else {})
            await house.until(lambda: _names_are_read(house, named.values()))
            codes = {name: house.stays.code(stay) for name, stay in named.items()}
            yield Visit(house, browser, codes, "https" if https else "http")


async def _names_are_read(house, stays):
    shown = await asyncio.gather(*(house.stay(stay) for stay in stays))
    return all(stay is not None and stay["guest"]["name"] for stay in shown)
