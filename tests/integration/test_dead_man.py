"""Who watches from outside hears from the bot while it can protect, and only then."""

from __future__ import annotations

import asyncio
import base64
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from exchange.sim.port_faults import Call, Fault, Lost
from fsm.live.operator.courier import Courier
from fsm.live.process.dead_man import DeadMan, ask, find_room
from fsm.proofs.crashsweep.real_bot import RealBot
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet
from tests.integration.stories import BTC, CONFIG, TOP, tell, to_protected
from tests.integration.watcher_server import Watcher, watcher
from tests.pace import stretch

Make = Callable[..., InProcessBot]
OPEN = [jump(BTC), *quiet(TOP, 20)]
SILENCE_S = 5.0
"""With a ping a second."""


class Heard:
    """A dead man's switch of a bot in this process, and how often it was heard."""

    def __init__(self, r: InProcessBot) -> None:
        self.pings = 0
        self.counted: list[str] = []

        async def send() -> None:
            self.pings += 1

        async def room() -> None:
            find_room(r.db.parent)

        daemon = r.running
        self.dead_man = DeadMan(
            daemon.live,
            daemon.workers,
            send=send,
            room=room,
            clock=r.clock,
            count=lambda *what: self.counted.append(what[2]),
        )

    async def hears(self) -> bool:
        before = self.pings
        await self.dead_man.round()
        return self.pings > before


class TestWhatSilencesIt:
    @pytest.mark.parametrize("hours", [0.0, TO_SIGNAL + 0.5], ids=["flat", "in a trade"])
    def test_a_bot_that_protects_is_heard_and_asking_leaves_no_trace(self, rehearse: Make, hours: float) -> None:
        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(hours)
            heard = Heard(r)
            before = r.venue.open_algos()
            for _ in range(5):
                assert await heard.hears()
            assert r.venue.open_algos() == before
            assert heard.counted == []

        rehearse(BTCUSDT=OPEN).run(script)

    @pytest.mark.parametrize(
        ("fault", "why"),
        [
            (lambda call: Fault(lost=Lost.REQUEST), "does not"),
            (lambda call: Fault(lost=Lost.ANSWER) if call.method == "cancel_algo" else None, "does not take"),
            (lambda call: Fault(refuse=-2015) if call.method == "cancel_algo" else None, "does not take"),
            (lambda call: Fault(delay_s=9.0), "does not answer within 8 s"),
        ],
        ids=["nothing is answered", "writes are not answered", "writes are refused", "too slow"],
    )
    def test_an_exchange_that_does_not_take_what_protects(
        self, rehearse: Make, fault: Callable[[Call], Fault | None], why: str
    ) -> None:
        async def script(r: InProcessBot) -> None:
            await r.start()
            heard = Heard(r)
            assert await heard.hears()
            r.faults = fault
            assert not await heard.hears()
            assert why in heard.counted[-1]
            r.faults = lambda call: None
            assert await heard.hears()

        rehearse(BTCUSDT=OPEN).run(script)

    def test_a_disk_that_takes_no_page_more(self, rehearse: Make) -> None:
        """SQLite's own refusal, while rows that take no room could still be written."""

        async def script(r: InProcessBot) -> None:
            await r.start()
            heard = Heard(r)
            assert r.store is not None
            connection = r.store.connection
            connection.pragma("max_page_count", connection.pragma("page_count"))
            found = [await heard.hears() for _ in range(4)]
            assert found[-2:] != [True, True]
            assert "nothing can be written down" in heard.counted[-1]
            connection.pragma("max_page_count", 1_000_000)
            assert await heard.hears()

        rehearse(BTCUSDT=OPEN).run(script)

    def test_no_room_beside_the_database(self, rehearse: Make, tmp_path: Path) -> None:
        async def script(r: InProcessBot) -> None:
            await r.start()
            heard = Heard(r)
            was = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, was[1]))
            try:
                with pytest.raises(OSError, match="File too large"):
                    find_room(tmp_path)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, was)
            assert await heard.hears()

        rehearse(BTCUSDT=OPEN).run(script)

    def test_a_position_without_a_stop_beyond_its_deadline(self, rehearse: Make) -> None:
        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            heard = Heard(r)
            assert await heard.hears()
            r.venue.cancel_all_algos("BTCUSDT")

            def nothing_else(call: Call) -> Fault | None:
                return Fault(refuse=-1008) if call.method in ("place_algo", "place_order") else None

            r.faults = nothing_else
            await r.clock.sleep(5.0)
            assert await heard.hears(), "a stop that is being placed again is what protecting is"
            await r.clock.sleep(20.0)
            assert not await heard.hears()
            assert "BTCUSDT has been without a stop for" in heard.counted[-1]
            r.faults = lambda call: None

        rehearse(BTCUSDT=OPEN).run(script)


