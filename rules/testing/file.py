"""Reads a file of tests: what each gives, and what it expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from rules.source.yaml_source import KeyPath, Problem, Source, SourceError, parse_source, read_source, validate
from rules.testing.schema import SCHEMA

Values = Mapping[str, float | None]
Side = Literal["long", "short"]


class ExpectedSignal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is not given is not looked at. ``risk``: the part of the account's risk that is taken."""

    strategy: str
    side: Side
    entry: float | None = None
    stop: float | None = None
    targets: tuple[float, ...] | None = None
    portions: tuple[float, ...] | None = None
    reward_risk: float | None = None
    risk: float | None = None


class ExpectedStop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: float
    by: str | None = None


class ExpectedCooldown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    losses: int
    candles: int


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is not given is not looked at."""

    facts: dict[str, float | None] = {}
    regime: str | None = None
    confidence: float | None = None
    signal: ExpectedSignal | None = None
    silence: str | None = None
    exit: str | None = None
    moves_stop: ExpectedStop | None = None
    holds: bool = False
    cooldown: ExpectedCooldown | None = None

    @property
    def asks_for_signal(self) -> bool:
        return self.signal is not None or self.silence is not None

    @property
    def asks_of_trade(self) -> bool:
        return self.exit is not None or self.moves_stop is not None or self.holds


class OpenTradeGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``risk`` None: the distance of the stop from the entry."""

    strategy: str
    side: Side
    entry: float
    stop: float
    risk: float | None = None
    candles_held: int = 0
    regime_ended: bool = False


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test as it stands in the file."""

    name: str
    expect: Expected
    symbol: str = ""
    at: str | None = None
    like: str | None = None
    facts: dict[str, float | None] = {}
    regime: str | None = None
    lasted: int | None = None
    candles: int | None = None
    strategy: str | None = None
    trade: OpenTradeGiven | None = None


class RuleTest(msgspec.Struct, frozen=True):
    """One test. ``facts`` are those that it gives, with those of the set that it is like; ``at_ms`` the moment of
    recorded history that it speaks of; ``number`` its place in the file."""

    number: int
    written: Written
    facts: dict[str, float | None]
    at_ms: int | None

    @property
    def path(self) -> KeyPath:
        return "tests", self.number


class TestFile(msgspec.Struct, frozen=True):
    """Tests that can be asked, whatever comes of them. ``guard``: rules that fail one are not taken up."""

    __test__ = False

    source: Source
    tests: tuple[RuleTest, ...]
    guard: bool = True


def path_of_tests(rules_path: Path) -> Path:
    """Where the tests of a rules file are: rules.yaml → rules.tests.yaml."""
    return rules_path.with_suffix(f".tests{rules_path.suffix}")


def read_tests(path: str | Path) -> TestFile:
    """Raises SourceError with every problem, each with its place."""
    return _read(read_source(path))


def parse_tests(text: str, name: str) -> TestFile:
    """As ``read_tests``, of a text; ``name`` stands for the file in problems."""
    return _read(parse_source(text, name))


def _read(source: Source) -> TestFile:
    problems = validate(source, SCHEMA) or list(_contradictions(source))
    if problems:
        raise SourceError(problems)
    sets = {name: _facts(values) for name, values in source.data.get("facts", {}).items()}
    tests = tuple(_test(number, written, sets) for number, written in enumerate(source.data["tests"]))
    return TestFile(source, tests, source.data.get("guard", True))


def _test(number: int, data: Mapping[str, Any], sets: Mapping[str, dict[str, float | None]]) -> RuleTest:
    expect = {**data["expect"], "facts": _facts(data["expect"].get("facts", {}))}
    written = msgspec.convert({**data, "facts": _facts(data.get("facts", {})), "expect": expect}, Written)
    base = sets[written.like] if written.like is not None else {}
    return RuleTest(number, written, {**base, **written.facts}, None if written.at is None else _ms(written.at))


def _facts(values: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: None if value is None else float(value) for name, value in values.items()}


def _ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _contradictions(source: Source) -> Iterator[Problem]:
    """What fits the schema and means nothing."""
    names: dict[str, int] = {}
    for number, test in enumerate(source.data["tests"]):
        path: KeyPath = ("tests", number)
        first = names.setdefault(test["name"], number)
        if first != number:
            yield source.problem((*path, "name"), f"test {first + 1} has this name too: each needs one of its own")
        if "like" in test and test["like"] not in source.data.get("facts", {}):
            known = ", ".join(source.data.get("facts", {})) or "none"
            yield source.problem((*path, "like"), f"no set of facts is called {test['like']}; there are: {known}")
        yield from _of_moment(source, path, test)
        yield from _of_expectation(source, path, test)


def _of_moment(source: Source, path: KeyPath, test: Mapping[str, Any]) -> Iterator[Problem]:
    if "at" in test:
        try:
            _ms(test["at"])
        except ValueError:
            yield source.problem((*path, "at"), f"{test['at']!r} is no time; write 2024-10-15T08:00 (UTC)")
        if "symbol" not in test:
            yield source.problem((*path, "at"), "a moment of history needs a symbol", key=True)
    elif "facts" not in test and "like" not in test and set(test["expect"]) != {"cooldown"}:
        yield source.problem(path, "it gives nothing: name facts, a set that it is like, or a moment (symbol and at)")


def _of_expectation(source: Source, path: KeyPath, test: Mapping[str, Any]) -> Iterator[Problem]:
    expect, at = test["expect"], (*path, "expect")
    asked = [name for name in ("exit", "moves_stop", "holds") if name in expect]
    if asked and "trade" not in test:
        yield source.problem((*at, asked[0]), f"{asked[0]} is about an open trade: the test needs `trade:`", key=True)
    if "trade" in test and not asked:
        yield source.problem(at, "with a trade, expect exit, moves_stop or holds")
    if len(asked) > 1:
        yield source.problem((*at, asked[1]), f"a trade does one thing: {asked[0]} or {asked[1]}", key=True)
    if "signal" in expect and "silence" in expect:
        yield source.problem((*at, "silence"), "either a signal or silence, not both", key=True)
    if "confidence" in expect and "regime" not in expect:
        yield source.problem((*at, "confidence"), "a confidence is that of a regime: expect `regime:` too", key=True)
    has_regime = any(name in test for name in ("regime", "strategy", "at")) or "regime" in expect
    if not has_regime and ("signal" in expect or "silence" in expect):
        yield source.problem(at, "say in which `regime:` a signal is looked for, or of which `strategy:`")
