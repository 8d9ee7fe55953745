"""The daemon trades on an exchange that it was not written for, by the port alone, is killed there, and recovers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal, localcontext
from pathlib import Path

import pytest

from exchange.events import OrderChanged, Sink
from exchange.port import EventStream
from fsm.config import load_config
from fsm.core.model.money import MONEY
from fsm.core.model.records import State
from fsm.journal.replay import replay
from fsm.live.context.clock import DrivenClock
from fsm.live.process.assembly import assemble
from fsm.live.process.daemon import Daemon
from fsm.proofs.testkit.scripted_market import LIVE_FROM, QUIET_HOURS, RULES, START_MS, adapted, jump, quiet
from fsm.proofs.testkit.virtual_time import run_virtually
from rules.load import parse_rules
from store import queries
from store.database import open_store
from store.lock import ProcessLock
from store.verify import verify
from tests.integration.bourse.client import SYMBOL, BourseClient, ms, order_of
from tests.integration.bourse.venue import HOUR_S, Bourse, Row

BTC = 60_000.0
TOP = BTC * 1.01
START_S, FIRST_S = START_MS // 1000, START_MS // 1000 + LIVE_FROM * HOUR_S
TO_SIGNAL = QUIET_HOURS - LIVE_FROM + 1
CALM = [jump(BTC), *quiet(TOP, 6)]
STOPPED = [jump(BTC), *quiet(TOP, 2), (TOP, TOP, BTC * 0.998, TOP), *quiet(TOP, 3)]
HIT = [jump(BTC), *quiet(TOP, 1), (TOP, TOP * 1.04, TOP, TOP), *quiet(TOP, 3)]
SECONDS_TO_RECOVER = 30.0


class Trader:
    """The daemon before the second exchange, as often as it is started, with one database."""

    def __init__(self, folder: Path, hours: list[tuple[float, float, float, float]]) -> None:
        self.db = folder / "bourse.sqlite"
        self.bourse = Bourse([*quiet(BTC, QUIET_HOURS), *hours], START_S, FIRST_S)
        self.clock = DrivenClock(lambda: ms(self.bourse.now_s))
        self.config = adapted(
            load_config(Path(__file__).parents[2] / "config.yaml", None, {"BINANCE_ENV": "sim"}), (SYMBOL,), {}
        )
        self.rules = parse_rules(RULES, "rules")
        self.lock = ProcessLock(self.db)
        self.told: list[str] = []
        self.daemon: Daemon | None = None
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.lock.acquire()
        self.store = open_store(self.db, mode="write", at_ms=self.clock.now_ms())
        self.store.bind(environment="sim", account=None, at_ms=self.clock.now_ms(), database_id="b0015e01")
        self.task = asyncio.create_task(self._live())
        while self.daemon is None or not self.daemon.started.is_set():
            assert not self.task.done(), self.task.exception()
            await asyncio.sleep(0.1)

    async def _live(self) -> None:
        self.client = BourseClient(self.bourse)
        self.daemon = await assemble(
            config=self.config,
            rules=self.rules,
            store=self.store,
            run_id=f"run{len(self.told)}",
            exchange=self.client,
            clock=self.clock,
            on_step=lambda step: self.told.append(f"{step.trigger.value} {step.reason}"),
            listen=self._listen,
        )
        await self.daemon.run()

    def _listen(self, sink: Sink) -> EventStream:
        self.bourse.on_change = lambda slip: sink(changed(slip))
        return Ticker()

    async def kill(self) -> None:
        assert self.task is not None
        self.store.close()
        self.task.cancel()
        await asyncio.wait({self.task})
        self.daemon, self.bourse.on_change = None, lambda slip: None
        self.lock.release()

    async def hours(self, count: int) -> None:
        """Hour after hour along its path, each decided on at its end."""
        for _ in range(count):
            hour_s = int(self.bourse.now_s) // HOUR_S * HOUR_S
            for at_s, price in self.bourse.path(hour_s):
                self.bourse.move(at_s, price)
                await asyncio.sleep(1)
            self.bourse.move(hour_s + HOUR_S + 2.5, float(self.bourse.price))
            await asyncio.sleep(3)

    @property
    def state(self) -> State:
        assert self.daemon is not None
        return self.daemon.live.engine.record(SYMBOL).state

    @property
    def covers(self) -> list[Decimal]:
        return [guard["at"] for guard in self.bourse.guards if guard["sort"] == "loss" and guard["is"] == "armed"]


class Ticker:
    """The event stream of the second exchange: it tells as its slips change, and there is no line to break."""

    received_count, is_open = 0, True

    async def run(self) -> None:
        await asyncio.Event().wait()

    def expect(self, client_id: str) -> None:
        """Each change is told once, at once."""


def changed(slip: Row) -> OrderChanged:
    order = order_of(slip)
    return OrderChanged(order=order, execution="TRADE", fill=None, expiry_reason="", time_ms=order.update_time_ms)


def played(trader: Trader, story: Callable[[Trader], Awaitable[None]]) -> None:
    async def play() -> None:
        try:
            await story(trader)
        finally:
            if trader.daemon is not None:
                await trader.kill()

    with localcontext(MONEY):
        run_virtually(play())
    assert verify(trader.db).problems == ()
    report = replay(trader.db)
    assert (report.different, report.differences) == (0, ()), "the rows say all that they were decided by"


@pytest.mark.parametrize(("hours", "ends"), [(STOPPED, "STOP_HIT"), (HIT, "TARGET_HIT")], ids=["stop", "target"])
def test_a_trade_from_its_signal_to_its_books(tmp_path: Path, hours: list[tuple[float, ...]], ends: str) -> None:
    trader = Trader(tmp_path, hours)  # type: ignore[arg-type]

    async def story(trader: Trader) -> None:
        await trader.start()
        await trader.hours(TO_SIGNAL)
        assert trader.state is State.PROTECTED, trader.told
        assert len(trader.covers) == 1
        await trader.hours(5)
        assert trader.bourse.held == 0, (trader.told, trader.bourse.guards, trader.bourse.deals)
        trade = queries.trade(trader.store, f"{SYMBOL}-1")
        assert trade is not None
        assert (trade.exit_reason, trade.status) == (ends, "CLOSED")
        earned = sum(row["sum"] for row in trader.bourse.statement)
        assert abs(Decimal(trade.net_pnl) - earned) < Decimal("0.000001"), "its books are the exchange's own"

    played(trader, story)


@pytest.mark.parametrize("unanswered", ["slips/put", "guards/put"])
def test_killed_while_an_order_has_no_answer_it_recovers_and_orders_nothing_twice(
    tmp_path: Path, unanswered: str
) -> None:
    """What was under way is found again by its name, and the position gets its stop."""
    trader = Trader(tmp_path, CALM)

    async def story(trader: Trader) -> None:
        await trader.start()
        await trader.hours(TO_SIGNAL - 1)
        trader.client.unanswered = unanswered
        await trader.hours(1)
        assert trader.bourse.held > 0
        held = trader.bourse.held
        await trader.kill()
        await trader.start()
        await asyncio.sleep(SECONDS_TO_RECOVER)
        assert trader.state is State.PROTECTED, trader.told
        assert len(trader.covers) == 1
        assert trader.bourse.held == held
        assert [slip["ref"].split("-")[-1][0] for slip in trader.bourse.slips] == ["E"]

    played(trader, story)


@pytest.mark.parametrize(
    ("word", "told"),
    [("AT_ONCE", "flatten STOP_WOULD_TRIGGER"), ("HOLIDAY", "flatten PROTECTION_DEADLINE")],
    ids=["known", "unknown"],
)
def test_a_refusal_of_the_stop_is_decided_by_its_reason_and_told_in_the_exchanges_word(
    tmp_path: Path, word: str, told: str
) -> None:
    """A position that gets no stop is closed, whatever the exchange calls it: at once where none can ever rest, at the
    deadline where nobody knows that (R84)."""
    trader = Trader(tmp_path, CALM)

    async def story(trader: Trader) -> None:
        await trader.start()
        await trader.hours(TO_SIGNAL - 1)
        trader.bourse.refuses["guards/put"] = word
        await trader.hours(1)
        await asyncio.sleep(SECONDS_TO_RECOVER)
        assert told in trader.told
        assert trader.bourse.held == 0

    played(trader, story)


def test_an_entry_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    trader = Trader(tmp_path, CALM)

    async def story(trader: Trader) -> None:
        await trader.start()
        trader.bourse.refuses["slips/put"] = "HOLIDAY"
        await trader.hours(TO_SIGNAL)
        assert trader.told[-1] == "abandon ENTRY_REFUSED HOLIDAY"
        assert (trader.state, trader.bourse.slips) == (State.IDLE, [])

    played(trader, story)


def test_a_stop_that_is_denied_for_want_of_a_position_is_no_news_in_any_exchanges_word(tmp_path: Path) -> None:
    """The position lags behind its own fill: a look comes first, and what follows from it is told."""
    trader = Trader(tmp_path, CALM)

    async def story(trader: Trader) -> None:
        await trader.start()
        await trader.hours(TO_SIGNAL - 1)
        trader.bourse.refuses["guards/put"] = "EMPTY_HANDED"
        trader.bourse.on_refused = lambda what: trader.bourse.refuses.clear()
        await trader.hours(1)
        await asyncio.sleep(SECONDS_TO_RECOVER)
        assert "reprotect STOP_REFUSED EMPTY_HANDED" in trader.told
        assert trader.state is State.PROTECTED, trader.told
        texts = [text for (text,) in trader.store.connection.execute("SELECT text FROM alerts")]
        assert texts
        assert not [text for text in texts if "EMPTY_HANDED" in text]

    played(trader, story)
