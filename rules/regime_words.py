"""The regime in force as values that expressions of strategies may name: ``TREND``, ``regime_candles``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from rules.language.arrays import FloatArray
from rules.language.units import ValueUnit
from rules.regime import RegimeState
from rules.regime_track import RegimeTrack

REGIME_NUMBERS: Mapping[str, ValueUnit] = MappingProxyType(
    {"regime_candles": ValueUnit.COUNT, "regime_confidence": ValueUnit.SCORE}
)
"""Unless the file declares them. A regime's own name is a condition: whether it is the one in force."""


def value_of(word: str, state: RegimeState) -> float:
    """What the word stands for in this state."""
    if word == "regime_candles":
        return float(state.candles_in_regime)
    if word == "regime_confidence":
        return state.confidence
    return 1.0 if state.regime == word else 0.0


def column_of(word: str, track: RegimeTrack) -> FloatArray:
    """The same after every entry candle."""
    if word not in REGIME_NUMBERS:
        code = track.names.index(word) if word in track.names else -1
        held: FloatArray = (track.codes == code).astype(np.float64)
        return held
    run = np.searchsorted(track.runs, np.arange(len(track.codes)), side="right")
    after = track.after.candles if word == "regime_candles" else track.after.confidence
    found: FloatArray = np.concatenate(([value_of(word, track.start)], after.astype(np.float64)))[run]
    return found
