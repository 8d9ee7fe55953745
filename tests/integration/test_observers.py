"""Whoever observes a trade goes away in the middle of it: the bot as a process, its readers gone, full or silent (R71).

One run passes through every transition of a trade with both of its streams, its dashboard and its messenger spoilt.
Each stream meets each condition: its reader has gone, its pipe is full, its disk is full, its terminal was closed.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from exchange.client_ids import Leg, parse
from exchange.sim.server.launch import launched
from fsm.core.model.records import State
from fsm.journal.replay import replay
from fsm.proofs.crashsweep.real_bot import ANSWER_S_MAX, RealBot
from fsm.proofs.testkit.scripted_market import QUIET_HOURS, RULES, START_MS, jump, quiet
from store import queries
from store.verify import verify
from tests.effort import sampled
from tests.integration.scenarios.acting import OPENED
from tests.integration.stories import CONFIG, HOUR_MS, LOW, NOON_MS, SYMBOL, TOP, write_market

BTC = 60_000.0
DEADLINE_S = 5.0
"""Or as long as a start takes, where that is longer: all real times stretch then (RealBot)."""
END_S = 120.0
SOON_S = 0.02
LIFE = [*OPENED, "exit STOP_HIT", "flat STOP_HIT"]
PIPE_BYTES = 4_096


class Spoilt:
    """Where one stream of the bot leads; ``spoil`` makes it go wrong, which is before the entry."""

    def __init__(self, condition: str) -> None:
        self.condition = condition
        if condition == "full disk":
            self.fd, self._other = os.open("/dev/full", os.O_WRONLY), -1
        elif condition == "terminal gone":
            self._other, self.fd = os.openpty()
        else:
            self._other, self.fd = os.pipe()
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            os.set_blocking(self._other, False)

    def drain(self) -> None:
        """Read what the bot has said while its readers are still there."""
        if self.condition == "closed" or self.condition == "full":
            try:
                while os.read(self._other, PIPE_BYTES):
                    pass
            except BlockingIOError:
                return

    def spoil(self) -> None:
        if self.condition == "full":
            os.set_blocking(self.fd, False)
            try:
                while os.write(self.fd, b"." * PIPE_BYTES):
                    pass
            except BlockingIOError:
                os.set_blocking(self.fd, True)
        elif self._other >= 0:
            os.close(self._other)
            self._other = -1

    def close(self) -> None:
        for fd in (self.fd, self._other):
            if fd >= 0:
                os.close(fd)


@contextmanager
def unread_requests(port: int) -> Iterator[None]:
    """A listener of events and a reader of metrics who ask and never read, and one who has gone before the answer."""
    with ExitStack() as stack:
        for path in ("/api/events", "/metrics", "/metrics"):
            asking = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), 5)))
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
            asking.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        asking.close()
        yield


def life_of(bot: RealBot) -> list[str]:
    """What the trade went through. A mark of the start that a look met before it was cancelled is swept, and no part
    of it."""
    swept = "SELECT i.client_id FROM intents i JOIN transitions t ON t.id = i.transition_id WHERE t.trigger = 'sweep'"
    for (client_id,) in bot.store.connection.execute(f"{swept} AND i.client_id IS NOT NULL"):
        parts = parse(client_id)
        assert parts is not None
        assert parts.leg is Leg.PROBE, client_id
    rows = bot.store.connection.execute("SELECT trigger, reason FROM transitions WHERE trigger <> 'sweep' ORDER BY id")
    return [f"{trigger} {reason}" for trigger, reason in rows]


async def through_the_trade(bot: RealBot, port: int, streams: list[Spoilt]) -> None:
    def drained() -> None:
        for stream in streams:
            stream.drain()

    bot.spawn(*(stream.fd for stream in streams))
    await bot.until(bot.is_ready, "get ready", meanwhile=drained)
    bot.exposure.start_s = time.monotonic() - bot.started_s
    await bot.until(lambda: _answers(port), "serve its dashboard", meanwhile=drained)
    for stream in streams:
        stream.spoil()
    with unread_requests(port):
        await bot.simulation.advance(HOUR_MS // 2 + 2_000)
        await bot.until(lambda: bot.has_decided(START_MS + (QUIET_HOURS - 1) * HOUR_MS, 1), "decide on a quiet hour")
        await bot.simulation.advance(HOUR_MS)
        await _until(bot, State.PROTECTED)
        await bot.simulation.advance(3 * HOUR_MS)
        await _until(bot, State.IDLE)
        await bot.until(lambda: _are_counted(bot, streams), "count what nobody took")
        bot.send(signal.SIGTERM)
        assert bot.ended(END_S) == 0


async def _until(bot: RealBot, state: State) -> None:
    """As long as it takes, looking all the time at how long the position is without a stop. Nothing is under way at
    its end: a clock that jumps would refuse it."""
    reached = False
    while not reached:
        assert bot.is_running
        shown = await bot.look()
        reached = SYMBOL in bot.records() and bot.records()[SYMBOL].state is state and bot.agrees(shown)
        await asyncio.sleep(SOON_S)


def _are_counted(bot: RealBot, streams: list[Spoilt]) -> bool:
    """In its health: each stream that failed. A full one waits in silence, and a terminal shows warnings alone."""
    found = queries.document(bot.store, "health")
    counted = {} if found is None else msgspec.json.decode(found.body_json)["output"]
    silent = ("full", "terminal gone")
    owed = [name for name, stream in zip(("stdout", "stderr"), streams, strict=True) if stream.condition not in silent]
    return all(counted[name]["errors"] > 0 and counted[name]["dropped"] > 0 for name in owed)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full and the size of a pipe are Linux's")
@pytest.mark.parametrize(
    ("stdout", "stderr"),
    sampled(
        [("closed", "full"), ("full", "full disk"), ("full disk", "terminal gone"), ("terminal gone", "closed")],
        often=2,
    ),
)
def test_a_trade_is_covered_and_ends_whatever_becomes_of_those_who_watch_it(
    tmp_path: Path, stdout: str, stderr: str
) -> None:
    write_market(tmp_path, [jump(BTC), *quiet(TOP, 2), (TOP, TOP, LOW, TOP), *quiet(TOP, 6)])
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "rules.yaml").write_text(RULES)
    port = _free_port()
    streams = [Spoilt(stdout), Spoilt(stderr)]

    async def play() -> None:
        with launched("--data", str(tmp_path), "--start", str(NOON_MS), "--speed", "0") as exchange:
            bot = RealBot(
                exchange,
                tmp_path,
                config=tmp_path / "config.yaml",
                rules=tmp_path / "rules.yaml",
                options=("--port", str(port)),
                environment={"TG_BOT_TOKEN": "1:" + "t" * 35, "TG_CHAT_ID": "7", "TG_BASE_URL": silent},
            )
            try:
                await through_the_trade(bot, port, streams)
                assert bot.exposure.late == 0
                assert bot.exposure.longest_s < max(DEADLINE_S, bot.exposure.start_s)
                assert life_of(bot)[: len(LIFE)] == LIFE
            finally:
                await bot.close()
        assert verify(bot.db).fine
        assert replay(bot.db).differences == ()

    with socket.create_server(("127.0.0.1", 0)) as never_answers:
        silent = f"http://127.0.0.1:{never_answers.getsockname()[1]}"
        try:
            asyncio.run(asyncio.wait_for(play(), 3 * ANSWER_S_MAX))
        finally:
            for stream in streams:
                stream.close()
