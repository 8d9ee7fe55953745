"""Torture of what is around the bot, one thing at a time: candles that are missing or contradict themselves (R66)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from exchange.sim.playback.symbols import shipped_folder
from fsm.proofs.torture.market import market_of
from fsm.proofs.torture.plan import HOUR_MS, Disturbance, plan_of
from fsm.proofs.torture.run import run
from tests.effort import sampled

MARKET = market_of((shipped_folder(),), 3)


@pytest.mark.parametrize("client", ["port", "real"])
@pytest.mark.parametrize("what", sampled(["hole", "contradiction", "duplicate"], often=1))
def test_r66_candles_that_are_never_listed_as_they_should_be_stop_no_symbol(client: str, what: str) -> None:
    """A pair of rows of one hour made the whole answer illegible, and its symbol undecidable for ever."""
    plan = plan_of(1, MARKET.symbols, MARKET.first_ms, MARKET.last_ms, 1, client)
    at_ms = plan.start_ms + 5 * HOUR_MS
    spoilt = [
        Disturbance(number=number, at_ms=at_ms, kind="candles", what=what, symbol=symbol, count=2)
        for number, symbol in enumerate(plan.symbols, start=1)
    ]
    outcome = run(replace(plan, disturbances=tuple(spoilt)), MARKET)
    assert outcome.violations == ()
    assert outcome.faults[f"candles {what}"] == len(plan.symbols)
    assert outcome.checks["CANDLES_GO_ON"] == len(plan.symbols)


def test_r27_a_start_that_is_refused_in_hedge_mode_is_tried_again_until_it_is_not() -> None:
    """As the service manager does it, which starts the bot again whenever it ended."""
    plan = plan_of(1, MARKET.symbols, MARKET.first_ms, MARKET.last_ms, 1)
    at_ms = plan.start_ms + 10_000
    switched = Disturbance(number=1, at_ms=at_ms, kind="fault", what="mode-switched", count=1_000, seconds=20.0)
    killed = Disturbance(number=2, at_ms=at_ms, kind="kill", what="now")
    outcome = run(replace(plan, disturbances=(switched, killed)), MARKET)
    assert outcome.violations == ()
    assert outcome.deaths >= 2
    assert outcome.starts == outcome.deaths + 4
