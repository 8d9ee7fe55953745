"""Writes tests of a rules file: what it says at moments of the shipped candles, and just inside and just outside of
each boundary there. ``python -m tests.rule_tests_written RULES.yaml``; look at the difference before you keep it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from exchange.candle_files import CandleFolders
from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.history import History, build_history, read_market
from indicators.catalog import Unit
from rules.batch import signals
from rules.compiled_rules import CompiledRules, feature_name
from rules.load import Ruleset, load_rules, parse_rules
from rules.regime import RegimeState
from rules.source.short_forms import ALWAYS, NO_TRADE
from rules.source.yaml_source import SourceError, read_source
from rules.strategy import SideName, Strategy
from rules.testing.file import path_of_tests

Facts = dict[str, float | None]
Outcome = Callable[[Facts], Any]

SYMBOLS = ("ETHUSDT", "BTCUSDT", "SOLUSDT", "DOGEUSDT")
CANDLES_MIN = 200
BASES_MAX = 40
DIGITS = 7


def rounded(value: float, digits: int = DIGITS) -> float:
    return float(f"{value:.{digits}g}")


@dataclass
class Written:
    """The file as it grows; sets of facts that are alike are one."""

    sets: dict[str, Facts] = field(default_factory=dict)
    tests: list[dict[str, Any]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def like(self, stem: str, facts: Facts) -> str:
        for name, known in self.sets.items():
            if known == facts:
                return name
        name = f"{stem}_{1 + sum(known.startswith(stem) for known in self.sets)}"
        self.sets[name] = facts
        return name

    def add(self, name: str, **parts: Any) -> None:
        number, unique = 1, name
        while unique in self.names:
            number += 1
            unique = f"{name} ({number})"
        self.names.add(unique)
        self.tests.append({"name": unique, **parts})

    def text(self, rules_path: Path) -> str:
        lines = [
            f"# Tests of {rules_path.name}: `python -m fsm rules test --rules {rules_path}`. What they mean:",
            "# docs/rules-workshop.md. Written by `python -m tests.rule_tests_written` from the shipped candles; an",
            "# edit of the rules that is meant is followed by an edit here, or by writing the file anew.",
            "version: 1",
            "# true: a running bot, and a start, take up no rules that fail one of these. The shipped rules are",
            "# there to be edited: here it is false, and only `rules test` says what an edit changes.",
            "guard: false",
            "facts:",
        ]
        for name, facts in self.sets.items():
            lines.append(f"  {name}:")
            lines += [f'    "{key}": {_yaml(value)}' for key, value in sorted(facts.items())]
        lines.append("tests:")
        for test in self.tests:
            parts = [f"{key}: {_yaml(value)}" for key, value in test.items()]
            lines += [f"  - {parts[0]}", *(f"    {part}" for part in parts[1:])]
        return "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return np.format_float_positional(value, trim="-")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    text = str(value)
    return text if text.replace("_", "").isalnum() else f'"{text}"'


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() else f'"{key}"'


def boundary(rules: CompiledRules, outcome: Outcome, facts: Facts, key: str, up: int) -> tuple[float, float] | None:
    """The values nearest to one another, the first with the same outcome as the facts, the other with another."""
    start, had = facts[key], outcome(facts)
    assert start is not None
    unit = rules.features[feature_name(key)].unit

    def same(value: float) -> bool:
        return bool(outcome({**facts, key: value}) == had)

    if unit is Unit.FLAG:
        other = 1.0 - start
        return (start, other) if (other > start) == (up > 0) and not same(other) else None
    if unit is Unit.COUNT:
        found = (start + up * number for number in range(1, 12))
        return next(((value - up, value) for value in found if not same(value)), None)
    near, step = start, max(abs(start) * 0.002, 1e-4)
    for number in range(13):
        far = start + up * step * 2**number
        if not same(far):
            return _between(same, near, far, up)
        near = far
    return None


def _between(same: Callable[[float], bool], near: float, far: float, up: int) -> tuple[float, float]:
    while abs(far - near) > 1e-6 * max(abs(far), abs(near), 1e-3):
        middle = (near + far) / 2
        near, far = (middle, far) if same(middle) else (near, middle)
    gap = 1e-5 * max(abs(near), 1e-2)
    for digits in range(1, DIGITS + 1):
        round_ = rounded((near + far) / 2, digits)
        if abs(round_ - near) <= gap:
            inside = (round_, rounded(round_ + up * gap)), (rounded(round_ - up * gap), round_)
            for pair in inside:
                if same(pair[0]) and not same(pair[1]):
                    return pair
    return near, far


class Writing:
    def __init__(self, rules: Ruleset, path: Path) -> None:
        self.rules = rules
        self.path = path
        self.general = rules.for_symbol("")
        self.file = Written()
        folders = CandleFolders((shipped_folder(),))
        self.histories: dict[str, History] = {}
        for symbol in SYMBOLS:
            own = rules.for_symbol(symbol)
            market = read_market(folders, symbol, own, candles_only=True)
            self.histories[symbol] = build_history(market, rules, CANDLES_MIN)

    def run(self) -> Written:
        self.indicators()
        if self.general.classifier.names[0] != ALWAYS:
            for symbol in ("", *self.rules.definition.symbols):
                self.regimes(symbol)
        for name in self.general.strategies:
            for side in self.general.strategies[name].sides:
                self.setup(name, side.side)
                self.management(name, side.side)
        self.routes()
        return self.file

    # --- what indicators are ----------------------------------------------------------------------
    def indicators(self) -> None:
        """All features at a few closes; among them, for each yes or no, some of both."""
        step = self.general.classifier.timeframe.ms
        for symbol, history in islice(self.histories.items(), 2):
            table = history.table
            last = table.length - 1
            at = [last, last - 1, *self._flags(history)]
            if symbol == SYMBOLS[0]:
                at += self._told_apart(history, at)
            for index in sorted(dict.fromkeys(at)):
                facts = {key: _rounded(value) for key, value in table.facts_at(index).items()}
                close_ms = int(table.candle_ms[index]) + history.rules.entry_timeframe.ms
                state = history.regime_state(index)
                expect: dict[str, Any] = {"facts": facts, "regime": state.regime}
                if close_ms % step == 0:
                    expect["confidence"] = rounded(state.confidence, 10)
                when = np.datetime_as_string(np.datetime64(close_ms, "ms"), unit="m")
                self.file.add(f"{symbol} at {when}", symbol=symbol, at=f"{when}Z", expect=expect)

    def _told_apart(self, history: History, chosen: Sequence[int]) -> list[int]:
        """Closes at which a feature is another one with the next value of a parameter: a highest price of 55 days is
        mostly that of 54 too."""
        at: list[int] = []
        for name, column in self._varied():
            ours = history.table.column(name)
            places = np.flatnonzero(~np.isclose(ours, column, rtol=1e-6, atol=0, equal_nan=True) & ~np.isnan(ours))
            if places.size and not {*places.tolist()} & {*chosen, *at}:
                at.append(int(places[-1]))
        return at

    def _varied(self) -> Iterator[tuple[str, Any]]:
        """Each feature's values where one of its numbers is the next one."""
        folders = CandleFolders((shipped_folder(),))
        data = read_source(self.path).data
        for name, given in data["features"].items():
            for key, value in given.items():
                if not isinstance(value, int | float) or isinstance(value, bool):
                    continue
                for other in (value - 1, value + 1) if isinstance(value, int) else (value * 0.98, value * 1.02):
                    edited = {**data, "features": {**data["features"], name: {**given, key: other}}}
                    try:
                        rules = parse_rules(json.dumps(edited), "varied.yaml")
                    except SourceError:
                        continue  # no indicator has such a parameter
                    own = rules.for_symbol(SYMBOLS[0])
                    market = read_market(folders, SYMBOLS[0], own, candles_only=True)
                    table = build_history(market, rules, CANDLES_MIN).table
                    for read in sorted(key for key in own.fact_keys if feature_name(key).rpartition(".")[2] == name):
                        yield read, table.column(read)

    def _flags(self, history: History) -> Iterator[int]:
        """Closes at which a yes-or-no indicator of candles is nearly the other one."""
        for key in sorted({feature_name(key) for key in history.rules.fact_keys}):
            feature = history.rules.features[key]
            if feature.unit is Unit.FLAG and feature.indicator is not None:
                column = history.table.column(key)
                yield int(np.flatnonzero(column == 1)[-1])

    # --- regimes ------------------------------------------------------------------------------------
    def regimes(self, symbol: str) -> None:
        rules = self.rules.for_symbol(symbol)
        for rule in rules.classifier.rules:
            for before, kind in ((NO_TRADE, "begins"), (rule.regime, "stays")):
                self._regime(symbol, rules, rule.regime, before, kind)
        if not symbol:
            self._hysteresis(rules)

    def _regime(self, symbol: str, rules: CompiledRules, regime: str, before: str, kind: str) -> None:
        def outcome(facts: Facts) -> str:
            return after(rules, facts, before)

        bases = [facts for facts in self._rows(rules.regime_fact_keys, symbol) if outcome(facts) == regime]
        if kind == "stays":
            bases = [facts for facts in bases if after(rules, facts, NO_TRADE) != regime]
        given = {} if before == NO_TRADE else {"regime": before}
        of = {"symbol": symbol} if symbol else {}
        if bases and not symbol:
            clear = max(bases, key=lambda facts: _middling(rules, regime, facts))
            state = last_state(rules, clear, before)
            expect = {"regime": regime, "confidence": rounded(state.confidence, 10)}
            self.file.add(f"{regime} {kind}", like=self.file.like(regime.lower(), clear), **given, expect=expect)
        for key in rules.regime_fact_keys:
            for up in (1, -1):
                for facts, pair in self._boundaries(rules, outcome, bases, key, up):
                    found = [(value, outcome({**facts, key: value})) for value in pair]
                    if symbol and all(
                        after(self.general, {**facts, key: value}, before) == result for value, result in found
                    ):
                        continue
                    base = self.file.like(regime.lower(), facts)
                    for value, result in found:
                        name = f"{regime} {kind}{' on ' + symbol if symbol else ''}, {key} {_yaml(value)}: {result}"
                        self.file.add(name, like=base, **of, facts={key: value}, **given, expect={"regime": result})

    def _hysteresis(self, rules: CompiledRules) -> None:
        """How many candles it takes, and how sure it must be to skip them."""
        classifier = rules.classifier
        rows = list(self._rows(rules.regime_fact_keys, ""))
        for rule in classifier.rules:
            held = [facts for facts in rows if after(rules, facts, NO_TRADE) == rule.regime]
            slow = [facts for facts in held if after(rules, facts, NO_TRADE, candles=1) != rule.regime]
            sure = [facts for facts in held if after(rules, facts, NO_TRADE, candles=1) == rule.regime]
            for facts in slow[:1]:
                base = self.file.like(rule.regime.lower(), facts)
                for candles in (classifier.confirmations - 1, classifier.confirmations):
                    if candles:
                        result = after(rules, facts, NO_TRADE, candles=candles)
                        name = f"{rule.regime} is asked for {candles} times: {result}"
                        self.file.add(name, like=base, candles=candles, expect={"regime": result})
            for facts in sure[:1]:
                base = self.file.like(rule.regime.lower(), facts)
                for lasted in (classifier.dwell_candles - 1, classifier.dwell_candles):
                    if lasted >= 0:
                        result = after(rules, facts, NO_TRADE, candles=1, lasted=lasted)
                        name = f"{rule.regime} after {lasted} candles of another: {result}"
                        self.file.add(name, like=base, candles=1, lasted=lasted, expect={"regime": result})

            def quick(facts: Facts, rules: CompiledRules = rules) -> str:
                return after(rules, facts, NO_TRADE, candles=1)

            for key in sorted(rule.fact_keys()):
                for facts, pair in chain(*(self._boundaries(rules, quick, sure, key, up) for up in (1, -1))):
                    base = self.file.like(rule.regime.lower(), facts)
                    for value in pair:
                        result = quick({**facts, key: value})
                        name = f"{rule.regime} at once, {key} {_yaml(value)}: {result}"
                        self.file.add(name, like=base, facts={key: value}, candles=1, expect={"regime": result})

    # --- signals ------------------------------------------------------------------------------------
    def setup(self, strategy: str, side: SideName) -> None:
        rules, plan = self.general, self.general.strategies[strategy]

        def outcome(facts: Facts) -> tuple[str, str | None]:
            reading = rules.seek_signal(strategy, facts, traced=False)
            return reading.reason.value, reading.side

        keys = sorted(key for key in plan.side(side).fact_keys() | {plan.entry_key} if _is_fact(rules, key))
        bases = [facts for facts in self._signals(strategy, side) if outcome(facts) == ("SIGNAL", side)]
        stem = f"{strategy}_{side.lower()}"
        if not bases:
            print(f"{stem}: no signal in the candles at hand", file=sys.stderr)
        for key in keys:
            for up in (1, -1):
                for facts, pair in self._boundaries(rules, outcome, bases, key, up):
                    base = self.file.like(stem, facts)
                    for value in pair:
                        reason, found = outcome({**facts, key: value})
                        expect: dict[str, Any] = {"silence": reason}
                        if found is not None:
                            expect = {"signal": {"strategy": strategy, "side": found.lower()}}
                        name = f"{strategy} {side.lower()}, {key} {_yaml(value)}: {reason.lower()}"
                        self.file.add(name, like=base, facts={key: value}, strategy=strategy, expect=expect)
            for facts in bases[:1]:
                blind: Facts = {**facts, key: None}
                if outcome(blind)[0] != "SIGNAL":
                    name = f"{strategy} {side.lower()} without {key}"
                    expect = {"silence": outcome(blind)[0]}
                    base = self.file.like(stem, facts)
                    self.file.add(name, like=base, facts={key: None}, strategy=strategy, expect=expect)
        for name, facts in list(self.file.sets.items()):
            if name.startswith(f"{stem}_"):
                self._positive(strategy, side, name, facts)

    def _positive(self, strategy: str, side: SideName, base: str, facts: Facts) -> None:
        reading = self.general.seek_signal(strategy, facts, traced=False)
        assert reading.entry is not None
        assert reading.stop is not None
        signal: dict[str, Any] = {
            "strategy": strategy,
            "side": side.lower(),
            "entry": rounded(reading.entry, 10),
            "stop": rounded(reading.stop, 10),
            "targets": [rounded(price, 10) for price, _ in reading.targets],
            "portions": [portion for _, portion in reading.targets],
            "risk": self.general.strategies[strategy].risk,
        }
        self.file.add(f"{strategy} {side.lower()}", like=base, strategy=strategy, expect={"signal": signal})

    def _signals(self, strategy: str, side: SideName) -> Iterator[Facts]:
        sign = 1 if side == "LONG" else -1
        keys = self.general.strategies[strategy].fact_keys
        found = []
        for history in self.histories.values():
            table = history.table
            places = np.flatnonzero(signals(table, strategy).sides == sign)
            places = places[:: max(1, len(places) // (BASES_MAX // 2))]
            found.append([{key: _rounded(_value(table.column(key), int(i))) for key in keys} for i in places])
        for row in range(max(map(len, found))):
            yield from (facts[row] for facts in found if row < len(facts))

    # --- open trades --------------------------------------------------------------------------------
    def management(self, strategy: str, side: SideName) -> None:
        """One of everything that becomes of open trades in the candles at hand, and its boundaries."""
        plan, rules = self.general.strategies[strategy], self.general
        keys = _managed_keys(rules, plan, side)
        seen: dict[tuple[str | None, str | None], int] = {}
        for facts, trade in self._open(strategy, side, keys):

            def outcome(facts: Facts, trade: dict[str, Any] = trade) -> tuple[str | None, str | None]:
                done = manage(rules, trade, facts)
                return done.exit_reason, done.stop_reason

            kind = outcome(facts)
            if kind in seen:
                continue
            seen[kind] = seen.get(kind, 0) + 1
            base = self.file.like(f"open_{strategy}_{side.lower()}", facts)
            self._managed(strategy, side, base, trade, {}, facts)
            for key in keys:
                for up in (1, -1):
                    pair = boundary(rules, outcome, facts, key, up)
                    for value in pair or ():
                        self._managed(strategy, side, base, trade, {key: value}, {**facts, key: value})
        self._held(strategy, side, keys)

    def _held(self, strategy: str, side: SideName, keys: Sequence[str]) -> None:
        limit = self.general.strategies[strategy].upkeep.exit_after_candles
        if limit is None:
            return
        for facts, trade in self._open(strategy, side, keys):
            done = manage(self.general, trade, facts)
            if done.exit_reason is None and done.stop is None:
                base = self.file.like(f"open_{strategy}_{side.lower()}", facts)
                for held in (limit - 1, limit):
                    self._managed(strategy, side, base, {**trade, "candles_held": held}, {}, facts)
                return

    def _managed(
        self, strategy: str, side: SideName, base: str, trade: dict[str, Any], given: Facts, facts: Facts
    ) -> None:
        done = manage(self.general, trade, facts)
        if done.exit_reason is not None:
            told, expect = done.exit_reason, {"exit": done.exit_reason}
        elif done.stop is not None:
            told = f"{done.stop_reason}"
            expect = {"moves_stop": {"to": rounded(done.stop, 10), "by": done.stop_reason}}  # type: ignore[dict-item]
        else:
            told, expect = "holds", {"holds": True}  # type: ignore[dict-item]
        where = "".join(f", {key} {_yaml(value)}" for key, value in given.items())
        name = f"open {strategy} {side.lower()}{where}: {told.lower()}"
        self.file.add(name, like=base, **({"facts": given} if given else {}), trade=trade, expect=expect)

    def _open(self, strategy: str, side: SideName, keys: Sequence[str]) -> Iterator[tuple[Facts, dict[str, Any]]]:
        rules, sign = self.general, 1 if side == "LONG" else -1
        for history in self.histories.values():
            table = history.table
            for place in np.flatnonzero(signals(table, strategy).sides == sign)[:60:4]:
                index = int(place)
                reading = rules.seek_signal(strategy, table.facts_at(index), traced=False)
                if reading.entry is None or reading.stop is None:
                    continue
                for held in (1, 5, 12, 20, 40):
                    if index + held < table.length:
                        facts = {key: _rounded(_value(table.column(key), index + held)) for key in keys}
                        if None not in facts.values():
                            yield (
                                facts,
                                {
                                    "strategy": strategy,
                                    "side": side.lower(),
                                    "entry": rounded(reading.entry),
                                    "stop": rounded(reading.stop),
                                    "candles_held": held,
                                },
                            )

    # --- the router ---------------------------------------------------------------------------------
    def routes(self) -> None:
        """Each regime's own strategy answers, and nothing does where nothing is traded."""
        for symbol in ("", *self.rules.definition.symbols):
            rules = self.rules.for_symbol(symbol)
            of = {"symbol": symbol} if symbol else {}
            for regime in rules.classifier.names:
                route = rules.route(regime)
                if not route.strategies:
                    expect: dict[str, Any] = {"silence": route.reason}
                    base = self.file.like("anything", {rules.strategies[next(iter(rules.strategies))].entry_key: 100.0})
                    self.file.add(
                        f"nothing in {regime} {symbol}".strip(), like=base, **of, regime=regime, expect=expect
                    )
                for strategy in route.strategies:
                    for side in rules.strategies[strategy].sides:
                        stem = f"{strategy}_{side.side.lower()}_1"
                        reading = stem in self.file.sets and rules.seek(route, self.file.sets[stem], traced=False)
                        if reading and reading.side is not None:
                            expect = {"signal": {"strategy": reading.strategy, "side": reading.side.lower()}}
                            name = f"{regime} asks {strategy} {reading.side.lower()} {symbol}".strip()
                            self.file.add(name, like=stem, **of, regime=regime, expect=expect)
        cooldown = self.general.cooldown
        if cooldown is not None:
            expect = {"cooldown": {"losses": cooldown.losses, "candles": cooldown.candles}}
            self.file.add("cooldown after losses", expect=expect)

    # --- moments ------------------------------------------------------------------------------------
    def _rows(self, keys: Sequence[str], symbol: str) -> Iterator[Facts]:
        """Rows of the candles at hand at closes of the regime timeframe, spread over them."""
        for name in [symbol] if symbol else ["ETHUSDT", "SOLUSDT"]:
            if name not in self.histories:
                continue
            history = self.histories[name]
            runs = history.regimes.runs
            for index in runs[:: max(1, len(runs) // 1000)]:
                facts = {key: _rounded(_value(history.table.column(key), index)) for key in keys}
                if None not in facts.values():
                    yield facts

    def _boundaries(
        self, rules: CompiledRules, outcome: Outcome, bases: Sequence[Facts], key: str, up: int
    ) -> Iterator[tuple[Facts, tuple[float, float]]]:
        """One boundary for each other outcome that a change of this value can bring."""
        seen: set[Any] = set()
        spread = bases[:: max(1, len(bases) // BASES_MAX)]
        known = [facts for facts in self.file.sets.values() if facts in bases]
        for facts in [*known, *spread]:
            if facts.get(key) is None:
                continue
            pair = boundary(rules, outcome, facts, key, up)
            if pair is not None and (result := outcome({**facts, key: pair[1]})) not in seen:
                seen.add(result)
                yield facts, pair


def after(rules: CompiledRules, facts: Facts, before: str, candles: int = 0, lasted: int | None = None) -> str:
    return last_state(rules, facts, before, candles, lasted).regime


def last_state(
    rules: CompiledRules, facts: Facts, before: str, candles: int = 0, lasted: int | None = None
) -> RegimeState:
    classifier = rules.classifier
    state = RegimeState(regime=before, candles_in_regime=classifier.dwell_candles if lasted is None else lasted)
    for number in range(1, (candles or classifier.confirmations + classifier.dwell_candles + 1) + 1):
        at_ms = number * classifier.timeframe.ms - classifier.entry_timeframe.ms
        state = classifier.classify(facts, state, at_ms)
    return state


def manage(rules: CompiledRules, trade: Mapping[str, Any], facts: Facts) -> Any:
    return rules.manage(
        trade["strategy"],
        "LONG" if trade["side"] == "long" else "SHORT",
        facts,
        entry=trade["entry"],
        stop=trade["stop"],
        risk=abs(trade["entry"] - trade["stop"]),
        candles_held=trade["candles_held"],
        traced=False,
    )


def _managed_keys(rules: CompiledRules, plan: Strategy, side: SideName) -> list[str]:
    own = plan.side(side)
    keys = {plan.entry_key} | (own.exit_when.fact_keys() if own.exit_when else set())
    keys |= own.trail.fact_keys() if own.trail else set()
    return sorted(key for key in keys if _is_fact(rules, key))


def _middling(rules: CompiledRules, regime: str, facts: Facts) -> float:
    """How far from its ends each part of the confidence is: there, a change of either end shows."""
    rule = next(rule for rule in rules.classifier.rules if rule.regime == regime)
    scores = [ramp.score(ramp.calculate(facts)) for ramp in rule.ramps]
    return min((min(score, 1 - score) for score in scores), default=0.0)


def _is_fact(rules: CompiledRules, key: str) -> bool:
    return feature_name(key) in rules.features


def _value(column: Any, index: int) -> float | None:
    value = float(column[index])
    return None if np.isnan(value) else value


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value)


if __name__ == "__main__":
    for given in map(Path, sys.argv[1:]):
        written = Writing(load_rules(given), given).run()
        path_of_tests(given).write_text(written.text(given), "utf-8")
        print(f"{path_of_tests(given)}: {len(written.tests)} tests")
