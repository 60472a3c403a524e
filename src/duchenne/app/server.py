"""The server of the live page: three addresses, each with bounds on what it
takes. It writes nothing.
"""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import numpy as np
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from duchenne import facs
from duchenne.app.reader import Answer, Reader, Sitter
from duchenne.errors import InputError
from duchenne.study.record import Study

MOST_BYTES = 16 * 2**20
"""A photograph that is longer is refused before it has arrived."""
_LONGEST_ORDER = 10_000  # bytes of what sliders say
_WAITING = 24  # requests that may wait for their turn
_PATIENCE = 30  # seconds for a photograph to arrive
# seconds before what arrives is timed, and bytes a second that it must have
_START = 3.0
_SLOWEST = 32_768
_PEOPLE = 10_000
_HERE = ("localhost", "127.0.0.1", "[::1]")
_GUARDED = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[Request], Awaitable[Response]]


def application(
    study: Study, everywhere: bool = False, host: str = "localhost"
) -> Starlette:
    """The live page of a study, for requests to this machine by its local
    names and ``host``, or ``everywhere`` by any name.

    GET / is the page; POST /read takes a picture's bytes; POST /draw takes
    {"person": 0, "action_units": {"AU12": 0.5}}. Both answer with what the
    network makes of the face; a mistake with {"error": …} and a 4xx.
    """
    desk = _Desk(Reader(study), Sitter(study))
    routes = [
        Route("/", _page(study)),
        *(
            Route(f"/{name}", _file(name, kind))
            for name, kind in (
                ("app.js", "text/javascript"),
                ("app.css", "text/css"),
            )
        ),
        Route("/read", _answering(desk.photograph), methods=["POST"]),
        Route("/draw", _answering(desk.sitter), methods=["POST"]),
    ]
    hosts = ["*"] if everywhere else [*_HERE, host]
    return Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


