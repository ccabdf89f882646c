"""Serves the demos to a browser: one server on this machine, an index page, and a page for each lesson.

A lesson is a marimo notebook of this folder, shown as an app: without its code, and only its inputs can be changed.
Every visitor has a session of its own, a thread of the server. Nothing is asked of any other machine.
"""

from __future__ import annotations

import errno
import html
import importlib
import importlib.util
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from numerics.arguments import shown

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send
    from uvicorn import Server

PORT = 2718
LOCAL = "127.0.0.1"
PORTS_TRIED = 100
CLOSING_SECONDS = 2
"""That open pages have to say goodbye when the server stops."""


@dataclass(frozen=True)
class Demo:
    """A lesson: its name on the command line and in the address, its title, and what one does in it."""

    name: str
    title: str
    about: str

    @property
    def file(self) -> Path:
        return Path(__file__).parent / f"{self.name}.py"


DEMOS = (
    Demo("curse", "The curse of memory", "Drag a rate λ to the boundary and watch the perturbed error blow up."),
    Demo("reparameterize", "Why reparameterize?", "The same drag in w, where λ = f(w) never reaches the boundary."),
    Demo("design", "Design your own f(w)", "Type a formula: is it stable, with what modulus, with what gradients?"),
    Demo("memory", "Memory of real architectures", "How fast do linear, tanh, gated and attention layers forget?"),
    Demo("best", "The best f, and when exp is better", "Where the best f comes from, and what it is best at."),
    Demo("fit", "Fit a target live", "Train a small model on a memory you choose, and see what it learned."),
)


def demo(name: str) -> Demo:
    """The demo of a name. Raises ValueError for one that does not exist."""
    for one in DEMOS:
        if one.name == name:
            return one
    raise ValueError(f"demo {shown(name)!r}: no such demo; allowed: {', '.join(one.name for one in DEMOS)}")


def serve(
    name: str | None = None,
    port: int = PORT,
    open_browser: bool = True,
    host: str = LOCAL,
    say: Callable[[str], None] = print,
) -> None:
    """Serves the demos until it is interrupted, and opens a browser at one of them, or at the index.

    port: where it is taken, the next free one is used, and `say` says so. host: 127.0.0.1 is this machine alone; any
    other address lets others in, unencrypted and without a password.
    Raises ValueError for an unknown demo, a port or host that cannot be used, and where marimo is not installed.
    """
    path = "" if name is None else f"{demo(name).name}/"
    if importlib.util.find_spec("marimo") is None:
        raise ValueError("demo: marimo is needed and is not installed; pip install 'stablessm[demo]'")
    listening = listen(host, port)
    taken = listening.getsockname()[1]
    if taken != port != 0:
        say(f"Port {port} is in use; this is port {taken}.")
    address = f"http://{_in_address(host)}:{taken}/{path}"
    say(f"{'The demos are' if name is None else f'The demo {name} is'} at {address}  (Ctrl-C stops)")
    if not _is_local(host):
        say("Anyone who reaches this address can use the demos: there is no password and no encryption.")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the computations are small, and every visitor has a thread
    server = _server(_application(host))
    threading.Thread(target=_warm_up, daemon=True).start()
    if open_browser and _has_display():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
    say("Stopped.")


def listen(host: str, port: int) -> socket.socket:
    """A socket on the port, or on the next free one above it. Raises ValueError where there is none.

    port 0: any free one.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port: {shown(port)} is not allowed; it must lie between 0 and 65535")
    if not host:  # to a socket that is every address
        raise ValueError("host: an address of this machine is needed; 0.0.0.0 for all of them")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port, min(port + PORTS_TRIED, 65536)):
        one = socket.socket(family, socket.SOCK_STREAM)
        if sys.platform != "win32":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, candidate))
            one.listen(128)
            return one
        except OSError as error:
            one.close()
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise ValueError(f"host: {shown(host)} is not an address of this machine") from None
            reason = error.strerror or str(error)
        except (UnicodeError, TypeError):  # no name can be encoded so
            one.close()
            raise ValueError(f"host: {shown(host)} is not an address of this machine") from None
    raise ValueError(f"port: none of {port} to {candidate} on {host} can be used: {reason}")


def _is_local(host: str) -> bool:
    return host in (LOCAL, "localhost", "::1")


def _in_address(host: str) -> str:
    """The host as a browser on this machine writes it."""
    if host in ("0.0.0.0", "::"):
        return LOCAL if host == "0.0.0.0" else "[::1]"
    return f"[{host}]" if ":" in host else host


def _has_display() -> bool:
    """Whether a browser can open a window; without one, the default browser may be a text browser in the terminal."""
    known = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform in ("win32", "darwin") or any(os.environ.get(variable) for variable in known)


# The application


def _application(host: str) -> ASGIApp:
    """The index page and every demo under its name."""
    import marimo
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Mount, Route

    builder = marimo.create_asgi_app(quiet=True, include_code=False)
    for one in DEMOS:
        builder = builder.with_app(path=f"/{one.name}", root=str(one.file))
    pages = builder.build()

    @asynccontextmanager
    async def sessions(_: Starlette) -> AsyncIterator[None]:
        """Ends the sessions with the server: their threads would keep the process alive."""
        yield
        for route in getattr(pages, "routes", ()):
            if isinstance(route, Mount):
                await cast(Any, route.app).state.session_manager.shutdown()

    # A page of another site that renames itself to 127.0.0.1 must not reach in.
    names = [LOCAL, "localhost", "[::1]"] if _is_local(host) else ["*"]
    return Starlette(
        routes=[Route("/", _index), Mount("/", app=pages)],
        lifespan=sessions,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=names), Middleware(_OwnPagesOnly)],
    )


class _OwnPagesOnly:
    """Refuses what a page of another site asks for: a browser says in Origin whose page it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        origin, host = headers.get(b"origin"), headers.get(b"host", b"")
        if origin is None or origin.partition(b"://")[2] == host:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"Asked for by a page of another site."})


def _server(application: ASGIApp) -> Server:
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            application,
            log_level="critical",
            timeout_graceful_shutdown=CLOSING_SECONDS,
            ws="websockets-sansio",
            lifespan="on",
        )
    )


def _warm_up() -> None:
    """Loads what all lessons need, so that the first visitor does not wait for it."""
    for module in ("figures.demos.parts", "numerics.perturbation"):
        with suppress(Exception):  # the lesson that needs it will tell
            importlib.import_module(module)


async def _index(request: Request) -> Response:
    from starlette.responses import HTMLResponse

    return HTMLResponse(index_page())


def index_page() -> str:
    """The page that lists the demos."""
    items = "\n".join(
        f'<li><a href="{one.name}/">{html.escape(one.title)}</a><p>{html.escape(one.about)}</p></li>' for one in DEMOS
    )
    return _INDEX.replace("ITEMS", items)


_INDEX = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>StableSSM, hands on</title>
<style>
:root { color-scheme: light dark; --line: #ddd; --link: #0059a8; }
@media (prefers-color-scheme: dark) { :root { --line: #444; --link: #7ec0ff; } }
body { font: 17px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; }
ol { padding-left: 1.4rem; }
li { border-top: 1px solid var(--line); padding: .8rem 0 .4rem; }
li a { font-weight: 600; color: var(--link); }
li p { margin: .2rem 0 0; }
</style>
</head>
<body>
<main>
<h1>StableSSM, hands on</h1>
<p>Six lessons of ten minutes on the memory of state-space models, with sliders, pictures and an exercise each.
Every number comes from the tested functions of the toolkit.</p>
<ol>
ITEMS
</ol>
</main>
</body>
</html>
"""
