"""A look into the future is found, wherever it was planted; without one nothing is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fsm.backtest.history
import fsm.backtest.run
from fsm.backtest.ground import Request, read_ground
from fsm.backtest.history import SIGNAL, UNROUTED, History
from fsm.backtest.lookahead import Looked, look
from indicators.catalog import ResolvedIndicator
from indicators.series import FloatArray
from rules.facts import Facts, FactTable
from tests.effort import sampled
from tests.integration.generated_runs import case

Change = Callable[[FloatArray], FloatArray]
PATCH = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> Request:
    return case(2, tmp_path_factory.mktemp("market")).request


def looked(request: Request, *, cuts: int = 20, runs: int = 2) -> Looked:
    return look(request, read_ground(request), lambda phase, done, total: None, cuts=cuts, runs=runs)


def test_nothing_is_found_where_nothing_peeks(request_: Request) -> None:
    found = looked(request_)
    assert found.peeks == ()
    assert found.candles > 1_000
    assert found.facts > 7_000
    assert (found.cuts > 20, found.runs) == (True, 2)


def later(candles: int) -> Change:
    """The value of a later candle."""
    return lambda values: np.concatenate((values[candles:], np.full(candles, values[-1])))


def centred(values: FloatArray) -> FloatArray:
    """A mean of what came before and what comes."""
    found = values.copy()
    found[2:-2] = np.convolve(values, np.full(5, 0.2), mode="valid")
    return found


def rarely(values: FloatArray) -> FloatArray:
    """Only where it is highest of all."""
    found = values.copy()
    place = int(np.nanargmax(values[:-1]))
    found[place] = values[place + 1]
    return found


PLANTED: dict[str, Change] = {
    "the next candle": later(1),
    "five candles later": later(5),
    "the highest of all": lambda values: values / np.nanmax(values),
    "less the mean of all": lambda values: values - np.nanmean(values),
    "a centred mean": centred,
    "the future at one candle alone": rarely,
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("indicator", sampled(["rsi", "atr"], often=1))
def test_an_indicator_that_peeks(kind: str, indicator: str, request_: Request, monkeypatch: PATCH) -> None:
    """R47: hidden looks ahead, as over the whole frame or by a shift, are found for one's own rules and candles."""
    honest = ResolvedIndicator.batch

    def peeking(self: ResolvedIndicator, source: Any) -> FloatArray:
        values = honest(self, source)
        return PLANTED[kind](values) if self.name == indicator else values

    monkeypatch.setattr(ResolvedIndicator, "batch", peeking)
    peeks = looked(request_, runs=0).peeks
    assert {each.what.partition("[")[0] for each in peeks} >= {f"{indicator}_e"}


def test_an_indicator_that_peeks_in_both_forms_is_found_by_the_cuts(request_: Request, monkeypatch: PATCH) -> None:
    """Where candles one by one see nothing, as whoever feeds them knows the end."""
    monkeypatch.setattr("fsm.backtest.lookahead._one_by_one", lambda *_: iter(()))
    honest = ResolvedIndicator.batch
    monkeypatch.setattr(
        ResolvedIndicator,
        "batch",
        lambda self, source: later(1)(honest(self, source)) if self.name == "rsi" else honest(self, source),
    )
    peeks = looked(request_, runs=0).peeks
    assert {(each.what, each.look) for each in peeks} >= {("rsi_e", "cut")}


def test_a_signal_that_waits_for_what_comes(request_: Request, monkeypatch: PATCH) -> None:
    honest = fsm.backtest.history.signals

    def peeking(table: FactTable, name: str) -> Any:
        track = honest(table, name)
        return replace(track, sides=np.roll(track.sides, -1), reasons=np.roll(track.reasons, -1))

    monkeypatch.setattr(fsm.backtest.history, "signals", peeking)
    assert "signal" in {each.what for each in looked(request_, runs=0).peeks}


def test_facts_that_are_handed_to_the_engine_a_candle_early(request_: Request, monkeypatch: PATCH) -> None:
    honest = FactTable.facts_at

    def peeking(self: FactTable, index: int) -> Facts:
        return honest(self, min(index + 1, self.length - 1))

    monkeypatch.setattr(FactTable, "facts_at", peeking)
    assert "close_e" in {each.what for each in looked(request_, runs=0).peeks}


def test_trades_that_are_left_out_as_they_would_lose(request_: Request, monkeypatch: PATCH) -> None:
    """Only a backtest does it: nothing that decides shows it."""
    honest = fsm.backtest.run.build_history

    def peeking(*given: Any) -> History:
        history = honest(*given)
        close = history.market.series.close
        falls = np.zeros(len(close), dtype=np.bool_)
        falls[:-24] = close[24:] < close[:-24]
        codes = np.where((history.codes == SIGNAL) & falls, UNROUTED, history.codes)
        return replace(history, codes=codes)

    monkeypatch.setattr(fsm.backtest.run, "build_history", peeking)
    found = looked(request_, cuts=0, runs=8)
    assert {(each.what, each.look) for each in found.peeks} == {("trade", "run")}
