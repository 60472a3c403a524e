"""Connections to the live page: a client that sends nothing, or hardly
anything, keeps nobody else out.

A connection has ten seconds for a request's first lines. Of one address at
most sixty-four are held; a further one takes the place of the oldest whose
request has not arrived yet.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 10.0
"""Seconds that a request's first lines may take to arrive."""

MOST = 64
"""Connections of one address."""


class Bounded(H11Protocol):
    """Uvicorn's own protocol, with a time for a request to arrive and a number
    of connections an address.
    """

    _of_address: ClassVar[defaultdict[str, OrderedDict[Bounded, None]]] = (
        defaultdict(OrderedDict)
    )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, in place of an idle one of the same address where
        there are too many.
        """
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        others = self._of_address[self._address]
        if len(others) >= MOST:
            oldest = next((each for each in others if not each.arrived), None)
            if oldest is None:
                transport.abort()
            else:
                oldest.transport.abort()
        others[self] = None
        self._late = self.loop.call_later(
            PATIENCE, self._close_where_nothing_came
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._late.cancel()
        others = self._of_address[self._address]
        others.pop(self, None)
        if not others:
            del self._of_address[self._address]
        super().connection_lost(exc)

    @property
    def arrived(self) -> bool:
        """Whether a request is here as a whole, and may be at work."""
        return self.conn.their_state in (h11.DONE, h11.MUST_CLOSE)

    def on_response_complete(self) -> None:
        """Give the next request on the same connection as long to arrive."""
        super().on_response_complete()
        self._late.cancel()
        self._late = self.loop.call_later(
            PATIENCE, self._close_where_nothing_came
        )

    def _close_where_nothing_came(self, *_: Any) -> None:
        if (
            self.conn.their_state is h11.IDLE
            and not self.transport.is_closing()
        ):
            self.transport.close()
