"""What strategies may ask of the moment of a decision beside candles: funding, and the mark against the last."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from rules.language.arrays import FloatArray, finite
from rules.language.scalar import known
from rules.language.units import ValueUnit

FUNDING, PREMIUM = "funding_rate", "mark_premium"
MOMENT_WORDS: Mapping[str, ValueUnit] = MappingProxyType({FUNDING: ValueUnit.PERCENT, PREMIUM: ValueUnit.PERCENT})
"""Unless the file declares them. ``funding_rate``: settled last before the close, in percent of the position, paid by
longs where positive. ``mark_premium``: how far the mark price lies above the last, in percent of it."""

HOUR_MS = 3_600_000
FUNDING_AGE_MS_MAX = 8 * HOUR_MS
"""No symbol is settled less often; what is older is not the newest."""


def premium(mark: float, last: float) -> float | None:
    """See ``mark_premium``."""
    return known((mark / last - 1) * 100) if last else None


def premiums(mark: FloatArray, last: FloatArray) -> FloatArray:
    """The same over columns."""
    with np.errstate(all="ignore"):
        return finite((mark / last - 1) * 100)


def settled_before(times_ms: npt.NDArray[np.int64], rates: FloatArray, closes_ms: npt.NDArray[np.int64]) -> FloatArray:
    """``funding_rate`` at each close, of settlements at full hours in order of time."""
    if not len(times_ms):
        return np.full(len(closes_ms), np.nan)
    last = np.searchsorted(times_ms, closes_ms, side="left") - 1
    is_fresh = (last >= 0) & (closes_ms - times_ms[last] <= FUNDING_AGE_MS_MAX)
    return np.where(is_fresh, rates[last] * 100, np.nan)
