"""Asks rules what a test gives them, and says where the answer is another one than the test expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any

import msgspec

from rules.compiled_rules import CompiledRules, feature_name
from rules.load import Ruleset
from rules.regime import RegimeState
from rules.source.short_forms import NO_TRADE
from rules.source.yaml_source import KeyPath, Problem, Source
from rules.strategy import Management, SignalReading
from rules.testing.file import Expected, ExpectedSignal, RuleTest, TestFile

TOLERANCE = 1e-6
"""Numbers are equal that differ by no more than this part of them."""

Facts = dict[str, float | None]


class Moment(msgspec.Struct, frozen=True):
    """What was known at a close of recorded history, and the regime that was in force after it."""

    facts: Facts
    state: RegimeState


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One expectation that was not met, and where it stands."""

    test: str
    what: str
    expected: str
    got: str
    problem: Problem

    def __str__(self) -> str:
        return str(self.problem)


def failures(test: RuleTest, file: TestFile, rules: Ruleset, moment: Moment | None = None) -> list[Failure]:
    """What the rules do otherwise than a test expects; ``moment`` is that of a test that names one."""
    return list(_Asking(test, file.source, rules.for_symbol(test.written.symbol), moment).found())


class _Asking:
    def __init__(self, test: RuleTest, source: Source, rules: CompiledRules, moment: Moment | None) -> None:
        self._test, self._source, self._rules, self._moment = test, source, rules, moment
        self._facts: Facts = {**(moment.facts if moment else {}), **test.facts}
        self._expect: Expected = test.written.expect

    def found(self) -> Iterator[Failure]:
        unknown = list(self._unknown_names())
        if unknown:
            yield from unknown
            return
        yield from self._of_facts()
        state = self._state()
        yield from self._of_regime(state)
        if self._expect.asks_for_signal:
            yield from self._of_signal(state)
        if self._expect.asks_of_trade:
            yield from self._of_trade(state)
        if self._expect.cooldown is not None:
            yield from self._unequal("cooldown", _plain(self._expect.cooldown), _plain(self._rules.cooldown))

    # --- what the test speaks of ----------------------------------------------------------------
    def _unknown_names(self) -> Iterator[Failure]:
        """Names that these rules do not have: an edit took them away, or the test is misspelt."""
        known = {*self._rules.features, *self._rules.fact_keys, *self._rules.regime_words, *self._rules.moment_words}
        written = self._test.written
        facts: dict[KeyPath, Facts] = {("facts",): self._test.facts, ("expect", "facts"): self._expect.facts}
        for place, names in facts.items():
            for name in names:
                if name not in known and feature_name(name) not in known:
                    yield self._failure((*place, name), "a feature", name, "the rules have none of this name", key=True)
        regimes: dict[KeyPath, str | None] = {("regime",): written.regime, ("expect", "regime"): self._expect.regime}
        for place, regime in regimes.items():
            if regime is not None and regime not in self._rules.classifier.names:
                yield self._failure(place, "a regime", regime, "the rules have none of this name")
        trade, signal = written.trade, self._expect.signal
        strategies: dict[KeyPath, str | None] = {
            ("strategy",): written.strategy,
            ("trade", "strategy"): trade.strategy if trade else None,
            ("expect", "signal", "strategy"): signal.strategy if signal else None,
        }
        for place, strategy in strategies.items():
            if strategy is not None and strategy not in self._rules.strategies:
                yield self._failure(place, "a strategy", strategy, "the rules have none of this name")
        if trade and trade.strategy in self._rules.strategies:
            sides = [side.side for side in self._rules.strategies[trade.strategy].sides]
            if trade.side.upper() not in sides:
                yield self._failure(("trade", "side"), "a side", trade.side, f"{trade.strategy} does not trade it")

    def _state(self) -> RegimeState:
        """The regime in which the question is put: as given or as it was, or after the candles that are asked for."""
        written, classifier = self._test.written, self._rules.classifier
        if self._moment is not None and written.regime is None and written.candles is None:
            return self._moment.state
        lasted = classifier.dwell_candles if written.lasted is None else written.lasted
        state = RegimeState(regime=written.regime or NO_TRADE, candles_in_regime=lasted)
        if self._expect.regime is None and written.candles is None:
            return state
        step, entry = classifier.timeframe.ms, classifier.entry_timeframe.ms
        runs = written.candles or classifier.confirmations + classifier.dwell_candles + 1
        for number in range(1, runs + 1):
            state = classifier.classify(self._facts, state, number * step - entry)
        return state

    # --- what came of it ------------------------------------------------------------------------
    def _of_facts(self) -> Iterator[Failure]:
        for name, expected in self._expect.facts.items():
            got = self._facts.get(name)
            if not _equal(expected, got):
                yield self._failure(("expect", "facts", name), name, _text(expected), _text(got))

    def _of_regime(self, state: RegimeState) -> Iterator[Failure]:
        expected = self._expect.regime
        if expected is None:
            return
        if state.regime != expected:
            yield self._failure(("expect", "regime"), "the regime", expected, state.regime)
        elif self._expect.confidence is not None:
            yield from self._unequal("confidence", self._expect.confidence, state.confidence)

    def _of_signal(self, state: RegimeState) -> Iterator[Failure]:
        written, rules = self._test.written, self._rules
        facts = rules.with_regime(self._facts, state)
        if written.strategy is not None:
            reading: SignalReading | None = rules.seek_signal(written.strategy, facts, traced=False)
            reason = ""
        else:
            route = rules.route(state.regime)
            reading, reason = rules.seek(route, facts, traced=False), route.reason
        silence = reason if reading is None else "" if reading.side is not None else reading.reason.value
        if self._expect.silence is not None:
            told = _told(reading) if reading is not None and reading.side is not None else silence
            if silence != self._expect.silence:
                yield self._failure(("expect", "silence"), "silence", self._expect.silence, told)
        elif self._expect.signal is not None:
            if reading is None or reading.side is None:
                expected = f"{self._expect.signal.strategy} {self._expect.signal.side}"
                yield self._failure(("expect", "signal"), "a signal", expected, f"silence: {silence}", key=True)
            else:
                yield from self._of_plan(self._expect.signal, reading)

    def _of_plan(self, expected: ExpectedSignal, reading: SignalReading) -> Iterator[Failure]:
        got = {
            "strategy": reading.strategy,
            "side": (reading.side or "").lower(),
            "entry": reading.entry,
            "stop": reading.stop,
            "targets": tuple(price for price, _ in reading.targets),
            "portions": tuple(portion for _, portion in reading.targets),
            "reward_risk": reading.reward_risk,
            "risk": self._rules.strategies[reading.strategy].risk,
        }
        for name, value in _plain(expected).items():
            if value is not None and not _equal(value, got[name]):
                yield self._failure(("expect", "signal", name), name, _text(value), _text(got[name]))

    def _of_trade(self, state: RegimeState) -> Iterator[Failure]:
        trade = self._test.written.trade
        assert trade is not None, "checked in file.py"
        got = self._rules.manage(
            trade.strategy,
            "LONG" if trade.side == "long" else "SHORT",
            self._rules.with_regime(self._facts, state),
            entry=trade.entry,
            stop=trade.stop,
            risk=abs(trade.entry - trade.stop) if trade.risk is None else trade.risk,
            candles_held=trade.candles_held,
            regime_ended=trade.regime_ended,
            traced=False,
        )
        told, expect = _managed(got), self._expect
        if expect.exit is not None and got.exit_reason != expect.exit:
            yield self._failure(("expect", "exit"), "an exit", expect.exit, told)
        if expect.holds and (got.exit_reason or got.stop is not None):
            yield self._failure(("expect", "holds"), "nothing to do", "it holds", told)
        if expect.moves_stop is not None:
            wanted = expect.moves_stop
            is_by = wanted.by in (None, got.stop_reason)
            if got.exit_reason or not is_by or not _equal(wanted.to, got.stop):
                expected = f"the stop moves to {_text(wanted.to)}{f' by {wanted.by}' if wanted.by else ''}"
                yield self._failure(("expect", "moves_stop"), "the stop", expected, told, key=True)

    def _unequal(self, name: str, expected: Any, got: Any) -> Iterator[Failure]:
        if not _equal(expected, got):
            yield self._failure(("expect", name), f"the {name}", _text(expected), _text(got))

    def _failure(self, path: KeyPath, what: str, expected: str, got: str, *, key: bool = False) -> Failure:
        name = self._test.written.name
        said = f'"{name}" fails: {what}: expected {expected}, got {got}'
        place = self._source.problem((*self._test.path, *path), said, key=key)
        return Failure(test=name, what=what, expected=expected, got=got, problem=place)


def _equal(expected: Any, got: Any) -> bool:
    if isinstance(expected, tuple | list) and isinstance(got, tuple | list):
        return len(expected) == len(got) and all(map(_equal, expected, got))
    if isinstance(expected, int | float) and isinstance(got, int | float):
        return isclose(expected, got, rel_tol=TOLERANCE, abs_tol=1e-9)
    return bool(expected == got)


def _plain(value: Any) -> Mapping[str, Any]:
    return msgspec.structs.asdict(value) if value is not None else {}


def _told(reading: SignalReading) -> str:
    return f"a signal of {reading.strategy} {(reading.side or '').lower()}"


def _managed(got: Management) -> str:
    if got.exit_reason:
        return f"exit: {got.exit_reason}"
    return "it holds" if got.stop is None else f"the stop moves to {_text(got.stop)} by {got.stop_reason}"


def _text(value: Any) -> str:
    if value is None:
        return "UNKNOWN"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items()) or "none"
    return str(value)
