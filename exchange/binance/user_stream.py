"""The private stream: tells that something of ours changed, so that it is read at once instead of at the next poll.

Address: /private/ws?listenKey=…&events=… . The list is a strict allow list (an event that is not named never
comes, the key's expiry included) and other forms connect and stay silent (field probes 2026-05 to 2026-09).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable

from exchange.binance.codec_events import user_event
from exchange.binance.listen_keys import EXTEND_S, ListenKeys
from exchange.binance.stream import Connect, SessionEnded, Stream
from exchange.clock import Clock
from exchange.errors import ExchangeError
from exchange.events import ListenKeyExpired, Sink, told_client_id

log = logging.getLogger(__name__)

EVENTS = (
    "ORDER_TRADE_UPDATE",
    "ACCOUNT_UPDATE",
    "ALGO_UPDATE",
    "ACCOUNT_CONFIG_UPDATE",
    "MARGIN_CALL",
    "TRADE_LITE",
    "listenKeyExpired",
)
"""Everything worth a look (user-data streams, checked 2026-11)."""

SILENT_S = 10.0
"""An order of ours that the exchange confirmed must be heard of within this time, or the socket is deaf."""

_CHECK_S = 1.0
_RETRY_S = 60.0  # a failed extension has 30 minutes left to succeed
_REMEMBERED_MAX = 1_000


class UserStream:
    """Runs until cancelled; what it hears goes to the sink. The bot works without it.

    ``received_count`` counts the events of the present connection.
    """

    name = "user"

    def __init__(
        self,
        *,
        keys: ListenKeys,
        base_urls: tuple[str, ...],
        clock: Clock,
        sink: Sink,
        connect_to: Connect | None = None,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._sink = sink
        self._stream = Stream(self, base_urls=base_urls, clock=clock, sink=sink, connect_to=connect_to)
        self.received_count = 0
        self._expected: OrderedDict[str, float] = OrderedDict()
        self._heard: OrderedDict[str, None] = OrderedDict()

    async def run(self) -> None:
        """Listen for ever, over as many connections as it takes."""
        await self._stream.run()

    @property
    def is_open(self) -> bool:
        """Whether it hears now."""
        return self._stream.is_open

    def expect(self, client_id: str) -> None:
        """An order with this id was confirmed: an event about it must come, or have come already."""
        if self.is_open and client_id not in self._heard:
            self._expected[client_id] = self._clock.monotonic() + SILENT_S
            _trim(self._expected)

    async def path(self) -> str:
        """A key for each connection: POST returns the living one or makes a new one."""
        return f"/private/ws?listenKey={await self._keys.create()}&events={'/'.join(EVENTS)}"

    def opened(self) -> None:
        """What was expected before may have been told while nobody listened."""
        self.received_count = 0
        self._expected.clear()

    def received(self, payload: object) -> None:
        """Pass an event on; an expired key ends the connection, which stays open but silent (R31)."""
        self.received_count += 1
        event = user_event(payload)
        client_id = told_client_id(event)
        if client_id is not None:
            self._expected.pop(client_id, None)
            self._heard[client_id] = None
            _trim(self._heard)
        self._sink(event)
        if isinstance(event, ListenKeyExpired):
            raise SessionEnded("the listen key expired")

    def guards(self) -> list[Awaitable[None]]:
        """Extend the key, and notice a socket that is deaf."""
        return [self._keep_alive(), self._watch()]

    async def _keep_alive(self) -> None:
        pause_s = EXTEND_S
        while True:
            await self._clock.sleep(pause_s)
            try:
                if not await self._keys.extend():
                    raise SessionEnded("the listen key is gone (-1125)")
                pause_s = EXTEND_S
            except ExchangeError as error:
                log.warning("the listen key could not be extended, again in %s s: %s", _RETRY_S, error)
                pause_s = _RETRY_S

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(_CHECK_S)
            now = self._clock.monotonic()
            late = [client_id for client_id, deadline in self._expected.items() if now >= deadline]
            if late:
                raise SessionEnded(
                    f"no event about order {late[0]} within {SILENT_S} s of its confirmation", silent=True
                )


def _trim(remembered: OrderedDict[str, float] | OrderedDict[str, None]) -> None:
    while len(remembered) > _REMEMBERED_MAX:
        remembered.popitem(last=False)
