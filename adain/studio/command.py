"""The command `adain studio`."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import webbrowser

from adain.console import DONE, load_backend, tell
from adain.options import UsageError
from adain.studio.config import StudioConfig

_HOST = "127.0.0.1"


def studio(config: StudioConfig) -> int:
    """Serve the page until it is interrupted."""
    # First, because loading takes longer than to find that the port is in use.
    with listen(config.port) as listening:
        _serve(config, _make_app(config), listening)
    return DONE


def _make_app(config: StudioConfig):
    if config.static:
        from adain.studio.static import make_static_app

        return make_static_app(config.static)
    from adain.engines import registry as engines
    from adain.studio.server import make_app
    from adain.studio.studio import Studio

    if engines.resolve(config.engine, precision=config.precision) == "keras":
        load_backend()
    return make_app(Studio(config))


def _serve(config: StudioConfig, app, listening: socket.socket) -> None:
    import uvicorn

    address = f"http://{_HOST}:{listening.getsockname()[1]}/"
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False,
        # Tabs may still wait for a picture.
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(settings)
    if not config.quiet:
        tell(f"adain studio: {address} (Ctrl+C ends it)")
    if config.open and has_display():
        threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        # It has come to its end as asked.
        pass


def listen(port: int) -> socket.socket:
    """A socket of this machine alone.

    Raises:
        UsageError: If the port is in use, or not for users.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":
        # After an end, the system keeps a port for a minute.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        reasons = {errno.EADDRINUSE: "is in use", errno.EACCES: "is not for users"}
        reason = reasons.get(error.errno or 0, f"cannot be used ({error.strerror})")
        raise UsageError(
            f"port {port} {reason}. Use another one, or --port 0 for any that is free."
        ) from error
    return listening


def has_display() -> bool:
    """Whether a browser can show anything here; without, it might fill the terminal."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
