"""Short lives of a trade, each played again and again with a death at another call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec

from exchange.client_ids import Leg, parse
from exchange.errors import Unreachable
from exchange.sim.core.events import AlgoUpdated, VenueEvent
from exchange.sim.core.orders import OrderState
from exchange.sim.core.state import VenueState
from exchange.sim.port_faults import Call, Fault
from exchange.types import OrderRequest, OrderType, Side, TimeInForce
from fsm.config import Config, read_environment, read_settings
from fsm.proofs.crashsweep.points import Reaper
from fsm.proofs.crashsweep.stage import CrashingBot
from fsm.proofs.crashsweep.wired import wire
from fsm.proofs.testkit.scripted_market import QUIET_HOURS, RULES, START_MS, Hour, feed, jump, quiet
from rules.load import Ruleset, parse_rules
from rules.source.yaml_source import parse_source
from store.database import open_store
from store.inbox import Inbox

HOUR_MS = 3_600_000
OURS, OTHERS = "BTCUSDT", "ETHUSDT"
BTC, ETH = 60_000.0, 3_000.0
TOP = BTC * 1.01
RISEN = TOP * 1.007**3
FOREIGN_POSITION, FOREIGN_ORDER = "somebody-else-1", "somebody-else-2"
QUIET_S = 20.0

Act = Callable[[CrashingBot], Awaitable[None]]


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A market, what differs from the default config, what the exchange does wrong, and what the operator does."""

    name: str
    about: str
    markets: Mapping[str, list[Hour]]
    hours: float
    settings: str = ""
    fault: Callable[[Call], Fault | None] = lambda call: None
    act: Act | None = None
    from_first_start: bool = False
    depth_usdt: Decimal | None = None


def rising(count: int) -> list[Hour]:
    """Hours that carry a long trade beyond its break-even, each too small to be a signal of its own."""
    return [(TOP * 1.007**n, TOP * 1.007 ** (n + 1), TOP * 1.007**n, TOP * 1.007 ** (n + 1)) for n in range(count)]


def _refuse_stops(call: Call) -> Fault | None:
    """The price is beyond the stop before it can be placed, however often it is tried (R4)."""
    parts = parse(call.client_id)
    is_stop = call.method == "place_algo" and parts is not None and parts.leg is Leg.STOP
    return Fault(refuse=-2021) if is_stop else None


async def _flatten(r: CrashingBot) -> None:
    with open_store(r.db, mode="post") as store:
        Inbox(store).post("flatten", OURS, "cli", r.venue.now_ms)
    await r.seconds(QUIET_S)


async def _lose_stop(r: CrashingBot) -> None:
    """The exchange cancels the stop of a protected position without being asked (R12)."""
    for algo in r.venue.open_algos(OURS):
        if algo.type == "STOP_MARKET":
            r.venue.cancel_algo(client_id=algo.client_id)
    r.venue.drain()
    r.port.nudge(OURS)
    await r.seconds(QUIET_S)


async def _start_before_a_failing_exchange(r: CrashingBot) -> None:
    """The process ends, and the stop goes. At the next start nothing can be read at first, and its stop leaves late, so
    that what counts failures writes them down, and tells, while the position is still without one (R63, R69)."""
    left = dict(UNREAD)

    def fails(call: Call) -> Fault | None:
        parts = parse(call.client_id)
        if left.get(call.method, 0) == 0 or (parts is not None and parts.leg is not Leg.STOP):
            return None
        left[call.method] -= 1
        if call.method == "place_algo":
            return Fault(turn_s=LATE_STOP_S)
        return Fault(error=Unreachable(f"{call.method}: no answer"))

    await r.up()
    await r.kill()
    for algo in r.venue.open_algos(OURS):
        if algo.type == "STOP_MARKET":
            r.venue.cancel_algo(client_id=algo.client_id)
    r.venue.drain()
    r.faults = fails
    await r.begin()
    await r.seconds(QUIET_S)


def _without_slippage(r: CrashingBot) -> VenueState:
    """A close then has the same price in whatever forms and pieces it gets through."""
    state = r.venue.state
    state.settings = msgspec.structs.replace(state.settings, slippage=Decimal(0))
    return state


async def _flatten_unfilled(r: CrashingBot) -> None:
    """The first two closes are accepted, and end EXPIRED with nothing filled (R60)."""
    state, closes = _without_slippage(r), set[str]()

    def fails(order: OrderState) -> bool:
        parts = parse(order.client_id)
        if parts is None or parts.leg is not Leg.CLOSE or len(closes) >= UNFILLED_CLOSES:
            return False
        closes.add(order.client_id)
        return True

    state.fails_to_fill = fails
    await _flatten(r)


