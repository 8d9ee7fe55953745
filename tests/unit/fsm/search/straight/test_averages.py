"""Averages for the compiler are those of the indicators, to the last bit."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from fsm.search.straight.compiled import form
from indicators import windows
from indicators.series import FloatArray


def walked(seed: int) -> FloatArray:
    return 1e4 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, 5_000)))


@pytest.mark.skipif(find_spec("numba") is None, reason="without the extra search there is one form")
@pytest.mark.parametrize("seed", range(5))
def test_compiled_averages_are_those_in_python(seed: int) -> None:
    assert form().is_compiled
    values = walked(seed)
    values.setflags(write=seed % 2 == 0)
    for name in windows.Ways._fields:
        found = getattr(windows._ways, name)(values[14:], float(values[13]), 13.0, 14.0)
        assert found.tobytes() == getattr(windows.PLAIN, name)(values[14:], float(values[13]), 13.0, 14.0).tobytes()
    assert windows._ways is not windows.PLAIN
