"""The picture of the page in the README.

python -m tests.browser.picture FILE
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import expect

from tests.browser.visit import DAY, HOUR, a_visit

_SIZE = {"width": 880, "height": 760}


def more_guests(house):
    """What makes the picture worth a look."""
    house.book(house.flat_101, 6 * DAY, 4 * DAY, guest="Davi Melo")
    house.book(house.flat_102, 3 * DAY + 4 * HOUR, 3 * DAY, guest="Eva Prado")


async def take(file):
    """Write the picture to a file."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            a_visit(Path(folder), prepare=more_guests) as visit,
            visit.admin(viewport=_SIZE, color_scheme="light") as page,
        ):

            async def complete():
                await page.reload()
                return await page.get_by_role("link", name="Davi Melo", exact=True).count()

            await visit.house.until(complete)
            await expect(page.locator(".verdict.good")).to_be_visible()
            shown = await page.locator(".legend").bounding_box()
            clip = {"x": 0, "y": 0, "width": _SIZE["width"], "height": shown["y"] + 40}
            await page.screenshot(path=file, full_page=True, clip=clip)


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1]))
