"""Made-up markets are as restless as the real ones, remember nothing, and are the same for one seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.ground import Request
from fsm.config import load_config
from fsm.optimise.made_markets import KINDS, SHUFFLED, WALK, made_market, recorded
from fsm.search import Prepared, evaluate, prepare
from indicators.series import FloatArray
from rules.load import load_rules

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def real() -> Prepared:
    request = Request(
        config=load_config(ROOT / "config.yaml", None, {}, needs_keys=False),
        rules=load_rules(ROOT / "rules.yaml"),
        data=(shipped_folder(),),
        symbols=("BTCUSDT", "ETHUSDT"),
    )
    return prepare(request)


def returns(prepared: Prepared, symbol: int) -> FloatArray:
    found: FloatArray = np.diff(np.log(prepared.ground.markets[symbol].series.close))
    return found


def test_a_walk_is_as_restless_as_the_real_candles_and_forgets(real: Prepared) -> None:
    walk = made_market(real, recorded(real), WALK, 1)
    for symbol in (0, 1):
        moves, own = returns(walk, symbol), returns(real, symbol)
        assert moves.std() == pytest.approx(own.std(), rel=0.03)
        assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1]) < 0.03
        assert abs(np.corrcoef(np.abs(moves[1:]), np.abs(moves[:-1]))[0, 1]) < 0.03, "no calm and no storm either"
    assert np.corrcoef(returns(walk, 0), returns(walk, 1))[0, 1] == pytest.approx(
        np.corrcoef(returns(real, 0), returns(real, 1))[0, 1], abs=0.03
    )


def test_shuffled_candles_are_the_real_ones_in_another_order(real: Prepared) -> None:
    shuffled = made_market(real, recorded(real), SHUFFLED, 1)
    for symbol in (0, 1):
        moves, own = returns(shuffled, symbol), returns(real, symbol)
        assert np.sort(moves) == pytest.approx(np.sort(own), abs=1e-4)
        assert not np.allclose(moves[:100], own[:100])
        before, after = (each.ground.markets[symbol].series.close[-1] for each in (real, shuffled))
        assert after == pytest.approx(before, rel=1e-3), "they lead to the same end"
    assert np.corrcoef(returns(shuffled, 0), returns(shuffled, 1))[0, 1] == pytest.approx(
        np.corrcoef(returns(real, 0), returns(real, 1))[0, 1], abs=1e-3
    )


@pytest.mark.parametrize("kind", KINDS)
def test_made_candles_are_candles_at_the_same_times_and_are_the_same_for_a_seed(kind: str, real: Prepared) -> None:
    made, again, other = (made_market(real, recorded(real), kind, seed) for seed in (3, 3, 4))
    for own, one, two, three in zip(*(each.ground.markets for each in (real, made, again, other)), strict=True):
        assert one.opens_ms == own.opens_ms
        assert one.series.close.tolist() == two.series.close.tolist()
        assert one.series.close.tolist() != three.series.close.tolist()
        assert not one.feed.has_mark
        assert one.by_timeframe.keys() == own.by_timeframe.keys()
        assert (one.series.low > 0).all()
        tick = float(real.ground.book.filters[own.symbol].tick_size)
        assert np.abs(one.series.close / tick - np.round(one.series.close / tick)).max() < 1e-3


def test_rules_trade_on_them(real: Prepared) -> None:
    request = real.request
    over = made_market(real, recorded(real), WALK, 1).over(real.ground.from_ms, real.ground.from_ms + 300 * 86_400_000)
    assert evaluate(over, request.rules, request.config.settings).figures["trades"] > 5
