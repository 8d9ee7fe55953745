"""A simulated month with outages, partial fills, edits and commands, held against its backtest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.comparing.inputs import Source
from fsm.proofs.torture import plan as plans
from fsm.proofs.torture.market import market_of
from fsm.proofs.torture.plan import Disturbance, Plan, plan_of
from fsm.proofs.torture.run import run
from tests.integration.test_live_causes import found_in

KINDS = ("outage", "book", "edit", "command", "kill", "stop", "freeze")
"""The connection is down, the book is thin (LIMIT entries are filled in parts), a file is edited, the operator wants
something, the process dies, is stopped, or stands still."""

OF_A_TRADE = ("cut-rules", "cut-config", "disabled", "release", "release cancel-stop")
MORE = 60
DAYS, SYMBOLS = 30, 3


def month(seed: int) -> Plan:
    """A month of torture with nothing but these kinds in it, and more of them."""
    market = market_of((shipped_folder(),), SYMBOLS)
    plan = plan_of(seed, market.symbols, market.first_ms, market.last_ms, DAYS)
    kept = [each for each in plan.disturbances if each.kind in (*KINDS, "round") and each.what not in OF_A_TRADE]
    chance = Random(f"month {seed}")
    for number in range(20_001, 20_001 + MORE):
        kind = chance.choice(KINDS)
        at_ms = plans._moment(chance, plan.start_ms, plan.end_ms)
        kept.append(Disturbance(number=number, at_ms=at_ms, kind=kind, **plans._MAKERS[kind][1](chance, plan.symbols)))
    kept.sort(key=lambda each: each.at_ms)
    return replace(plan, listed=0, disturbances=tuple(kept), depth_usdt=plan.depth_usdt or 2_000)


@pytest.mark.slow
def test_nothing_of_a_month_is_unexplained(tmp_path: Path) -> None:
    plan = month(1)
    ended = run(plan, market_of((shipped_folder(),), SYMBOLS), folder=tmp_path)
    assert not ended.violations
    assert ended.trades > 100
    assert min(Counter(each.kind for each in plan.disturbances)[kind] for kind in KINDS) >= 5
    found = Counter(each.cause.source for each in found_in(tmp_path / "torture.sqlite", tmp_path, (shipped_folder(),)))
    assert found.total() > 200
    assert found[Source.UNEXPLAINED] == 0
