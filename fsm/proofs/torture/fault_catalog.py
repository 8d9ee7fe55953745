"""The fault menu as it reaches the port: each row of what has been seen to go wrong, as something done to a call.

The rows are those of the HTTP simulator's presets (exchange/sim/server/presets.py), taken where the client has
understood them: an answer that means "nobody knows" is Unknown for a write and Unreachable for a read, one that means
"no" is a Refused or a Refusal. What ends inside the client (extra fields, a second attempt, a new time stamp) has no
row here; the contract tests cover it over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
from msgspec.structs import replace

from exchange.client_ids import Leg, parse
from exchange.errors import MalformedReply, RateLimited, Unreachable
from exchange.filters import SymbolFilters
from exchange.sim.port_faults import Call, Fault, Lost
from exchange.types import AlgoOrder, AlgoStatus, Order, OrderStatus, SymbolSnapshot

WRITES = frozenset(
    {"place_order", "place_algo", "cancel_order", "cancel_algo", "ensure_margin_type", "ensure_leverage"}
)
RETRIES_S = 1.4
"""What the client waits in all before it gives up sending again (0.2 + 0.4 + 0.8 s)."""

TIMEOUT_S = 5.0
RECV_WINDOW_S = 5.0
Make = Callable[[Random, Call], Fault]


class Row(msgspec.Struct, frozen=True):
    """One row of the menu: which calls it befalls, and what it does to one of them."""

    name: str
    says: str
    befalls: Callable[[Call], bool]
    make: Make


def is_write(call: Call) -> bool:
    return call.method in WRITES


def is_read(call: Call) -> bool:
    return call.method not in WRITES


def leg_of(call: Call) -> Leg | None:
    return leg_of_id(call.client_id)


def leg_of_id(client_id: str) -> Leg | None:
    parts = parse(client_id) if client_id else None
    return None if parts is None else parts.leg


def _legs(*legs: Leg, method: str = "") -> Callable[[Call], bool]:
    return lambda call: call.method.startswith(method or "place_") and leg_of(call) in legs


def _any(call: Call) -> bool:
    del call
    return True


def _refuse(code: int, delay_s: float = 0.0) -> Make:
    return lambda chance, call: Fault(refuse=code, delay_s=delay_s)


def _nobody_knows(chance: Random, call: Call) -> Fault:
    """A write may have happened, or not, or is about to."""
    if is_read(call):
        return Fault(error=Unreachable(f"{call.method}: 503"), delay_s=RETRIES_S)
    return chance.choice((Fault(lost=Lost.ANSWER), Fault(lost=Lost.REQUEST)))


def _late(chance: Random, call: Call) -> Fault:
    """At most as late as recvWindow: the matching engine itself refuses what is older (-5028)."""
    return Fault(late_s=chance.choice((0.1, 0.5, 1.0, 2.0, 4.0, RECV_WINDOW_S)))


def _timeout(chance: Random, call: Call) -> Fault:
    lost = chance.choice((Lost.ANSWER, Lost.REQUEST))
    return Fault(lost=lost, delay_s=TIMEOUT_S / 2, answer_delay_s=TIMEOUT_S / 2)


def _limited(wait_ms: int, *, banned: bool = False) -> Make:
    def make(chance: Random, call: Call) -> Fault:
        if is_write(call):
            return Fault(refuse=-1003)
        return Fault(error=RateLimited(f"{call.method}: wait", retry_after_ms=wait_ms, banned=banned))

    return make


def _slow(chance: Random, call: Call) -> Fault:
    return Fault(delay_s=chance.uniform(0.0, 1.0), answer_delay_s=chance.uniform(0.0, 2.5))


def _malformed(chance: Random, call: Call) -> Fault:
    return Fault(error=MalformedReply(f"{call.method}: a body that is not JSON"))


def _not_found(chance: Random, call: Call) -> Fault:
    """-2013: a query by id does not find what is there; lists still show what is open."""
    if call.method == "look":
        return Fault(alter=_without_ended)
    return Fault(alter=lambda found: None)


def _without_ended(snapshot: SymbolSnapshot) -> SymbolSnapshot:
    return replace(
        snapshot,
        orders=tuple(order for order in snapshot.orders if order.status.is_open),
        algo_orders=tuple(algo for algo in snapshot.algo_orders if algo.status.is_open),
    )


def _unknown_status(chance: Random, call: Call) -> Fault:
    def order(found: Order | None) -> Order | None:
        return None if found is None else replace(found, status=OrderStatus.UNRECOGNISED)

    def algo(found: AlgoOrder | None) -> AlgoOrder | None:
        return None if found is None else replace(found, status=AlgoStatus.UNRECOGNISED)

    def look(found: SymbolSnapshot) -> SymbolSnapshot:
        orders = tuple(filter(None, map(order, found.orders)))
        return replace(found, orders=orders, algo_orders=tuple(filter(None, map(algo, found.algo_orders))))

    alter: dict[str, Callable[[Any], Any]] = {"order": order, "algo": algo, "look": look}
    return Fault(alter=alter[call.method])


def _too_few_fills(chance: Random, call: Call) -> Fault:
    """GET /userTrades lags behind the position."""
    if call.method == "look":
        return Fault(alter=lambda found: replace(found, fills=()))
    return Fault(alter=lambda found: [])


def _no_average(chance: Random, call: Call) -> Fault:
    """The answer to a MARKET order may say NEW, without price and quantity."""

    def alter(outcome: Any) -> Any:
        order = getattr(outcome, "order", None)
        if order is None:
            return outcome
        told = replace(order, status=OrderStatus.NEW, executed_quantity=Decimal(0), average_price=None)
        return replace(outcome, order=told)

    return Fault(alter=alter)


def _one_symbol(change: Callable[[SymbolFilters], SymbolFilters | None]) -> Make:
    """exchangeInfo tells one symbol otherwise than it is; None: not at all."""

    def make(chance: Random, call: Call) -> Fault:
        pick = chance.random()

        def alter(found: dict[str, SymbolFilters]) -> dict[str, SymbolFilters]:
            names = sorted(found)
            name = names[int(pick * len(names))]
            told = {**found, name: change(found[name])}
            return {each: filters for each, filters in told.items() if filters is not None}

        return Fault(alter=alter)

    return make


def _gone(filters: SymbolFilters) -> SymbolFilters | None:
    return None


def _settling(filters: SymbolFilters) -> SymbolFilters:
    return replace(filters, status="SETTLING")


def _coarser(filters: SymbolFilters) -> SymbolFilters:
    """Ten times the tick and the step: what is rounded to them is right by the old rules too."""
    return replace(
        filters,
        tick_size=filters.tick_size * 10,
        step_size=filters.step_size * 10,
        market_step_size=filters.market_step_size * 10,
    )


def _switched(chance: Random, call: Call) -> Fault:
    return Fault(alter=lambda modes: replace(modes, hedge=True))


def _releveraged(chance: Random, call: Call) -> Fault:
    return Fault(alter=lambda config: replace(config, leverage=config.leverage + 7))


def _methods(*names: str) -> Callable[[Call], bool]:
    return lambda call: call.method in names


MENU: dict[str, Row] = {
    row.name: row
    for row in (
        Row("unknown", "503 A: nobody knows whether it happened; reads fail", _any, _nobody_knows),
        Row("unknown-write", "503 A, -1000, -1006, -1007 after a write, executed or not", is_write, _nobody_knows),
        Row("unknown-entry", "the answer to an entry is lost, executed or not", _legs(Leg.ENTRY), _nobody_knows),
        Row("unknown-stop", "the answer to a stop is lost, executed or not", _legs(Leg.STOP), _nobody_knows),
        Row("unknown-close", "the answer to a close is lost, executed or not", _legs(Leg.CLOSE), _nobody_knows),
        Row("late", "503 A, and it happens some seconds later all the same", is_write, _late),
        Row("late-entry", "an entry happens some seconds after its answer was lost", _legs(Leg.ENTRY), _late),
        Row("timeout", "408 and time-outs: no answer for seconds, executed or not", is_write, _timeout),
        Row("unavailable", "503 B, after all attempts: certainly not done", _any, _refuse(503, RETRIES_S)),
        Row("throttled", "-1008 for whatever does not reduce", _legs(Leg.ENTRY), _refuse(-1008, RETRIES_S)),
        Row("rate-limit", "429 with Retry-After", _any, _limited(10_000)),
        Row("ban", "418, whoever goes on is banned for longer", _any, _limited(120_000, banned=True)),
        Row("firewall", "403 with a page of HTML", _any, _limited(300_000)),
        Row("bad-gateway", "502 with a page of HTML", _any, _nobody_knows),
        Row("malformed", "200 with a body that cannot be understood", is_read, _malformed),
        Row("clock-skew", "-1021 that a new time stamp does not mend", is_write, _refuse(-1021)),
        Row("not-found", "-2013 for an order that is there", _methods("order", "algo", "look"), _not_found),
        Row("fills-lag", "fills are listed later than the position", _methods("fills", "look"), _too_few_fills),
        Row("terse-answer", "a MARKET order answered as NEW, unexecuted", _legs(Leg.ENTRY, Leg.CLOSE), _no_average),
        Row("would-trigger", "-2021 for a stop or target", _legs(Leg.STOP, Leg.TARGET), _refuse(-2021)),
        Row("needs-position", "-4509: the position lags behind its fill", _legs(Leg.STOP), _refuse(-4509)),
        Row("closing-exists", "-4130 for a stop or target", _legs(Leg.STOP, Leg.TARGET), _refuse(-4130)),
        Row("stop-refused", "-1008 for a stop, though it reduces", _legs(Leg.STOP, Leg.BRIDGE), _refuse(-1008)),
        Row("margin", "-2019 for an entry", _legs(Leg.ENTRY), _refuse(-2019)),
        Row("reduce-only", "-2022 for a close", _legs(Leg.CLOSE), _refuse(-2022)),
        Row("no-counterparty", "-4131 for a MARKET order", _legs(Leg.ENTRY, Leg.CLOSE), _refuse(-4131)),
        Row("quantitative", "-4400: only reduce-only orders are allowed", _legs(Leg.ENTRY), _refuse(-4400)),
        Row("permission", "-2015 for an entry: the key may not trade", _legs(Leg.ENTRY), _refuse(-2015)),
        Row("no-route", "-4120 for a stop", _legs(Leg.STOP), _refuse(-4120)),
        Row("triggering", "-4117 for a cancel", _legs(Leg.STOP, Leg.TARGET, method="cancel_"), _refuse(-4117)),
        Row("unknown-order", "-2011 for a cancel", lambda call: call.method.startswith("cancel_"), _refuse(-2011)),
        Row("unknown-status", "a status that nobody knows", _methods("order", "algo", "look"), _unknown_status),
        Row("symbol-gone", "exchangeInfo does not list a symbol", _methods("filters"), _one_symbol(_gone)),
        Row("symbol-settling", "exchangeInfo says SETTLING", _methods("filters"), _one_symbol(_settling)),
        Row("symbol-rules", "exchangeInfo tells another tick and lot", _methods("filters"), _one_symbol(_coarser)),
        Row("brackets-refused", "-1121 for a leverage table", _methods("brackets"), _refuse(-1121)),
        Row("candles-refused", "-1121 for candles", _methods("candles"), _refuse(-1121)),
        Row("off-tick", "-1111 for a stop", _legs(Leg.STOP), _refuse(-1111)),
        Row("too-large", "-4005 for a close", _legs(Leg.CLOSE), _refuse(-4005)),
        Row("mode-switched", "the account says hedge mode", _methods("account_modes"), _switched),
        Row("leverage-switched", "another leverage in mid-trade", _methods("symbol_config"), _releveraged),
        Row("slow", "answers that take seconds", _any, _slow),
    )
}  # fmt: skip
"""Every row by its name. Beside them: triggers that are rejected or fill nothing, thin books, deaf and stuttering
streams, positions that lag (fsm/proofs/torture/fault_schedule.py)."""
