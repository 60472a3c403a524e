"""A live page for a study: a photograph or a slider face in, the expression,
the units that fire and what they see out.

Pictures stay in memory, are never written, and are bounded in bytes and
pixels. Needs the extra ``duchenne[app]``.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
from collections.abc import Callable

from duchenne.errors import ArgumentError, InputError
from duchenne.study.record import Study

_NEEDED = ("starlette", "uvicorn")
_CONNECTIONS = 512  # of all addresses


def serve(
    study: Study, host: str, port: int, announce: Callable[[str], None]
) -> None:
    """Serve the live page of a study until it is interrupted; port 0 takes a
    free one.

    By names of this machine only, unless ``host`` is an address that others
    reach. Raises ``InputError`` where the extra is not installed, and for an
    address that cannot be listened on.
    """
    if not all(importlib.util.find_spec(name) for name in _NEEDED):
        raise InputError(
            "the live page needs more packages: pip install 'duchenne[app]'"
        )
    import uvicorn

    from duchenne.app.connections import Bounded
    from duchenne.app.server import application

    everywhere = not _is_here(host)
    listening = _listening(host, port)
    app = application(study, everywhere, _named(host))
    if everywhere:
        announce(
            f"{host} is not this machine alone: whoever reaches it can send pictures"
        )
    announce(
        f"http://{_named(host)}:{listening.getsockname()[1]}/  (Ctrl-C ends it)"
    )
    settings = uvicorn.Config(
        app,
        log_level="warning",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
        limit_concurrency=_CONNECTIONS,
        http=Bounded,
    )
    uvicorn.Server(settings).run(sockets=[listening])


def _is_here(host: str) -> bool:
    """Whether an address is this machine's own and no other's.

    >>> _is_here("127.0.0.1"), _is_here("localhost"), _is_here("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
        )
    except OSError as error:
        raise ArgumentError(
            "host", f"{host}, port {port}: {error.strerror or error}"
        ) from None
