"""Functions that look back: what an expression was at its highest, when a condition held last, how often it did.

Each is measured like an indicator, over the candles of the one timeframe that its expression reads, in a stream form
and a batch form that are equal bit for bit. It is UNKNOWN until everything that it reads has warmed up over its whole
length. All are bounded: no more than LENGTH_MAX candles back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from indicators.candle import Candle, Timeframe
from indicators.catalog import Unit
from indicators.indicator import Domain
from indicators.series import Series
from indicators.workspace import Workspace
from rules.features import Feature
from rules.language.arrays import FALSE, TRUE, FloatArray, TruthArray, finite, numbers, truths
from rules.language.reach import Interval, reach
from rules.language.scalar import known, logical, numeric
from rules.language.syntax import Name, Node, names_in
from rules.language.truth import Truth
from rules.moments import Moment

LENGTH_MAX = 500
"""Candles that a function may look back; what was longer ago is as if it had never been."""


@dataclass(frozen=True, slots=True)
class Window:
    """``node`` is looked at over ``length`` candles; for ``value_when`` at the last candle at which ``when`` held."""

    function: str
    node: Node
    when: Node | None
    length: int
    timeframe: Timeframe
    unit: Unit
    inner: tuple[Feature, ...]
    text: str

    @property
    def name(self) -> str:
        return self.function

    @property
    def params(self) -> Mapping[str, float]:
        return MappingProxyType({"length": self.length})

    @property
    def warmup(self) -> int:
        """Candles after which it can have a value."""
        features = {feature.name: feature for feature in self.inner}
        reads = [features[name.name].warmup + name.offset for node in self.nodes for name in names_in(node)]
        return max(reads, default=1) + (self.length - 1 if self.function in ("highest", "lowest", "count") else 0)

    @property
    def domain(self) -> Domain:
        """What it can be, whatever the market does."""
        if self.function in ("count", "since"):
            return Domain(0, self.length)
        domains = {feature.name: feature.indicator.domain for feature in self.inner if feature.indicator is not None}

        def known_domain(node: Node) -> Interval:
            domain = domains.get(node.name) if isinstance(node, Name) else None
            return Interval() if domain is None else Interval(domain.lower, domain.upper, domain.lower_open)

        found = reach(self.node, known_domain)
        return Domain(found.lower, found.upper, found.lower_open)

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.node,) if self.when is None else (self.node, self.when)

    def stream(self) -> WindowStream:
        """A new live form that has seen no candle yet."""
        return WindowStream(self)

    def batch(self, source: Series | Workspace) -> FloatArray:
        """One value per candle, NaN where the live form has none."""
        workspace = source if isinstance(source, Workspace) else Workspace(source)
        key = (self.text, *((feature.name, meaning(feature)) for feature in self.inner))
        return workspace.once(key, lambda: self._warmed(workspace))

    def _warmed(self, workspace: Workspace) -> FloatArray:
        values = np.array(self._computed(workspace))
        values[: self.warmup - 1] = np.nan
        return values

    def _computed(self, workspace: Workspace) -> FloatArray:
        features = {feature.name: feature for feature in self.inner}
        size = workspace.series.length
        columns: dict[str, FloatArray] = {}
        for node in self.nodes:
            for name in names_in(node):
                indicator = features[name.name].indicator
                assert indicator is not None
                columns[name.key] = _earlier(finite(indicator.batch(workspace)), name.offset)

        def measured(node: Node) -> FloatArray:
            return np.broadcast_to(numbers(node, columns.__getitem__), (size,))

        def tested(node: Node) -> TruthArray:
            return np.broadcast_to(truths(node, columns.__getitem__), (size,))

        match self.function:
            case "highest":
                return _extreme(measured(self.node), self.length, highest=True)
            case "lowest":
                return _extreme(measured(self.node), self.length, highest=False)
            case "count":
                return _counted(tested(self.node), self.length)
            case "since":
                return _since(tested(self.node), self.length)
        assert self.when is not None
        ago = _since(tested(self.when), self.length)
        held = ~np.isnan(ago) & (ago < self.length)
        values = np.full(size, np.nan)
        values[held] = measured(self.node)[np.flatnonzero(held) - ago[held].astype(np.intp)]
        return values

    def __str__(self) -> str:
        return self.text


def meaning(feature: Feature) -> tuple[object, ...]:
    """Equal for features that measure the same, whatever they and what they read are called."""
    indicator, candles = feature.indicator, feature.candles
    if isinstance(indicator, Window):
        inner = tuple((each.name, meaning(each)) for each in indicator.inner)
        return candles, indicator.text, inner
    return candles, indicator if isinstance(indicator, Moment) else str(indicator)


class WindowStream:
    """The live form: feed it closed candles."""

    def __init__(self, window: Window) -> None:
        self._function, self._length = window.function, window.length
        wanted: dict[str, int] = {}
        self._reads = [(name.key, name.name, name.offset) for node in window.nodes for name in names_in(node)]
        for _, name, offset in self._reads:
            wanted[name] = max(wanted.get(name, 0), offset + 1)
        self._feeds = [
            (feature.name, feature.indicator.stream())
            for feature in window.inner
            if feature.indicator is not None and feature.name in wanted
        ]
        self._recent = {name: deque[float | None](maxlen=size) for name, size in wanted.items()}
        if window.function in ("count", "since"):
            self._test = logical(window.node)
        else:
            self._measure = numeric(window.node)
        if window.when is not None:
            self._test = logical(window.when)
        self._seen: deque[float | None] = deque(maxlen=window.length)
        self._warming = window.warmup
        self._ago = 0
        self._last = Truth.UNKNOWN
        self._value: float | None = None

    def update(self, candle: Candle) -> float | None:
        value = self._updated(candle)
        self._warming = max(self._warming - 1, 0)
        return None if self._warming else value

    def _updated(self, candle: Candle) -> float | None:
        for name, stream in self._feeds:
            self._recent[name].append(known(stream.update(candle)))
        facts = {key: self._at(name, offset) for key, name, offset in self._reads}
        match self._function:
            case "highest" | "lowest":
                return self._extreme(self._measure(facts))
            case "count":
                return self._counted(self._test(facts))
            case "since":
                return self._since(self._test(facts))
        truth = self._test(facts)
        if truth is Truth.TRUE:
            self._value = self._measure(facts)
        ago = self._since(truth)
        return self._value if ago is not None and ago < self._length else None

    def _at(self, name: str, offset: int) -> float | None:
        recent = self._recent[name]
        return recent[-1 - offset] if len(recent) > offset else None

    def _extreme(self, value: float | None) -> float | None:
        self._seen.append(value)
        if len(self._seen) < self._length:
            return None
        values = [each for each in self._seen if each is not None]
        if len(values) < self._length:
            return None
        return max(values) if self._function == "highest" else min(values)

    def _counted(self, truth: Truth) -> float | None:
        self._seen.append({Truth.TRUE: 1.0, Truth.FALSE: 0.0, Truth.UNKNOWN: None}[truth])
        values = [each for each in self._seen if each is not None]
        return sum(values) if len(values) == self._length else None

    def _since(self, truth: Truth) -> float | None:
        if truth is Truth.FALSE:
            self._ago = min(self._ago + 1, self._length)
        else:
            self._last, self._ago = truth, 0
        if self._last is Truth.TRUE or self._ago == self._length:
            return float(self._ago)
        return None


def _earlier(values: FloatArray, offset: int) -> FloatArray:
    """The column so many candles ago."""
    if offset == 0:
        return values
    found = np.full(len(values), np.nan)
    found[offset:] = values[: max(len(values) - offset, 0)]
    return found


def _extreme(values: FloatArray, length: int, *, highest: bool) -> FloatArray:
    found = np.full(len(values), np.nan)
    if len(values) >= length:
        windows = np.lib.stride_tricks.sliding_window_view(values, length)
        found[length - 1 :] = windows.max(axis=1) if highest else windows.min(axis=1)
    return found


def _counted(held: TruthArray, length: int) -> FloatArray:
    found = np.full(len(held), np.nan)
    if len(held) >= length:
        windows = np.lib.stride_tricks.sliding_window_view(held, length)
        counts = (windows == TRUE).sum(axis=1).astype(np.float64)
        found[length - 1 :] = np.where((windows == 0).any(axis=1), np.nan, counts)
    return found


def _since(held: TruthArray, length: int) -> FloatArray:
    """Candles since it held, at most ``length``; NaN while an earlier candle of these cannot be told. What was before
    the first candle cannot be."""
    place = np.arange(len(held))
    told = np.maximum.accumulate(np.where(held == FALSE, -1, place)) if len(held) else place
    ago = np.minimum(place - told, length).astype(np.float64)
    is_known = (told >= 0) & (held[told] == TRUE)
    return np.where(is_known | (ago >= length), ago, np.nan)
