"""How far tests go. ``make test`` shows each kind of thing in minutes; ``make soak`` goes through all of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

FULL = "FULL" in os.environ
"""Set by ``make soak``."""

EXAMPLES_MIN = 10


def examples(count: int) -> int:
    """So many examples in ``make soak``, a fifth of them in ``make test``."""
    return count if FULL else min(max(count // 5, EXAMPLES_MIN), count)


def sampled(cases: Iterable[Any], often: int, *, single: bool = False) -> list[Any]:
    """Cases for ``parametrize``: ``often`` of them, evenly spread, run with ``make test``, the others are slow.
    A tuple stands for the values of several arguments, with ``single`` for the value of one."""
    listed = [_parameters(case, single) for case in cases]
    chosen = {round(index * (len(listed) - 1) / max(often - 1, 1)) for index in range(often)}
    return [
        case if index in chosen else pytest.param(*case.values, marks=(*case.marks, pytest.mark.slow), id=case.id)
        for index, case in enumerate(listed)
    ]


def _parameters(case: Any, single: bool) -> Any:
    if hasattr(case, "marks"):
        return case
    return pytest.param(case) if single or not isinstance(case, tuple) else pytest.param(*case)
