"""The page that stylises in the browser alone (`web/`), served to this machine."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from adain.options import UsageError
from adain.studio.guard import STATIC_HEADERS, Guard

BUILT = "web/dist"
"""Where `make web` writes the page, in the project's folder."""


def make_static_app(folder: str | Path) -> Starlette:
    """The application that serves a folder's files, and nothing else.

    Raises:
        UsageError: If there is no page in it.
    """
    folder = Path(folder)
    if not (folder / "index.html").is_file():
        raise UsageError(
            "`static` must be a folder with an index.html: build the page with `make web` in the "
            f"project's folder, which writes {BUILT}. Received: static={str(folder)!r}"
        )
    guard = [Middleware(Guard, headers=STATIC_HEADERS)]
    return Starlette(
        routes=[Mount("/", StaticFiles(directory=folder, html=True))], middleware=guard
    )
