"""Make the pictures of the studio in the README and in docs/studio.md.

    python tools/make_screenshots.py --out docs

`web.jpg`, `web_phone.jpg`: the page of `make web`, if it is built. `studio.jpg`: the page on a
desktop. `studio_area.jpg`: an area with a style of its own. `studio_phone.jpg`: a phone, in the
dark. Needs Chromium and the extras `studio` and `test`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PHOTO = ROOT / "images" / "inputs" / "temple.jpg"
BUILT = "web/dist"
PAINTED = "#frame:not([data-painted=''])[data-state=idle]"


def choose(page: Page, name: str) -> None:
    page.click(f".tile[data-key='{name}'] > button")


def settle(page: Page) -> None:
    """Until all is painted, and in the history."""
    page.wait_for_timeout(300)
    page.wait_for_selector(PAINTED)
    page.wait_for_timeout(2000)
    page.wait_for_function(
        """() => [...document.querySelectorAll('#gallery img')].slice(0, 9)
          .every(image => image.complete)"""
    )


def split(page: Page, percent: int) -> None:
    page.locator("#split").fill(str(percent))


def open_page(browser, address: str, **options) -> Page:
    page = browser.new_page(**options)
    page.goto(address)
    page.wait_for_selector("html[data-ready]", state="attached")
    page.set_input_files("#photo-file", PHOTO)
    page.wait_for_selector(PAINTED)
    return page


def desktop(browser, address: str, out: Path) -> None:
    page = open_page(browser, address, viewport={"width": 1360, "height": 860})
    for name in ("embers", "watercolor", "mosaic-glass", "starry-night"):
        choose(page, name)
        settle(page)
    page.click("label.switch")
    choose(page, "mosaic")
    choose(page, "blue-river")
    settle(page)
    split(page, 36)
    page.evaluate("document.getElementById('gallery').scrollTop = 0")
    page.evaluate("document.getElementById('panel').scrollTop = 0")
    page.screenshot(path=out / "studio.jpg", quality=82)
    # An area: the sky, filled where it has like colours.
    page.click("label.switch")
    choose(page, "blue-river")
    page.click("#area-add")
    choose(page, "embers")
    page.click("input[value=fill] + span")
    box = page.locator("#mask").bounding_box()
    page.mouse.click(box["x"] + 0.85 * box["width"], box["y"] + 0.1 * box["height"])
    settle(page)
    page.evaluate("document.getElementById('panel').scrollTop = 0")
    page.screenshot(path=out / "studio_area.jpg", quality=82)
    page.close()


def phone(browser, address: str, out: Path) -> None:
    page = open_page(
        browser, address, viewport={"width": 390, "height": 844}, device_scale_factor=2,
        color_scheme="dark",
    )  # fmt: skip
    choose(page, "blue-river")
    settle(page)
    split(page, 36)
    page.screenshot(path=out / "studio_phone.jpg", quality=78)
    page.close()


def web(browser, address: str, out: Path) -> None:
    page = open_page(browser, address, viewport={"width": 1360, "height": 860})
    page.click("label.switch")
    choose(page, "mosaic")
    choose(page, "blue-river")
    settle(page)
    split(page, 36)
    page.evaluate("() => { document.getElementById('gallery').scrollTop = 0; }")
    page.screenshot(path=out / "web.jpg", quality=82)
    page.close()
    page = open_page(
        browser, address, viewport={"width": 390, "height": 844}, device_scale_factor=2,
        color_scheme="dark",
    )  # fmt: skip
    choose(page, "embers")
    settle(page)
    split(page, 36)
    page.screenshot(path=out / "web_phone.jpg", quality=78)
    page.close()


@contextmanager
def serving(*flags: str) -> Iterator[str]:
    """The address of a studio, which is there for the moment."""
    words = [sys.executable, "-m", "adain", "studio", "--port", "0", "--no-open", *flags]
    studio = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield re.search(r"http\S+", studio.stderr.readline())[0]
    finally:
        studio.terminate()
        studio.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=options.chromium, args=["--no-sandbox"]
        )
        with serving() as address:
            desktop(browser, address, options.out)
            phone(browser, address, options.out)
        if (ROOT / BUILT).exists():
            with serving("--static", str(ROOT / BUILT)) as address:
                web(browser, address, options.out)
        browser.close()


if __name__ == "__main__":
    main()
