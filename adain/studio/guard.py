"""What keeps other web sites away from a server on this machine, and the page from other hosts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOCAL = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), interest-cohort=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""For the studio's page."""

STATIC_HEADERS = HEADERS | {
    "content-security-policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
        "style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # Isolated from other origins, a page may share memory between threads.
    "cross-origin-embedder-policy": "require-corp",
    "permissions-policy": "camera=(self), geolocation=(), microphone=(), interest-cohort=()",
}
"""For the page that stylises in the browser: networks, a worker, a camera."""


class Guard:
    """Answers only what the studio's own page asks, and adds headers that confine the page.

    A request must name this machine as its host: a foreign name that leads here is how other sites
    get around the same-origin policy (DNS rebinding). Requests that a browser sends for another
    site are recognised by Origin and Sec-Fetch-Site. Programs that send neither, such as curl, are
    served.

    Args:
        app: What answers.
        headers: For each answer.
    """

    def __init__(self, app: ASGIApp, headers: Mapping[str, str] = HEADERS):
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def confined(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        reason = refusal(Headers(scope=scope))
        if reason:
            await JSONResponse({"error": reason}, 403)(scope, receive, confined)
        else:
            await self._app(scope, receive, confined)


def refusal(headers: Headers) -> str:
    """Why a request is not served; "" if it is."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not _LOCAL.fullmatch(hosts[0]):
        return (
            "The studio is for this machine alone: open it as 127.0.0.1 or localhost. "
            f"Received: {', '.join(hosts)[:100] or 'no host'}"
        )
    origins = headers.getlist("origin")
    if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
        return f"Another site may not use the studio. Received: {', '.join(origins)[:100]}"
    site = headers.get("sec-fetch-site", "none")
    # A link on another site may open the page; it cannot look into it.
    navigates = headers.get("sec-fetch-mode") == "navigate"
    if site not in ("same-origin", "none") and not navigates:
        return f"Another site may not use the studio. Received: {site[:100]}"
    return ""
