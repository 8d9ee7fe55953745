"""Warm-up: how many candles of each timeframe the rules need before they can say anything, and which are short."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from indicators.candle import Timeframe
from rules.compiled_rules import CompiledRules, feature_name, feature_offset
from rules.features import CandlesRead

CLASSIFIER = ""
"""Who needs candles: each strategy that a regime calls for by its name, and the classifier of regimes."""

WARMING_UP = "WARMING_UP"

Counts = Mapping[CandlesRead, int]


class Warmup:
    """What the classifier and each strategy of some rules need; the timeframe that takes longest is told."""

    def __init__(self, rules: CompiledRules, candles_min: int) -> None:
        self._rules = rules
        self._candles_min = candles_min
        routed = sorted({name for route in rules.routes.values() for name in route.strategies})
        keys = {CLASSIFIER: rules.regime_fact_keys, **{name: rules.strategy_fact_keys(name) for name in routed}}
        self.needed: dict[str, dict[CandlesRead, int]] = {who: self._needed(read) for who, read in keys.items()}

    def candles_needed(self, key: str) -> int:
        """Candles of its timeframe that must have been seen for one fact."""
        return max(self._rules.features[feature_name(key)].warmup, self._candles_min, 1) + feature_offset(key)

    def _needed(self, keys: tuple[str, ...]) -> dict[CandlesRead, int]:
        """By the candles that are read, the longest first."""
        found: dict[CandlesRead, int] = {}
        for key in keys:
            read = self._rules.features[feature_name(key)].candles
            found[read] = max(found.get(read, 0), self.candles_needed(key))
        return dict(sorted(found.items(), key=lambda item: -item[0].ms))

    def short(self, seen: Counts) -> dict[str, str]:
        """Who cannot say anything yet, and what is short: ``{"": "1d: 147 of 200"}``; empty once all is there."""
        found = {}
        for who, needed in self.needed.items():
            missing_ms = {frame: (count - seen.get(frame, 0)) * frame.ms for frame, count in needed.items()}
            frame = max(missing_ms, key=missing_ms.__getitem__, default=None)
            if frame is not None and missing_ms[frame] > 0:
                found[who] = f"{frame}: {seen.get(frame, 0)} of {needed[frame]}"
        return found

    def shortage(self, who: str, seen: Mapping[CandlesRead, npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
        """For rows of counts: 0 where nothing is short, else a number that stands for what ``short`` would say."""
        needed = self.needed[who]
        if not needed:
            return np.zeros(len(next(iter(seen.values()))), dtype=np.int64)
        missing_ms = np.stack([(count - seen[frame]) * frame.ms for frame, count in needed.items()])
        slowest = np.argmax(missing_ms, axis=0)
        counts = np.stack([seen[frame] for frame in needed])
        rows = np.arange(counts.shape[1])
        return np.where(missing_ms[slowest, rows] > 0, 1 + slowest + len(needed) * counts[slowest, rows], 0)

    def is_ready(self, who: str, seen: Mapping[CandlesRead, npt.NDArray[np.int64]]) -> npt.NDArray[np.bool_]:
        """For rows of counts: where nothing is short."""
        rows = [seen[frame] >= count for frame, count in self.needed[who].items()]
        return np.logical_and.reduce(rows) if rows else np.ones(len(next(iter(seen.values()))), dtype=np.bool_)

    def said(self, who: str, shortage: int) -> str:
        """What ``short`` says where ``shortage`` gave this number."""
        needed = self.needed[who]
        frame = list(needed)[(shortage - 1) % len(needed)]
        return f"{frame}: {(shortage - 1) // len(needed)} of {needed[frame]}"


def warming_up(short: str) -> str:
    """The reason of a symbol that cannot be judged before more candles have closed."""
    return f"{WARMING_UP} {short}"


def in_words(reason: str, closed_ms: int) -> str | None:
    """Such a reason as a sentence, with the first close that may end it; None for any other reason."""
    name, _, short = reason.partition(" ")
    frame, _, counts = short.partition(": ")
    seen, _, needed = counts.partition(" of ")
    if name != WARMING_UP or not (seen.isdecimal() and needed.isdecimal()):
        return None
    timeframe = Timeframe(frame.rpartition(" ")[2])
    ready_ms = timeframe.floor(closed_ms) + (int(needed) - int(seen)) * timeframe.ms
    ready = f"{datetime.fromtimestamp(ready_ms / 1000, tz=UTC):%Y-%m-%d %H:%M} UTC"
    return f"warming up: {seen} of {needed} candles of {frame} have closed; nothing is entered before {ready}"
