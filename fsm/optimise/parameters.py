"""What a search varies: thresholds between two numbers, choices among their options, and the points of both."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product

import msgspec

from rules.load import Ruleset
from rules.rewriting import Setting

Point = dict[str, Setting]
"""One value for each parameter, by its name."""

POINTS_MAX = 100_000
"""More than a person can make anything of, and more chances for luck than any test forgives."""

DIGITS = 6
"""Significant digits of a number that is drawn from a range without steps: no more than one would type."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::({_NUMBER}))?")


class SearchError(Exception):
    """A search that cannot be done as it was asked for. The message says what to change."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold goes from ``low`` to ``high``, in steps or (``step`` None) by any number; a choice has options."""

    name: str
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    options: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[Setting, ...]:
        """Every value that it can have. Raises SearchError where there is no end of them."""
        if self.options:
            return self.options
        if self.step is None:
            raise SearchError(
                f"{self.name} goes from {self.low:g} to {self.high:g} without steps, which no grid can do: "
                f"write --vary {self.name}={self.low:g}..{self.high:g}:STEP, or take --sampler random"
            )
        return tuple(self._stepped(index) for index in range(self.count))

    @property
    def count(self) -> int:
        """How many values it can have, in steps or among options."""
        if self.options:
            return len(self.options)
        assert self.step is not None
        return int((_exact(self.high) - _exact(self.low)) / _exact(self.step)) + 1

    def drawn(self, chance: random.Random) -> Setting:
        if self.options:
            return self.options[chance.randrange(len(self.options))]
        if self.step is not None:
            return self._stepped(chance.randrange(self.count))
        return self.tidy(self.low + (self.high - self.low) * chance.random())

    def tidy(self, value: float) -> Setting:
        """A number of this range, without digits that nobody would type."""
        rounded = float(f"{value:.{DIGITS}g}")
        return _number(min(max(rounded, self.low), self.high))

    def _stepped(self, index: int) -> Setting:
        assert self.step is not None
        return _number(float(_exact(self.low) + index * _exact(self.step)))

    def place(self, value: Setting) -> float:
        """Where in its range a value lies, from 0 to 1; options by their order."""
        if self.options:
            return self.options.index(str(value)) / max(len(self.options) - 1, 1)
        return (float(value) - self.low) / (self.high - self.low)

    def told(self) -> str:
        if self.options:
            return f"{self.name}: {', '.join(self.options)}"
        steps = "any number between" if self.step is None else f"in steps of {self.step:g}"
        return f"{self.name}: {self.low:g} to {self.high:g}, {steps}"


def _exact(value: float) -> Decimal:
    return Decimal(repr(value))


def _number(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def parameters_of(rules: Ruleset, varied: Sequence[str]) -> tuple[Parameter, ...]:
    """What --vary says, else every threshold that has a range in the rules. Raises SearchError."""
    found = [_typed(rules, text) for text in varied] if varied else list(_ranges(rules))
    if not found:
        raise SearchError(
            f"nothing to vary: {rules.name} has no threshold with a range; write one as "
            "`name: {value: 25, range: [15, 40], step: 1}`, or say --vary NAME=15..40:1"
        )
    names = [each.name for each in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SearchError(f"{', '.join(twice)} is to be varied twice: name each once")
    return tuple(found)


def _ranges(rules: Ruleset) -> Iterator[Parameter]:
    for name, each in rules.definition.ranges.items():
        yield Parameter(name=name, low=each.range[0], high=each.range[1], step=each.step)


def _typed(rules: Ruleset, text: str) -> Parameter:
    """``NAME=A..B``, ``NAME=A..B:STEP``, ``NAME`` for the range in the rules, ``CHOICE=one,other``."""
    name, _, written = (part.strip() for part in text.partition("="))
    definition = rules.definition
    if name in definition.choices:
        return _options(name, written, tuple(definition.choices[name].options))
    if name not in definition.thresholds:
        there = ", ".join([*definition.thresholds, *definition.choices]) or "none"
        raise SearchError(f"--vary {text}: {rules.name} has no threshold or choice called {name}; there are: {there}")
    if not written:
        if name not in definition.ranges:
            raise SearchError(
                f"--vary {text}: {name} has no range in {rules.name}; write {name}=A..B or {name}=A..B:STEP"
            )
        each = definition.ranges[name]
        return Parameter(name=name, low=each.range[0], high=each.range[1], step=each.step)
    parts = _RANGE.fullmatch(written)
    if parts is None:
        raise SearchError(f"--vary {text}: write it as {name}=15..40, or {name}=15..40:1 for steps of 1")
    low, high = float(parts[1]), float(parts[2])
    step = None if parts[3] is None else float(parts[3])
    if not low < high:
        raise SearchError(f"--vary {text}: a range goes from a number to a larger one")
    if step is not None and not 0 < _exact(step) <= _exact(high) - _exact(low):
        raise SearchError(f"--vary {text}: a step is larger than 0 and no larger than the range")
    return Parameter(name=name, low=low, high=high, step=step)


def _options(name: str, written: str, there: tuple[str, ...]) -> Parameter:
    wanted = tuple(each.strip() for each in written.split(",")) if written else there
    if unknown := [each for each in wanted if each not in there]:
        raise SearchError(f"{name} has no option {unknown[0]}; there are: {', '.join(there)}")
    if len(set(wanted)) < 2:
        raise SearchError(f"{name} needs two options at least to be varied; there are: {', '.join(there)}")
    return Parameter(name=name, options=wanted)


def grid(parameters: Sequence[Parameter]) -> list[Point]:
    """Every combination, the last parameter quickest. Raises SearchError where they are too many."""
    values = [each.values for each in parameters]
    count = math.prod(map(len, values))
    if count > POINTS_MAX:
        raise SearchError(
            f"a grid of {count:,} points is too large (at most {POINTS_MAX:,}): take larger steps or fewer parameters, "
            "or --sampler random --trials N"
        )
    names = [each.name for each in parameters]
    return [dict(zip(names, combination, strict=True)) for combination in product(*values)]


def drawn(parameters: Sequence[Parameter], count: int, seed: int) -> list[Point]:
    """Different points, the same for one seed for ever; fewer where there are no more."""
    if count > POINTS_MAX:
        raise SearchError(f"--trials {count:,} is too many: at most {POINTS_MAX:,}")
    room = _room(parameters)
    if room is not None and room <= count:
        return grid(parameters)
    chance, found = random.Random(seed), dict[tuple[Setting, ...], Point]()  # noqa: S311 - no secret
    misses = 0
    while len(found) < count and misses < 1_000 * count:
        point = {each.name: each.drawn(chance) for each in parameters}
        misses += tuple(point.values()) in found
        found.setdefault(tuple(point.values()), point)
    return list(found.values())


def _room(parameters: Sequence[Parameter]) -> int | None:
    """How many points there are; None: no end of them."""
    if any(not each.options and each.step is None for each in parameters):
        return None
    return math.prod(each.count for each in parameters)
