"""One series and what was computed over it so far, so that indicators that share a part compute it once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from indicators.series import Series

P = ParamSpec("P")
T = TypeVar("T")


class Workspace:
    """Results are kept until the workspace is dropped; arrays in it are read-only, as several readers share them."""

    def __init__(self, series: Series) -> None:
        self.series = series
        self._results: dict[tuple[object, ...], Any] = {}

    def once(self, key: tuple[object, ...], compute: Callable[[], T]) -> T:
        """The result kept under ``key``, computed at the first call."""
        if key not in self._results:
            result: Any = compute()
            for array in result if isinstance(result, tuple) else (result,):
                if isinstance(array, np.ndarray):
                    array.setflags(write=False)
            self._results[key] = result
        kept: T = self._results[key]
        return kept


def shared(function: Callable[Concatenate[Workspace, P], T]) -> Callable[Concatenate[Workspace, P], T]:
    """Make a function over a workspace compute once per workspace and arguments (given by name)."""

    def once(workspace: Workspace, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = (function, args, tuple(sorted(kwargs.items())))
        return workspace.once(key, lambda: function(workspace, *args, **kwargs))

    return once