class TestProcesses:
    @pytest.mark.slow
    def test_a_frozen_bot_a_refusing_exchange_and_a_full_disk_are_silent_a_slow_dashboard_is_not(
        self, tmp_path: Path
    ) -> None:
        with watcher() as outside:
            page = ("--port", "0")
            environment = {"PING_URL": f"{outside.url}/ping/a-secret-of-mine?key=1"}

            async def story(bot: RealBot) -> None:
                await to_protected(bot)
                await goes_on(bot, outside)
                dashboards = children_of(bot.pid)
                assert dashboards
                for child in dashboards:
                    os.kill(child, signal.SIGSTOP)
                await goes_on(bot, outside)
                for child in dashboards:
                    os.kill(child, signal.SIGCONT)
                bot.send(signal.SIGSTOP)
                await falls_silent(bot, outside)
                bot.send(signal.SIGCONT)
                await goes_on(bot, outside)
                await bot.simulation.fault(effect="firewall_403")
                await falls_silent(bot, outside)
                await bot.simulation.end_faults()
                await goes_on(bot, outside)
                resource.prlimit(bot.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
                await falls_silent(bot, outside)
                assert set(outside.paths) == {"/ping/a-secret-of-mine?key=1"}
                assert b"a-secret-of-mine" not in bot.log.read_bytes()

            tell(
                tmp_path,
                [jump(BTC), *quiet(TOP, 5)],
                story,
                config=f"{CONFIG}loops: {{ping_interval_ms: 1000}}\nweb: {{port: 0}}\n",
                options=page,
                environment=environment,
            )


def children_of(pid: int) -> list[int]:
    """By the list of every process: its parent is the second number after its name."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


async def goes_on(bot: RealBot, outside: Watcher) -> None:
    before = outside.count
    await bot.until(lambda: outside.count >= before + 3, "ping")


async def falls_silent(bot: RealBot, outside: Watcher) -> None:
    """Within a minute, on a machine that has time for it."""
    slowed, began_s = stretch(), time.monotonic()
    await bot.until(lambda: outside.is_silent(SILENCE_S), "fall silent")
    assert time.monotonic() - began_s < 60 * slowed


class TestAsking:
    def test_any_answer_but_a_failure_will_do(self) -> None:
        with watcher() as outside:
            ask(f"{outside.url}/x")
            outside.status = 500
            with pytest.raises(OSError, match="500"):
                ask(f"{outside.url}/x")

    def test_name_and_password_of_the_address_are_sent_as_such(self) -> None:
        with watcher() as outside:
            ask(outside.url.replace("http://", "http://me:p%40ss@") + "/x")
            assert outside.paths == ["/x"]
            assert outside.names == [f"Basic {base64.b64encode(b'me:p@ss').decode()}"]

    def test_a_redirection_is_followed_without_the_password(self) -> None:
        with watcher() as elsewhere, watcher() as outside:
            outside.status, outside.location = 302, f"{elsewhere.url}/y"
            ask(outside.url.replace("http://", "http://me:secret@") + "/x")
            assert (len(outside.paths), elsewhere.paths) == (1, ["/y"])
            assert elsewhere.names == [None]

    def test_a_page_that_wants_a_name_is_no_answer(self) -> None:
        with watcher() as outside:
            outside.status = 401
            with pytest.raises(OSError, match="401"):
                ask(f"{outside.url}/x")

    def test_a_call_that_hangs_costs_the_others_and_nothing_else(self) -> None:
        hanging = threading.Event()

        async def script() -> None:
            courier = Courier("test")
            with pytest.raises(TimeoutError):
                await courier.carry(hanging.wait, 0.05)
            for _ in range(4):
                with pytest.raises(TimeoutError):
                    await courier.carry(int, 0.01)
            with pytest.raises(Exception, match="wait already"):
                await courier.carry(int, 0.01)
            hanging.set()
            while True:
                try:
                    assert await courier.carry(lambda: 7, 5.0) == 7
                    break
                except Exception:
                    continue
            courier.end()

        asyncio.run(script())
