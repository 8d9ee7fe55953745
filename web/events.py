"""Tells browsers what happens as it happens: transitions, alerts and commands as Server-Sent Events.

There is no queue: each listener has a position in the database and reads on from it when something was committed, so a
slow one costs nothing and a lost connection loses nothing. The position goes with every event as its id and comes back
in Last-Event-ID. A listener that is too far behind, or ahead of a database that was begun anew, is told to
read everything again (``reset``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import msgspec
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from store import queries
from store.database import Store
from store.errors import StoreError
from store.inbox import Inbox
from web import documents
from web.bot_database import BotDatabase
from web.errors import ApiError
from web.routes.journal import TransitionView

_log = structlog.get_logger("web")

LISTENERS_MAX = 32
"""Open streams: a few screens of one operator. Each holds a connection and nothing else."""
POLL_S = 0.1
"""How often the database is asked whether anything was committed, while somebody listens."""
HEARTBEAT_S = 15.0
"""A comment is sent after so long a silence, so that proxies keep the connection and dead ones are found."""
SEND_S = 20.0
"""A listener that takes nothing for so long is dropped; it comes back with Last-Event-ID."""
PAGE = 100
BEHIND_MAX = 1_000
"""Transitions a listener may be behind before it is quicker for it to read everything again."""
COMMANDS_WATCHED = 50

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Position:
    """What a listener has been told. ``commands``: all up to it are finished and told; ``told`` those after it."""

    transitions: int
    alerts: int
    commands: int
    told: dict[int, str] = field(default_factory=dict)

    @classmethod
    def at_end(cls, store: Store) -> Position:
        newest = queries.newest_ids(store)
        told = {row.id: row.state for row in Inbox(store).recent(limit=COMMANDS_WATCHED)}
        return cls(newest.transition, newest.alert, newest.command, told)

    @classmethod
    def parsed(cls, text: str) -> Position | None:
        parts = text.split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 15 for part in parts):
            return None
        transitions, alerts, commands = map(int, parts)
        return cls(transitions, alerts, commands)

    def __str__(self) -> str:
        return f"{self.transitions}.{self.alerts}.{self.commands}"


def news(store: Store, position: Position) -> tuple[list[bytes], bool]:
    """The events after a position, which moves on; and whether there are more."""
    newest = queries.newest_ids(store)
    behind = newest.transition - position.transitions
    if behind > BEHIND_MAX or behind < 0 or newest.alert < position.alerts or newest.command < position.commands:
        end = Position.at_end(store)
        position.transitions, position.alerts = end.transitions, end.alerts
        position.commands, position.told = end.commands, end.told
        return [_event("reset", {}, position)], False
    more = behind > PAGE or newest.alert - position.alerts > PAGE
    return [*_transitions(store, position), *_alerts(store, position), *_commands(store, position)], more


def _transitions(store: Store, position: Position) -> Iterator[bytes]:
    rows = queries.transitions_after(store, position.transitions, limit=PAGE)
    machine = documents.machine(store) if rows else None
    for row in rows:
        position.transitions = row.id
        yield _event("transition", TransitionView.of(row, machine), position)


def _alerts(store: Store, position: Position) -> Iterator[bytes]:
    for row in queries.alerts_after(store, position.alerts, limit=PAGE):
        position.alerts = row.id
        yield _event("alert", row, position)


def _commands(store: Store, position: Position) -> Iterator[bytes]:
    recent = Inbox(store).recent(limit=COMMANDS_WATCHED)[::-1]
    for row in recent:
        known = position.told.get(row.id)
        if known == row.state or (known is None and row.id <= position.commands):
            continue
        position.told[row.id] = row.state
        yield _event("command", row, position)
    for row in recent:
        if not row.finished:
            break
        position.commands = max(position.commands, row.id)
    watched = {row.id for row in recent}
    position.told = {row_id: state for row_id, state in position.told.items() if row_id in watched}


def _event(name: str, body: object, position: Position) -> bytes:
    return b"event: %b\nid: %b\ndata: %b\n\n" % (name.encode(), str(position).encode(), _encode(body))


class Watch:
    """Notices commits while somebody listens, by one cheap question at the database in a thread of its own."""

    def __init__(self, database: BotDatabase) -> None:
        self._database = database
        self._committed = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="web-watch")
        self._task: asyncio.Task[None] | None = None
        self.listeners = 0

    def take_place(self) -> Place:
        """A listener's place, from the moment it is accepted. Raises ApiError with 503 when there is none."""
        if self.listeners >= LISTENERS_MAX:
            hint = "close other dashboards, or ask again later"
            raise ApiError(503, "TOO_MANY_LISTENERS", "too many open streams", hint, headers={"Retry-After": "10"})
        self.listeners += 1
        if self._task is None:
            self._task = asyncio.create_task(self._poll())
        return Place(self)

    def leave_place(self) -> None:
        self.listeners -= 1
        if self.listeners == 0 and self._task is not None:
            self._task.cancel()
            self._task = None

    @property
    def next_commit(self) -> asyncio.Event:
        """Set at the next commit. Take it before reading, and wait for it afterwards: nothing falls between."""
        return self._committed

    async def _poll(self) -> None:
        seen = None
        while True:
            version = await asyncio.get_running_loop().run_in_executor(self._thread, self._version)
            if version != seen:
                seen = version
                self._committed.set()
                self._committed = asyncio.Event()
            await asyncio.sleep(POLL_S)

    def _version(self) -> tuple[int, int] | None:
        """None while the database cannot be asked. Whatever fails here must not end the watching: nobody would see it,
        and every open page would stand still (R72)."""
        try:
            store = self._database.store()
            return id(store), store.data_version()
        except StoreError:
            return None
        except Exception as error:
            with suppress(OSError):  # a full disk behind the log
                _log.error("watch failed", error=f"{type(error).__name__}: {error}")
            return None

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown(wait=True, cancel_futures=True)


class Place:
    """What one listener holds while it listens."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.leave_place()


class EventStream(Response):
    """The answer that goes on until the listener leaves."""

    media_type = "text/event-stream"

    def __init__(self, database: BotDatabase, watch: Watch, place: Place, last_event_id: str | None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._database = database
        self._watch = watch
        self._place = place
        self._last = last_event_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            telling = asyncio.create_task(self._tell(send))
            leaving = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                telling.cancel()
                leaving.cancel()
                await asyncio.gather(telling, leaving, return_exceptions=True)

    async def _tell(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._write(send, b"retry: 2000\n\n")
        position = Position.parsed(self._last) if self._last else None
        more = False
        while True:
            next_commit = self._watch.next_commit
            try:
                if position is None:
                    position = await self._database.ask(Position.at_end)
                    await self._write(send, b"event: hello\nid: %b\ndata: {}\n\n" % str(position).encode())
                events, more = await self._news(position)
                if events:
                    await self._write(send, b"".join(events))
            except (StoreError, ApiError):
                more = False  # no database for the moment: the next round looks again
            if not more and not await _within(next_commit, HEARTBEAT_S):
                await self._write(send, b": still here\n\n")

    async def _news(self, position: Position) -> tuple[list[bytes], bool]:
        return await self._database.ask(lambda store: news(store, position))

    async def _write(self, send: Send, body: bytes) -> None:
        async with asyncio.timeout(SEND_S):
            await send({"type": "http.response.body", "body": body, "more_body": True})


async def _within(event: asyncio.Event, timeout_s: float) -> bool:
    # Not wait_for: in Python 3.11 it loses a cancellation that comes with the event, and the listener never ends.
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
