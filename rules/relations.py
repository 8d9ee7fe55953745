"""What always holds between measured values: a low is at most the close, a lower band at most the upper one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations

from rules.features import Feature
from rules.language.syntax import Comparison, Name, Node, walk

_BANDS = ("bb_lower", "bb_middle", "bb_upper")


def relations(nodes: Iterable[Node], features: Mapping[str, Feature]) -> list[Node]:
    """Between the names that these expressions use, whatever the market does."""
    names = {(part.name, part.offset) for node in nodes for part in walk(node) if isinstance(part, Name)}
    known = [(Name(name, offset), features[name]) for name, offset in sorted(names) if name in features]
    return list(_related(known))


def _related(known: list[tuple[Name, Feature]]) -> Iterator[Node]:
    for (one, feature), (other, beside) in permutations(known, 2):
        if feature.timeframe is beside.timeframe and _is_at_most(one, feature, other, beside):
            yield Comparison("<=", one, other)


def _is_at_most(one: Name, feature: Feature, other: Name, beside: Feature) -> bool:
    if feature.indicator is None or beside.indicator is None:
        return False
    kinds = (feature.indicator.name, beside.indicator.name)
    if kinds[0] in _BANDS and kinds[1] in _BANDS:
        same = one.offset == other.offset and feature.indicator.params["period"] == beside.indicator.params["period"]
        return same and _BANDS.index(kinds[0]) < _BANDS.index(kinds[1])
    window, around = _window(one, feature), _window(other, beside)
    if window is None or around is None:
        return False
    is_within, is_around = _covers(around, window), _covers(window, around)
    lowest, highest = ("low", "recent_low", "donchian_low"), ("high", "recent_high", "donchian_high")
    if kinds[1] in highest:
        return is_within if kinds[0] not in lowest else bool(set(window) & set(around))
    return is_around and kinds[0] in lowest


def _window(name: Name, feature: Feature) -> range | None:
    """Which candles a price is taken from, counted back from the newest."""
    assert feature.indicator is not None
    kind, start = feature.indicator.name, name.offset
    if kind in ("open", "high", "low", "close"):
        return range(start, start + 1)
    if kind in ("recent_high", "recent_low"):
        return range(start, start + int(feature.indicator.params["period"]))
    if kind in ("donchian_high", "donchian_low"):
        return range(start + 1, start + 1 + int(feature.indicator.params["period"]))
    return None


def _covers(outer: range, inner: range) -> bool:
    return outer.start <= inner.start and inner.stop <= outer.stop