async def _flatten_in_pieces(r: CrashingBot) -> None:
    """One market order may be for less than half of the position from now on: -4005 for its close (R60, R65)."""
    state = _without_slippage(r)
    filters, held = state.filters[OURS], state.holding(OURS).quantity
    most = filters.floor_quantity(held * Decimal("0.4"), market=True)
    state.filters[OURS] = msgspec.structs.replace(filters, market_quantity_max=most or filters.market_quantity_min)
    await _flatten(r)


async def _release_as_the_stop_moves(r: CrashingBot) -> None:
    """The operator takes the position over just as the bridge between two stops comes to rest."""
    asked = False

    def heard(event: VenueEvent) -> None:
        nonlocal asked
        parts = parse(event.algo.client_id) if isinstance(event, AlgoUpdated) else None
        if asked or parts is None or parts.leg is not Leg.BRIDGE:
            return
        asked = True
        with open_store(r.db, mode="post") as store:
            Inbox(store).post("release", OURS, "cli", r.venue.now_ms)

    r.venue.state.witnesses.append(heard)
    for _ in range(MOVES_WITHIN_HOURS):
        if not asked:
            await r.hours(1)
    await r.seconds(QUIET_S)


def _day() -> dict[str, list[Hour]]:
    """Twenty-four hours of two symbols in which every end of a trade comes once, some of them side by side."""
    ours = [
        *STOPPED,
        jump(TOP),
        (TOP * 1.01, BTC * 1.07, TOP * 1.01, TOP * 1.01),
        *quiet(TOP * 1.01, 3),
        jump(TOP * 1.01),
        (AGAIN, AGAIN, AGAIN * 0.995, AGAIN * 0.996),
        *quiet(AGAIN * 0.996, 12),
    ]
    others = [*quiet(100.0, 8), jump(100.0), *quiet(101.0, 2), (101.0, 101.0, 99.0, 101.0), *quiet(101.0, 14)]
    return {OURS: ours, "SOLUSDT": others}


UNFILLED_CLOSES = 2
UNREAD = {"open_orders": 5, "open_algos": 6, "look": 1, "place_algo": 2}
"""So many calls go wrong at a start: before the stop more than make a message (``FAILURES_MANY``), then one of a new
kind while it is on its way."""

LATE_STOP_S = 1.5
LONGEST = 27
"""Hours of the symbol that somebody else holds: as many as the longest script takes."""

AGAIN = TOP * 1.01 * 1.01
MOVES_WITHIN_HOURS = 4
STOPPED = [jump(BTC), *quiet(TOP, 1), (TOP, TOP, BTC * 0.998, TOP), *quiet(TOP, 2)]
LIMITS = "orders: {entry_type: LIMIT, limit_offset_pct: 0.1, limit_expiry_candles: 1}"

SCRIPTS: dict[str, Script] = {
    script.name: script
    for script in (
        Script(
            name="first-start",
            about="a database that is not there yet, and two quiet hours",
            markets={OURS: quiet(BTC, 3)},
            hours=1.5,
            from_first_start=True,
        ),
        Script(name="stopped", about="a signal, a covered position, and its stop", markets={OURS: STOPPED}, hours=4),
        Script(
            name="moved",
            about="the stop is moved to break-even and then hit",
            markets={OURS: [jump(BTC), *rising(3), (RISEN, RISEN, TOP, RISEN), *quiet(RISEN, 2)]},
            hours=6,
        ),
        Script(
            name="targets",
            about="both targets are hit, one after the other",
            markets={OURS: [jump(BTC), *quiet(TOP, 1), (TOP, BTC * 1.05, TOP, TOP), *quiet(TOP, 2)]},
            hours=4,
        ),
        Script(
            name="falls",
            about="a rule ends the trade at a candle's close",
            markets={OURS: [jump(BTC), (TOP, TOP, TOP * 0.995, TOP * 0.996), *quiet(TOP * 0.996, 2)]},
            hours=3,
        ),
        Script(
            name="expired",
            about="a LIMIT entry that nobody takes expires",
            markets={OURS: [jump(BTC), *quiet(TOP, 4)]},
            hours=4,
            settings=LIMITS,
        ),
        Script(
            name="partly",
            about="a LIMIT entry is filled in part, the rest expires, then the stop is hit",
            markets={
                OURS: [
                    jump(BTC),
                    (TOP, TOP * 1.0005, TOP * 0.9985, TOP),
                    *quiet(TOP, 2),
                    (TOP, TOP, BTC * 0.998, TOP),
                    *quiet(TOP, 2),
                ]
            },
            hours=6,
            settings=LIMITS,
            depth_usdt=Decimal(1500),
        ),
        Script(
            name="flattened",
            about="the operator flattens a protected position",
            markets={OURS: [jump(BTC), *quiet(TOP, 3)]},
            hours=1,
            act=_flatten,
        ),
        Script(
            name="unfilled",
            about="the operator flattens, and the first two closes expire unfilled",
            markets={OURS: [jump(BTC), *[(TOP, TOP, TOP, TOP)] * 3]},
            hours=1,
            act=_flatten_unfilled,
        ),
        Script(
            name="in-pieces",
            about="the largest market lot is lowered under a position, then the operator flattens",
            markets={OURS: [jump(BTC), *[(TOP, TOP, TOP, TOP)] * 3]},
            hours=1,
            act=_flatten_in_pieces,
        ),
        Script(
            name="released",
            about="the operator takes the position over just as its stop moves; later the stop is hit",
            markets={OURS: [jump(BTC), *rising(3), (RISEN, RISEN, TOP, RISEN), *quiet(RISEN, 2)]},
            hours=6,
            settings="loops: {command_age_ms_max: 86400000}",  # whenever the next process starts, he still means it
            act=_release_as_the_stop_moves,
        ),
        Script(
            name="refused",
            about="every stop is refused, so the position is closed at once",
            markets={OURS: [jump(BTC), *quiet(TOP, 3)]},
            hours=2,
            fault=_refuse_stops,
        ),
        Script(
            name="vanished",
            about="a stop vanishes at the exchange and is placed again; later it is hit",
            markets={OURS: [jump(BTC), *quiet(TOP, 1), (TOP, TOP, BTC * 0.998, TOP), *quiet(TOP, 2)]},
            hours=3,
            act=_lose_stop,
        ),
        Script(
            name="started-late",
            about="a stop vanishes while no process runs; the next start reads nothing at first; later it is hit",
            markets={OURS: [jump(BTC), *quiet(TOP, 1), (TOP, TOP, BTC * 0.998, TOP), *quiet(TOP, 2)]},
            hours=3,
            act=_start_before_a_failing_exchange,
        ),
        Script(
            name="two",
            about="two symbols signal at the same close; one is stopped, one reaches its targets",
            markets={
                OURS: STOPPED,
                "SOLUSDT": [jump(100.0), *quiet(101.0, 1), (101.0, 105.0, 101.0, 101.0), *quiet(101.0, 2)],
            },
            hours=4,
        ),
    )
}
"""Every script by its name."""

