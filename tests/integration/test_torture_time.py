"""Limits under torture of the clocks and the ledger: they end with their period and act on no transfer (R76, R77)."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.proofs.torture.broken import BROKEN
from fsm.proofs.torture.market import market_of
from fsm.proofs.torture.plan import DAY_MS, HOUR_MS, Disturbance, Plan, _clock, plan_of
from fsm.proofs.torture.run import Outcome, run
from tests.effort import sampled

DAYS = 6
MARKET = market_of((shipped_folder(),), 3)


def _late_money(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    what = chance.choice(("deposit", "withdraw", "withdraw"))
    return {"what": what, "amount": chance.choice((100.0, 1_000.0)), "seconds": chance.choice((0.0, 5.0, 20.0, 60.0))}


def _short_death(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {"what": "now", "seconds": chance.choice((0.0, 60.0, 7_200.0))}


def plan(seed: int) -> Plan:
    """Nothing but clocks, transfers and deaths, with limits that are soon hit and no operator who ends them."""
    chance = Random(f"time {seed}")
    drawn = plan_of(seed, MARKET.symbols, MARKET.first_ms, MARKET.last_ms, DAYS)
    found, at_ms = list[Disturbance](), drawn.start_ms + HOUR_MS
    while at_ms < drawn.end_ms - HOUR_MS:
        kind, make = chance.choice(
            (("clock", _clock), ("clock", _clock), ("money", _late_money), ("kill", _short_death))
        )
        details = make(chance, MARKET.symbols)
        if kind == "clock" and chance.random() < 0.3:  # around midnight, where periods end
            at_ms += DAY_MS - at_ms % DAY_MS - chance.choice((30_000, 5_000, -5_000))
        found.append(Disturbance(number=len(found) + 1, at_ms=at_ms, kind=kind, **details))
        away_s = details.get("seconds", 0.0) if details["what"] in ("suspend", "pause", "now") else 0.0
        at_ms += int(away_s * 1000) + chance.randrange(4 * HOUR_MS)
    config = {**drawn.config, "limits": {**drawn.config["limits"], **LIMITS}, "risk": RISK}
    return msgspec.structs.replace(drawn, disturbances=tuple(found), config=config)


RISK = {"risk_per_trade_pct": 0.5, "max_open_positions": 3}
LIMITS = {"daily_loss_pct": 0.6, "weekly_loss_pct": 4.0, "monthly_loss_pct": 6.0, "drawdown_pct": 40.0}


def lived(seed: int, variant: str | None = None) -> Outcome:
    return run(plan(seed), MARKET, variant=None if variant is None else BROKEN[variant])


@pytest.mark.parametrize("seed", sampled([2, 6], often=1))
def test_limits_hold_whatever_becomes_of_the_clocks_and_the_ledger(seed: int) -> None:
    outcome = lived(seed)
    assert outcome.violations == ()
    assert outcome.checks["LIMIT_ENDS_IN_TIME"] > 0
    assert outcome.checks["NO_LIMIT_ON_TRANSFER"] > 0


CAUGHT = {
    "wall-clock-decides": (1, "LIMIT_ENDS_IN_TIME"),
    "one-answer-is-believed": (11, "LIMIT_ENDS_IN_TIME"),
    "late-transfer-is-a-loss": (1, "NO_LIMIT_ON_TRANSFER"),
}
"""Seed, and the claim that is found not to hold."""


@pytest.mark.parametrize("name", CAUGHT)
def test_broken_shells_are_caught(name: str) -> None:
    """A judge that cannot find fault proves nothing."""
    seed, claim = CAUGHT[name]
    assert lived(seed, name).violations[0].claim == claim


def test_every_broken_shell_is_caught() -> None:
    assert CAUGHT.keys() == BROKEN.keys()
