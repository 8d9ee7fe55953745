"""Pings somebody outside while this bot can protect, and falls silent when it cannot (a dead man's switch).

A bot that hangs tells nobody. So somebody else (healthchecks.io or the like) expects a ping every minute and calls the
operator when none comes. Being alive is not enough for one: each ping needs new proof that a stop could be placed and
written down. The loop turns, as this runs on it; the exchange answers what protects, reads and writes; a row of a
decision's size was committed and the disk has room for more; and no position has been without its stop for too long.
Nothing else counts: a slow dashboard or a messenger that is away does not silence it.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import os
import tempfile
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import structlog

from exchange.client_ids import Leg, client_id
from exchange.environment import is_loopback
from exchange.errors import ExchangeError
from exchange.refusals import RefusalReason
from exchange.types import Refused
from fsm.live.context.clock import Clock
from fsm.live.context.entry_blocks import ALL, STOPS_UNPROVED
from fsm.live.context.live_context import LiveContext
from fsm.live.operator.courier import Busy, Courier
from fsm.live.trading.symbol_worker import SymbolWorker
from store.errors import StoreError

log = structlog.get_logger("fsm.ping")

DOCUMENT = "ping"
ANSWER_S = 8.0
"""The exchange's answers to both questions together; what takes longer is no protection."""

ROOM_BYTES = 256 * 1024
ROW_BYTES = 16 * 1024
"""As much as a busy close writes. Every other commit is that long, so that the file must find room for it anew."""

NAKED_S = 10.0
"""Beyond the protection deadline: the close that follows it should have got through."""

CALL_S, OUT_S = 5.0, 8.0
FAILURES = (OSError, ValueError, http.client.HTTPException, Busy)
_PROBE = 9_999
"""Trade number 0 has probes alone, and this one is never placed."""

Outside = Callable[[], Awaitable[None]]


class DeadMan:
    """``send`` delivers one ping, ``room`` looks at the disk; both raise what is wrong, and neither runs on the loop.
    ``clock`` is that of this machine, in real time."""

    def __init__(
        self,
        live: LiveContext,
        workers: Mapping[str, SymbolWorker],
        *,
        send: Outside,
        room: Outside,
        clock: Clock,
        count: Callable[[str, str, str], None] = lambda component, name, error: None,
    ) -> None:
        self._live = live
        self._workers = workers
        self._send = send
        self._room = room
        self._clock = clock
        self._count = count
        self._why = ""
        self._sent_wall_ms: int | None = None
        self._is_long = False

    async def run(self, started: asyncio.Event) -> None:
        """A ping every ``loops.ping_interval_ms`` from when the bot decides, as long as it protects."""
        await started.wait()
        while True:
            began_s = self._clock.monotonic()
            await self.round()
            interval_s = self._live.active.settings.loops.ping_interval_ms / 1000
            await self._clock.sleep(max(interval_s - (self._clock.monotonic() - began_s), interval_s / 4))

    async def round(self) -> None:
        """One ping, unless something is wrong."""
        why = await self.fault()
        if why:
            self._fallen_silent(why)
            return
        if self._why:
            log.info("ping_again", reason="PROTECTS")
        self._why = ""
        try:
            await self._send()
            self._sent_wall_ms = self._clock.wall_ms()
        except FAILURES as error:  # their texts may have the address in them
            self._count("ping", "NotDelivered", type(error).__name__)
            log.warning("ping_not_delivered", reason=type(error).__name__)

    async def fault(self) -> str:
        """Why this bot could not protect a position now; empty: it could."""
        here = self._naked() or self._unproved() or self._unwritten()
        return here or await self._cramped() or await self._unanswered()

    def _naked(self) -> str:
        now_s, deadline_s = self._clock.monotonic(), self._live.deadline_ms / 1000
        for symbol, worker in self._workers.items():
            since_s = worker.naked_since_s
            if since_s is not None and now_s - since_s > deadline_s + NAKED_S:
                return f"{symbol} has been without a stop for {now_s - since_s:.0f} s"
        return ""

    def _unproved(self) -> str:
        route = self._live.engine.account.route
        if self._live.blocks.holds(ALL, STOPS_UNPROVED) or (route is not None and not route.proof):
            return "it is not proved that stops can be placed"
        return ""

    async def _unanswered(self) -> str:
        """A read and a write, both of the kind that protects: the stops that rest, and the cancelling of one that does
        not exist, which needs everything that a stop needs, and changes nothing."""
        live = self._live
        symbol = next(iter([*live.engine.active(), *self._workers]), None)
        if symbol is None:
            return ""
        nothing = client_id(live.active.database_id, symbol, 0, Leg.PROBE, 0, _PROBE)
        try:
            async with asyncio.timeout(ANSWER_S):
                await live.exchange.open_algos(symbol)
                outcome = await live.exchange.cancel_algo(symbol, nothing)
        except TimeoutError:
            return f"the exchange does not answer within {ANSWER_S:.0f} s"
        except ExchangeError as error:
            return f"the exchange does not answer: {error}"
        if isinstance(outcome, Refused) and outcome.reason is RefusalReason.NO_SUCH_ORDER:
            return ""
        return f"the exchange does not take what protects: {outcome}"

    def _unwritten(self) -> str:
        self._is_long = not self._is_long
        body = {"sent_wall_ms": self._sent_wall_ms, "room": "." * ROW_BYTES if self._is_long else ""}
        try:
            self._live.journal.document(DOCUMENT, self._live.clock.now_ms(), body)
        except StoreError as error:
            return f"nothing can be written down: {error.message}"
        return ""

    async def _cramped(self) -> str:
        try:
            await self._room()
        except FAILURES as error:
            return f"there is no room beside the database: {error or type(error).__name__}"
        return ""

    def _fallen_silent(self, why: str) -> None:
        if not self._why:
            log.error("ping_withheld", reason="DOES_NOT_PROTECT", why=why)
        self._count("ping", "Withheld", why)
        self._why = why


def by_courier(courier: Courier, call: Callable[[], None]) -> Outside:
    """The call, made in the courier's thread."""

    async def carried() -> None:
        await courier.carry(call, OUT_S)

    return carried


def find_room(folder: Path) -> None:
    """Raises OSError where the disk is full, or the bot may not write so much there."""
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
        else:
            file.write(bytes(ROOM_BYTES))
            file.flush()


def ask(url: str) -> None:
    """GET, and nothing of the answer matters but that it is one. Raises OSError and ValueError."""
    parts = urlsplit(url)
    direct = is_loopback(f"{parts.scheme}://{parts.netloc}")  # a proxy of the environment must not swallow loopback
    handlers = [urllib.request.ProxyHandler({})] if direct else []
    user, at, host = parts.netloc.rpartition("@")
    where = parts._replace(netloc=host).geturl()
    request = urllib.request.Request(where, headers={"User-Agent": "fsm-futures-bot"})  # noqa: S310 - from our own .env
    if at:  # not sent along to where it is redirected to
        name = base64.b64encode(unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {name}")
    with urllib.request.build_opener(*handlers).open(request, timeout=CALL_S) as answer:
        answer.read(1_024)
