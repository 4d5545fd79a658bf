"""What the tests of both pages share: a server, a browser, and what must hold for everyone."""

from __future__ import annotations

import faulthandler
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from adain.studio.command import listen

# Other processes share the cores.
expect.set_options(timeout=20_000)

PAINTED = "#frame:not([data-painted=''])[data-state=idle]"
_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def serving(app, port: int = 0) -> Iterator[str]:
    """An application on this machine; its address."""
    with listen(port) as listening:
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=[[listening]])
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        except BaseException:
            # Where a page waits in vain, what the server's threads were at.
            faulthandler.dump_traceback(sys.__stderr__)
            raise
        finally:
            server.should_exit = True
            thread.join(30)


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    # In CI that would be a failure: .ci/run installs it.
    if _CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        # In a container there is no place for the sandbox.
        browser = playwright.chromium.launch(
            executable_path=_CHROMIUM, args=["--no-sandbox", *flags]
        )
        yield browser
        browser.close()


def check_for_everyone(page: Page, axe: Axe, state: str, width: int) -> None:
    """No serious finding of axe-core, and nothing is wider than the window."""
    found = [
        f"{state}: {one['id']}: {one['nodes'][0]['html'][:120]}"
        for one in axe.run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert found == [], found
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width, state
