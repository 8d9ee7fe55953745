"""What a request costs of the weight limit (endpoint pages of the official SDK 18.0.1, change log; checked 2026-11)."""

from __future__ import annotations

from collections.abc import Callable

from exchange.sim.server.params import Params

Weight = Callable[[Params], int]

_KLINES_DEFAULT = 500
_KLINES = ((99, 1), (499, 2), (1_000, 5))
_DEPTH = ((50, 2), (100, 5), (500, 10))


def fixed(weight: int) -> Weight:
    return lambda _: weight


def by_symbol(one: int, every: int) -> Weight:
    """Asking for all symbols at once costs more."""
    return lambda params: one if "symbol" in params else every


def by_klines(params: Params) -> int:
    """By the number of rows asked for; a limit that is none is refused later anyway."""
    text = params.text_or("limit") or ""
    limit = int(text) if text.isdecimal() and len(text) < 9 else _KLINES_DEFAULT
    return next((weight for most, weight in _KLINES if limit <= most), 10)


def by_depth(params: Params) -> int:
    text = params.text_or("limit") or ""
    limit = int(text) if text.isdecimal() and len(text) < 9 else 500
    return next((weight for most, weight in _DEPTH if limit <= most), 20)