DAY = Script(
    name="day",
    about="a whole day of two symbols: a stop, two targets, an end by a rule, twice at the same time",
    markets=_day(),
    hours=22,
)
ALL: dict[str, Script] = {**SCRIPTS, DAY.name: DAY}
"""With the day, whose commits find the disk full one after the other; dying at all of its calls would take hours."""


@cache
def _rules() -> Ruleset:
    return parse_rules(RULES, "rules of the small market")


@cache
def config_of(name: str) -> Config:
    """The script's own config.yaml: nothing depends on the file that somebody trades with."""
    script = ALL[name]
    symbols = ", ".join(f"{name}: {{enabled: true}}" for name in script.markets)
    text = f"version: 1\nsymbols: {{{symbols}}}\n{script.settings}\n"
    settings = read_settings(parse_source(text, f"config of the script {script.name}"))
    return Config(settings=settings, environment=read_environment(None, {"BINANCE_ENV": "sim"}), text=text)


def stage(script: Script, db: Path, reaper: Reaper, client: str = "port") -> CrashingBot:
    """The script's market an hour before its signal, with a position and an order of somebody else on the account."""
    r = CrashingBot(
        reaper=reaper,
        config=config_of(script.name),
        rules=parse_rules(RULES, "rules of the small market"),
        feeds={
            OTHERS: feed(OTHERS, quiet(ETH, LONGEST)),
            **{name: feed(name, rows) for name, rows in script.markets.items()},
        },
        db=db,
        start_ms=START_MS + (QUIET_HOURS - 2) * HOUR_MS + HOUR_MS // 2,
    )
    if client == "real":
        wire(r)
    r.faults = script.fault
    r.venue.state.settings = msgspec.structs.replace(r.venue.state.settings, depth_usdt=script.depth_usdt)
    _somebody_else(r)
    return r


def _somebody_else(r: CrashingBot) -> None:
    quantity = Decimal("0.1")
    r.venue.place_order(
        OrderRequest(symbol=OTHERS, side=Side.BUY, type=OrderType.MARKET, quantity=quantity, client_id=FOREIGN_POSITION)
    )
    r.venue.place_order(
        OrderRequest(
            symbol=OTHERS,
            side=Side.BUY,
            type=OrderType.LIMIT,
            quantity=quantity,
            price=Decimal(2_700),
            time_in_force=TimeInForce.GTC,
            client_id=FOREIGN_ORDER,
        )
    )
    r.venue.drain()


async def play(script: Script, r: CrashingBot) -> None:
    """From before the signal until nothing more happens."""
    if script.from_first_start:
        r.reaper.arm()
    await r.begin()
    if not script.from_first_start:
        await r.hours(1.5)
        await r.seconds(1)
        r.reaper.arm()
    await r.hours(1.25)
    if script.act is not None:
        await script.act(r)
    await r.hours(script.hours)
    await r.seconds(QUIET_S)
    await r.up()
