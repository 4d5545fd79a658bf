"""What the page asks for: tabs, their files, previews, and pictures in full size."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from adain import __version__
from adain.extras import MissingExtra
from adain.imaging.color_methods import COLOR_METHODS
from adain.studio.clips import can_clips
from adain.studio.config import StudioConfig
from adain.studio.painter import Painted, Painter
from adain.studio.queue import FULL, PREVIEW, THUMBNAIL, Cancelled, Job, PaintQueue
from adain.studio.sessions import Session, Sessions
from adain.studio.uploads import UploadError, receive
from adain.studio.wish import OWN, parse

_SETTINGS, _MASK = 1, 16
"""Megabytes that settings and a mask may have."""
_TICK = 0.1
"""Seconds between looks at a painting under way."""
_GONE = "This tab was forgotten. Reload the page."
_VIEWABLE = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
    ".gif": "image/gif", ".avif": "image/avif", ".bmp": "image/bmp",
    ".mp4": "video/mp4", ".webm": "video/webm",
}  # fmt: skip


class Studio:
    """Everything behind the page.

    Args:
        config: The settings.
        painter: The networks; default: those of the settings.
    """

    def __init__(self, config: StudioConfig, painter: Painter | None = None):
        self.config = config
        self.queue = PaintQueue()
        self.sessions = Sessions(config.sessions, config.idle, self._new, self.queue.forget)
        self.painter = painter or Painter(config)
        self._thumbnails: dict[str, Painted] = {}
        # Decoding takes much more memory than the file has bytes.
        self._decoding = asyncio.Semaphore(1)

    def close(self) -> None:
        """Stop painting, and remove all temporary files."""
        self.queue.close()
        self.sessions.close_all()

    def _new(self, folder: Path) -> Session:
        return Session(folder, self.config.preview_size, self.config.max_pixels)

    def _session(self, request: Request) -> tuple[str, Session]:
        key = request.path_params["session"]
        try:
            return key, self.sessions.get(key)
        except KeyError:
            raise HTTPException(410, _GONE) from None

    # === About ===

    async def about(self, request: Request) -> Response:
        colors = [{"name": name, "card": not method.changes_style}
                  for name, method in COLOR_METHODS.items()]  # fmt: skip
        return JSONResponse(
            {
                "version": __version__,
                "checkpoint": self.config.checkpoint,
                "palette": self.painter.palette,
                "preview": self.config.preview_size,
                "colors": colors,
                "clips": can_clips(),
                "styles": [
                    {"name": style.name, "card": style.card}
                    for style in self.painter.gallery.values()
                ],
            }
        )

    async def thumbnail(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self.painter.gallery:
            raise HTTPException(404, "There is no such style.")
        if name not in self._thumbnails:
            job = self.queue.submit(
                "gallery", THUMBNAIL, lambda job: self.painter.thumbnail(name, job)
            )
            self._thumbnails[name] = await asyncio.wrap_future(job.future)
        painted = self._thumbnails[name]
        return Response(
            painted.data, media_type=painted.kind, headers={"cache-control": "max-age=3600"}
        )

    # === Tabs and their files ===

    async def open(self, request: Request) -> Response:
        return JSONResponse({"session": self.sessions.open()})

    async def close_session(self, request: Request) -> Response:
        self.sessions.close(request.path_params["session"])
        return Response(status_code=204)

    async def photo(self, request: Request) -> Response:
        _, session = self._session(request)
        path = session.new_path("photo")
        await receive(request, path, self.config.max_upload)
        async with self._decoding:
            upload = await run_in_threadpool(session.take_photo, path, _name(request))
        height, width = upload.size
        shown = session.preview.colors.shape
        return JSONResponse(
            {
                "name": upload.name,
                "size": [width, height],
                "preview": [shown[1], shown[0]],
                "frames": upload.frames,
                "seconds": upload.seconds,
            }
        )

    async def preview_photo(self, request: Request) -> Response:
        _, session = self._session(request)
        painted = await run_in_threadpool(self.painter.shown, session)
        return Response(painted.data, media_type=painted.kind)

    async def style(self, request: Request) -> Response:
        _, session = self._session(request)
        path = session.new_path("style")
        await receive(request, path, self.config.max_upload)
        async with self._decoding:
            key = await run_in_threadpool(session.take_style, path, _name(request))
        return JSONResponse({"key": f"{OWN}{key}", "name": session.styles[key].name})

    async def drop_style(self, request: Request) -> Response:
        _, session = self._session(request)
        session.drop_style(request.path_params["key"].removeprefix(OWN))
        return Response(status_code=204)

    async def mask(self, request: Request) -> Response:
        _, session = self._session(request)
        data = await _body(request, _MASK)
        key, inside = await run_in_threadpool(session.masks.take, data)
        return JSONResponse({"mask": key, "inside": inside})

    async def mask_file(self, request: Request) -> Response:
        _, session = self._session(request)
        path = session.masks.file(request.path_params["key"], "mask")
        return FileResponse(path, media_type="image/png")

    # === Painting ===

    async def preview(self, request: Request) -> Response:
        key, session = self._session(request)
        wish = parse(await _settings(request))
        job = self.queue.submit(key, PREVIEW, lambda job: self.painter.preview(session, wish, job))
        try:
            painted = await asyncio.wrap_future(job.future)
        except Cancelled:
            # A newer one has taken its place.
            return Response(status_code=204)
        seconds = {"server-timing": f"paint;dur={1000 * painted.seconds:.0f}"}
        return Response(painted.data, media_type=painted.kind, headers=seconds)

    async def command(self, request: Request) -> Response:
        _, session = self._session(request)
        wish = parse(await _settings(request))
        command = await run_in_threadpool(self.painter.command, session, wish)
        return JSONResponse({"command": command})

    async def paint(self, request: Request) -> Response:
        key, session = self._session(request)
        wish = parse(await _settings(request))
        config, folder = await run_in_threadpool(self.painter.full_config, session, wish)

        def work(job: Job) -> None:
            try:
                session.keep(folder.name, self.painter.full(config, folder, job))
            except BaseException:
                # Before anybody is told of the end; `watch` does it for what has never begun.
                shutil.rmtree(folder, ignore_errors=True)
                raise

        try:
            job = self.queue.submit(key, FULL, work)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        session.watch(folder, job)
        return JSONResponse({"result": folder.name})

    async def events(self, request: Request) -> Response:
        _, session = self._session(request)
        name = request.path_params["result"]
        job = session.jobs.get(name)
        if job is None:
            raise HTTPException(404, "There is no such picture.")
        return StreamingResponse(self._events(session, name, job), media_type="text/event-stream")

    async def _events(self, session: Session, name: str, job: Job) -> AsyncIterator[str]:
        told = ""
        while not job.future.done():
            session.seen = time.monotonic()
            state = {"progress": round(job.progress, 3), "before": self.queue.place(job)}
            if told != (told := f"data: {json.dumps(state)}\n\n"):
                yield told
            await asyncio.sleep(_TICK)
        yield f"event: done\ndata: {json.dumps(_outcome(session, name, job))}\n\n"

    async def cancel(self, request: Request) -> Response:
        _, session = self._session(request)
        job = session.jobs.get(request.path_params["result"])
        if job is not None:
            self.queue.cancel(job)
        return Response(status_code=204)

    async def result(self, request: Request) -> Response:
        _, session = self._session(request)
        result = session.results.get(request.path_params["result"])
        if result is None:
            raise HTTPException(404, "This result is gone; paint it again.")
        kind = _VIEWABLE.get(result.path.suffix.lower(), "application/octet-stream")
        way = "attachment" if "download" in request.query_params else "inline"
        return FileResponse(
            result.path, media_type=kind, filename=result.path.name, content_disposition_type=way
        )


def _outcome(session: Session, name: str, job: Job) -> dict:
    if name in session.results:
        path, seconds, (height, width), problems = session.results[name]
        viewable = path.suffix.lower() in _VIEWABLE
        return {
            "name": path.name, "seconds": round(seconds, 2), "size": [width, height],
            "bytes": path.stat().st_size, "viewable": viewable, "problems": problems,
        }  # fmt: skip
    error = job.future.exception()
    if error is None or isinstance(error, Cancelled):
        return {"cancelled": True}
    return {"error": error_line(error)}


def _name(request: Request) -> str:
    return request.query_params.get("name", "")


async def _body(request: Request, most: int) -> bytes:
    """The body of a request.

    Raises:
        UploadError: If it is too long.
    """
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > most * 1024**2:
            raise UploadError(f"more than {most} MB.")
    return bytes(data)


async def _settings(request: Request):
    try:
        return json.loads(await _body(request, _SETTINGS))
    except (ValueError, RecursionError):
        raise UploadError(
            "The page must send settings. Received something else. Reload it."
        ) from None


def error_line(error: BaseException) -> str:
    """What the page says of an error."""
    if isinstance(error, ValueError | MissingExtra):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        return f"A file cannot be written ({error.strerror or error}). Is the disk full?"
    if isinstance(error, MemoryError):
        return "There is not enough memory. Use a smaller photo."
    return "Something went wrong; the terminal of the studio says what."
