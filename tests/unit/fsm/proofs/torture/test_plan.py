"""A plan follows from its seed, and every kind of disturbance and every row of the menu can be carried out."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

import pytest

from exchange.client_ids import Leg, client_id
from exchange.sim.port_faults import Call, Fault
from fsm.config import Settings, read_settings
from fsm.core.model.policy import ListRule
from fsm.proofs.torture import environment_catalog, wheel_catalog
from fsm.proofs.torture.fault_catalog import MENU, WRITES, is_read
from fsm.proofs.torture.plan import DAY_MS, HOUR_MS, Plan, config_text, plan_of
from fsm.proofs.torture.wire_fault_catalog import WIRE_MENU
from rules.source.yaml_source import parse_source
from store.hand_wishes import read_hand_wish

SYMBOLS = ("BTCUSDT", "ETHUSDT")
READS = (
    *("look", "positions", "order", "algo", "account", "candles", "mark_price", "open_orders", "open_algos", "fills"),
    *("filters", "brackets", "account_modes", "symbol_config"),
)
LEGS = {
    "place_order": (Leg.ENTRY, Leg.CLOSE),
    "place_algo": (Leg.STOP, Leg.TARGET, Leg.BRIDGE),
    "cancel_order": (Leg.ENTRY,),
    "cancel_algo": (Leg.STOP, Leg.TARGET),
}


def plan(seed: int) -> Plan:
    return plan_of(seed, SYMBOLS, 0, 400 * DAY_MS, 30)


def test_the_real_client_meets_the_faults_of_the_wire() -> None:
    plans = [plan_of(seed, SYMBOLS, 0, 400 * DAY_MS, 30, "real") for seed in range(40)]
    named = {each.what for found in plans for each in found.disturbances if each.kind == "fault"}
    assert named == set(WIRE_MENU)


def test_the_same_seed_is_the_same_plan_and_another_one_another() -> None:
    assert plan(7) == plan(7)
    assert plan(7) != plan(8)


def test_a_plan_is_in_order_and_within_its_run() -> None:
    found = plan(3)
    times = [each.at_ms for each in found.disturbances]
    assert times == sorted(times)
    assert found.start_ms <= times[0]
    assert times[-1] < found.end_ms
    assert found.end_ms - found.start_ms == 30 * DAY_MS
    assert found.start_ms % HOUR_MS == HOUR_MS // 2


def test_every_kind_of_disturbance_and_every_row_of_the_menu_comes_up() -> None:
    found = [each for seed in range(40) for each in plan(seed).disturbances]
    assert {each.what for each in found if each.kind == "fault"} == set(MENU)
    kinds = "fault outage trigger stream lag book clock disk telegram edit command money hand kill stop freeze round"
    assert {each.kind for each in found} == {*kinds.split(), *environment_catalog.MAKERS, *wheel_catalog.MAKERS}
    assert all(each.sentence() for each in found)


@pytest.mark.parametrize(
    ("catalog", "numbers"),
    [
        (environment_catalog, range(environment_catalog.NUMBERS_FROM, wheel_catalog.NUMBERS_FROM)),
        (wheel_catalog, range(wheel_catalog.NUMBERS_FROM, 2 * wheel_catalog.NUMBERS_FROM)),
    ],
)
def test_every_row_of_what_happens_around_the_bot_comes_up(catalog: Any, numbers: range) -> None:
    """Also of what the operator does through it."""
    found = [each for seed in range(40) for each in plan(seed).disturbances if each.number in numbers]
    assert {f"{each.kind} {each.what}" for each in found if each.kind != "fault"} == set(catalog.ROWS)
    assert {each.when for each in found} == {"", environment_catalog.HELD, environment_catalog.MOVING}


def test_what_the_operator_types_is_read_as_it_is_meant() -> None:
    for what in wheel_catalog.WISHES:
        assert read_hand_wish(wheel_catalog.line_of(what, None)).kind == what.split()[0]


def test_what_happens_around_the_bot_leaves_the_first_part_of_each_plan_as_it_was() -> None:
    """A seed that found something is worth keeping: rows that came later are drawn from a stream of their own."""
    first = [each for each in plan(7).disturbances if each.number < environment_catalog.NUMBERS_FROM]
    assert [each.number for each in first] == list(range(1, len(first) + 1))
    told = "\n".join(f"{each.at_ms} {each.sentence()}" for each in first)
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "46e2b5d87fdcf2e4"


def calls() -> list[Call]:
    found = [Call(1, method, "BTCUSDT") for method in READS]
    for method in sorted(WRITES):
        legs = LEGS.get(method, ())
        found += [Call(1, method, "BTCUSDT", client_id("0" * 8, "BTCUSDT", 1, leg, 0, 1)) for leg in legs]
        found += [] if legs else [Call(1, method, "BTCUSDT")]
    return found


@pytest.mark.parametrize("name", MENU)
def test_a_row_of_the_menu_befalls_some_call_and_does_something_to_it(name: str) -> None:
    row = MENU[name]
    befallen = [call for call in calls() if row.befalls(call)]
    assert befallen
    for call in befallen:
        fault = row.make(Random(1), call)
        assert fault != Fault()
        assert fault.late_s is None or not is_read(call)
        assert fault.error is None or is_read(call)


def test_in_some_runs_a_rule_chooses_the_symbols_and_its_files_are_right() -> None:
    plans = [plan_of(seed, SYMBOLS, 0, 400 * DAY_MS, 30) for seed in range(40)]
    listed = [plan for plan in plans if plan.listed]
    assert 4 < len(listed) < 20
    base = Settings(version=1, symbols={}).plain()
    found = read_settings(parse_source(config_text(base, listed[0]), "config.yaml"))
    assert found.list_rule == ListRule(n=1)
    assert all(not plan_of(plan.seed, SYMBOLS, 0, 400 * DAY_MS, 30, "real").listed for plan in listed)