class _Desk:
    """One reader and one sitter, whose turn comes one request after another."""

    def __init__(self, reader: Reader, sitter: Sitter) -> None:
        self._reader = reader
        self._sitter = sitter
        self._turn = anyio.CapacityLimiter(1)
        self._waiting = 0
        self._arriving = 0

    async def photograph(self, request: Request) -> dict[str, Any]:
        """Read the picture that a request brings."""
        if self._arriving >= _WAITING:
            raise HTTPException(
                503, "too many pictures at once: try again in a moment"
            )
        self._arriving += 1
        try:
            content = await _body(request, MOST_BYTES)
        finally:
            self._arriving -= 1
        return await self._in_turn(
            lambda: _answer(self._reader.photograph(content))
        )

    async def sitter(self, request: Request) -> dict[str, Any]:
        """Draw a person whose action units are as the request says, and read
        that.
        """
        person, strengths = _order(await _body(request, _LONGEST_ORDER))

        def work() -> dict[str, Any]:
            face, shown = self._sitter.draw(person, strengths)
            return _answer(self._reader.face(face), shown)

        return await self._in_turn(work)

    async def _in_turn(
        self, work: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        if self._waiting >= _WAITING:
            raise HTTPException(
                503, "too many pictures at once: try again in a moment"
            )
        self._waiting += 1
        try:
            began = time.perf_counter()
            found = await anyio.to_thread.run_sync(work, limiter=self._turn)
            return found | {"all_ms": 1000 * (time.perf_counter() - began)}
        finally:
            self._waiting -= 1


async def _body(request: Request, most: int) -> bytes:
    """What a request brings, as long as it is not longer than ``most`` bytes
    and does not take for ever.
    """
    told = request.headers.get("content-length", "0")
    if not told.isdigit() or int(told) > most:
        raise HTTPException(413, f"more than {most:,} bytes are not taken")
    taken = bytearray()
    began = anyio.current_time()
    with anyio.move_on_after(_START) as late:
        async for part in request.stream():
            taken += part
            late.deadline = began + min(
                _PATIENCE, _START + len(taken) / _SLOWEST
            )
            if len(taken) > most:
                raise HTTPException(
                    413, f"more than {most:,} bytes are not taken"
                )
    if late.cancelled_caught:
        raise HTTPException(408, "the picture took too long to arrive")
    return bytes(taken)


def _order(body: bytes) -> tuple[int, dict[int, float]]:
    """The person and the strengths of action units that sliders ask for;
    raises ``InputError`` for anything else.
    """
    try:
        order = json.loads(body)
        person = order["person"]
        wanted = order["action_units"].items()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(
            'expected {"person": 0, "action_units": {"AU12": 0.5}}'
        ) from None
    if type(person) is not int or not 0 <= person < _PEOPLE:
        raise InputError(f"person: expected a number from 0 to {_PEOPLE - 1}")
    known = {facs.code(number): number for number in facs.rendered()}
    for code, strength in wanted:
        if code not in known:
            raise InputError(
                f"action unit {str(code)[:20]!r}: not one that the face model can show"
            )
        if type(strength) not in (int, float) or not 0 <= strength <= 1:
            raise InputError(f"{code}: expected a strength from 0 to 1")
    return person, {known[code]: float(strength) for code, strength in wanted}


def _answer(
    answer: Answer, shown: NDArray[np.uint8] | None = None
) -> dict[str, Any]:
    """What the page is told of a answer."""
    face = np.rint(answer.face.transpose(1, 2, 0) * 255).astype(np.uint8)
    return {
        "face": _picture(shown if shown is not None else face.squeeze()),
        "note": answer.note,
        "shares": answer.shares,
        "values": dict(answer.values),
        "units": [
            {
                "unit": each.unit,
                "above": each.above,
                "action_unit": each.action_unit,
                "detects": each.detects,
                "seen": _picture(each.seen),
            }
            for each in answer.firing
        ],
        "network_ms": 1000 * answer.seconds,
    }


def _picture(pixels: NDArray[np.uint8]) -> str:
    packed = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        packed, "PNG", compress_level=1
    )
    return (
        "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode()
    )


# answers


def _answering(
    work: Callable[[Request], Awaitable[dict[str, Any]]],
) -> Handler:
    """Answer with what a function tells, or with the line that says what was
    wrong.
    """

    async def answered(request: Request) -> Response:
        if not _of_this_page(request):
            raise HTTPException(
                403, "this page answers to itself, not to other sites"
            )
        try:
            return JSONResponse(await work(request), headers=_GUARDED)
        except InputError as error:
            return JSONResponse({"error": str(error)}, 400, headers=_GUARDED)
        except ClientDisconnect:
            return Response(status_code=400)

    return answered


def _of_this_page(request: Request) -> bool:
    """Whether a browser says that the page itself asks; who says nothing is no
    browser.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in (
        "same-origin",
        "none",
    ):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get(
        "host"
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # what it is registered for
    return JSONResponse(
        {"error": error.detail}, error.status_code, headers=_GUARDED
    )


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse(
        {"error": "the server made a mistake; its terminal says which"},
        500,
        headers=_GUARDED,
    )


def _page(study: Study) -> Handler:
    environment = Environment(
        loader=PackageLoader("duchenne.app"), autoescape=True
    )
    known = [
        (facs.code(number), facs.ACTION_UNITS[number])
        for number in facs.rendered()
    ]
    html = environment.get_template("app.html").render(
        study=study, action_units=known
    )

    async def answered(request: Request) -> Response:
        return HTMLResponse(html, headers=_GUARDED)

    return answered


def _file(name: str, kind: str) -> Handler:
    content = files("duchenne.app").joinpath("templates", name).read_bytes()
    return partial(_sent, content, kind)


async def _sent(content: bytes, kind: str, request: Request) -> Response:
    return Response(content, media_type=kind, headers=_GUARDED)
