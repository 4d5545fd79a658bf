"""The studio's addresses, and what is answered when something goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from adain.extras import MissingExtra
from adain.studio.guard import Guard
from adain.studio.studio import Studio, error_line
from adain.studio.uploads import UploadError

PAGE = Path(__file__).with_name("page")


# === Errors ===


async def _refuse(request: Request, error: Exception) -> Response:
    status = 413 if isinstance(error, UploadError) else 422
    return JSONResponse({"error": error_line(error)}, status)


async def _refuse_http(request: Request, error: Exception) -> Response:
    detail = error.detail if isinstance(error, HTTPException) else str(error)
    return JSONResponse({"error": detail}, getattr(error, "status_code", 500))


async def _break(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": error_line(error)}, 500)


async def _gone(request: Request, error: Exception) -> Response:
    # Nobody is there to read it.
    return Response(status_code=400)


def make_app(studio: Studio) -> Starlette:
    """The application of a studio."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(studio))
        try:
            yield
        finally:
            sweeping.cancel()
            await run_in_threadpool(studio.close)

    tab = "/api/sessions/{session}"
    routes = [
        Route("/api/about", studio.about),
        Route("/api/styles/{name}", studio.thumbnail),
        Route("/api/sessions", studio.open, methods=["POST"]),
        Route(tab, studio.close_session, methods=["DELETE"]),
        Route(f"{tab}/photo", studio.photo, methods=["PUT"]),
        Route(f"{tab}/photo", studio.preview_photo),
        Route(f"{tab}/styles", studio.style, methods=["POST"]),
        Route(f"{tab}/styles/{{key}}", studio.drop_style, methods=["DELETE"]),
        Route(f"{tab}/masks", studio.mask, methods=["POST"]),
        Route(f"{tab}/masks/{{key}}", studio.mask_file),
        Route(f"{tab}/preview", studio.preview, methods=["POST"]),
        Route(f"{tab}/command", studio.command, methods=["POST"]),
        Route(f"{tab}/results", studio.paint, methods=["POST"]),
        Route(f"{tab}/results/{{result}}", studio.result),
        Route(f"{tab}/results/{{result}}", studio.cancel, methods=["DELETE"]),
        Route(f"{tab}/results/{{result}}/events", studio.events),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    handlers = {
        HTTPException: _refuse_http,
        ClientDisconnect: _gone,
        MissingExtra: _refuse,
        ValueError: _refuse,
        OSError: _refuse,
        Exception: _break,
    }
    guard = [Middleware(Guard)]
    app = Starlette(routes=routes, middleware=guard, exception_handlers=handlers, lifespan=lifespan)
    app.state.studio = studio
    return app


async def _sweep(studio: Studio) -> None:
    while True:
        await asyncio.sleep(60)
        await run_in_threadpool(studio.sessions.sweep)
