"""What the scenarios share: the small market's prices, faults that strike once, and the way to an open trade."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from exchange.client_ids import Leg, parse
from exchange.sim.port_faults import Call, Fault, Faults
from exchange.types import ConditionalType, OrderRequest, OrderType, Side, SymbolSnapshot
from fsm.config import load_config
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import RULES, TO_SIGNAL, Hour, in_process_bot_of, jump, quiet
from rules.load import parse_rules
from store import queries
from store.database import open_store
from store.inbox import Inbox
from store.trade_rows import TradeRow
from store.views import CommandRow

ROOT = Path(__file__).parents[3]
Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01
CALM = [jump(BTC), *quiet(TOP, 6)]
STOPPED = [jump(BTC), *quiet(TOP, 2), (TOP, TOP, BTC * 0.998, TOP), *quiet(TOP, 4)]
"""An hour that asks for a long, quiet ones, and one that falls through its stop at 59,940 and comes back."""

ETH = [(3000.0, 3031.5, 2997.0, 3030.0), *quiet(3030.0, 6)]
OPENED = ["signal jump LONG", "enter SETUP_READY", "fill FIRST_FILL", "protect STOP_CONFIRMED"]


class Once:
    """A fault for the first call that meets a condition; counts how often it is met."""

    def __init__(self, condition: Callable[[Call], bool], fault: Fault, *, times: int = 1) -> None:
        self._condition = condition
        self._fault = fault
        self._times = times
        self.met = 0

    def __call__(self, call: Call) -> Fault | None:
        if not self._condition(call):
            return None
        self.met += 1
        return self._fault if self.met <= self._times else None


def is_leg(call: Call, leg: Leg) -> bool:
    parts = parse(call.client_id)
    return parts is not None and parts.leg is leg


def entry(call: Call) -> bool:
    return call.method == "place_order" and is_leg(call, Leg.ENTRY)


def stop(call: Call) -> bool:
    return call.method == "place_algo" and is_leg(call, Leg.STOP)


def close(call: Call) -> bool:
    return call.method == "place_order" and is_leg(call, Leg.CLOSE)


def no_fault(call: Call) -> None:
    del call


async def to_trade(r: InProcessBot, faults: Faults | None = None) -> None:
    """Start, and go on until half an hour after the first scripted hour, which asks for a trade, has closed."""
    await r.start()
    if faults is not None:
        r.faults = faults
    await r.hours(TO_SIGNAL + 0.5)


def record(r: InProcessBot, symbol: str = "BTCUSDT") -> Any:
    return r.running.live.engine.record(symbol)


def resting_stops(r: InProcessBot, symbol: str = "BTCUSDT") -> list[str]:
    algos = r.venue.open_algos(symbol)
    return [algo.client_id for algo in algos if algo.type == ConditionalType.STOP_MARKET.value]


def without_trace(snapshot: SymbolSnapshot) -> SymbolSnapshot:
    return replace(snapshot, position=None, orders=(), algo_orders=(), fills=())


NOTHING_THERE: dict[str, Callable[[Any], Any]] = {
    "look": without_trace,
    **dict.fromkeys(("positions", "open_orders", "open_algos", "fills"), lambda rows: []),
    **dict.fromkeys(("order", "algo"), lambda found: None),
}
"""What makes answers about one symbol say that nothing is there."""


def broken(answer: object) -> object:
    raise RuntimeError("an answer that breaks us")


def trades(r: InProcessBot) -> list[TradeRow]:
    with open_store(r.db, mode="read") as store:
        return queries.trades(store)


def latest_reason(r: InProcessBot, symbol: str = "BTCUSDT") -> tuple[str, str]:
    """Outcome and reason of the symbol's newest decision."""
    with open_store(r.db, mode="read") as store:
        (found,) = [row for row in queries.latest_decisions(store) if row.symbol == symbol]
    return found.outcome, found.reason


def post(r: InProcessBot, kind: str, symbol: str | None = None) -> int:
    """Ask the daemon for something, as the command line does."""
    with open_store(r.db, mode="post") as store:
        return Inbox(store).post(kind, symbol, "test", r.venue.now_ms)


def answer(r: InProcessBot, number: int) -> tuple[str, str | None]:
    """What became of a command, and the guard that refused it."""
    found: CommandRow | None
    with open_store(r.db, mode="read") as store:
        found = Inbox(store).get(number)
    assert found is not None
    return found.state, found.guard


def by_hand(
    r: InProcessBot, side: Side, quantity: Decimal, symbol: str = "BTCUSDT", client_id: str = "by-hand"
) -> None:
    """The owner trades at the exchange, and nobody tells the bot."""
    order = OrderRequest(symbol=symbol, side=side, type=OrderType.MARKET, quantity=quantity, client_id=client_id)
    r.venue.place_order(order)
    r.venue.drain()


def rehearsal_with(folder: Path, hours: list[Hour], *, rules: str = RULES, latency_s: float = 0.02) -> InProcessBot:
    """A in-process bot outside of the fixture, which hypothesis needs, under rules of its own."""
    config = load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"})
    r = in_process_bot_of(config, folder / "sim.sqlite", {"BTCUSDT": hours}, latency_s=latency_s)
    r.rules = parse_rules(rules, "rules of a scenario")
    return r


def wick(r: InProcessBot, *, last: float, mark: float | None = None, symbol: str = "BTCUSDT") -> None:
    """Both prices jump at this instant, and the bot may notice."""
    prices = Decimal(str(round(last, 1))), Decimal(str(round(last if mark is None else mark, 1)))
    for _ in r.venue.tick(symbol, last=prices[0], mark=prices[1], at_ms=r.venue.now_ms):
        pass
    r.venue.drain()
    r.running.workers[symbol].request_check()
