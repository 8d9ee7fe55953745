"""The stretches of time of a search: the whole, and for walk-forward a window to search in and one to be judged by."""

from __future__ import annotations

import msgspec

from fsm.backtest.result import iso
from fsm.optimise.parameters import SearchError

DAY_MS = 86_400_000
WHOLE = "whole"
TRAIN_PARTS = 3
"""A window to search in is so many times as long as the one that judges, where nobody says otherwise."""


class Span(msgspec.Struct, frozen=True):
    """From ``from_ms`` on, until before ``to_ms``.

    ``made``: on candles that were made up, of this kind (made_markets.py). ``costs``: so many times fees and slippage.
    """

    name: str
    from_ms: int
    to_ms: int
    made: str = ""
    seed: int = 0
    costs: int = 1

    @property
    def days(self) -> float:
        return (self.to_ms - self.from_ms) / DAY_MS

    def told(self) -> str:
        return f"{iso(self.from_ms)} to {iso(self.to_ms)}"


class Fold(msgspec.Struct, frozen=True):
    """Searched in ``train``, judged in ``test``, which begins a gap later."""

    number: int
    train: Span
    test: Span


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """How windows are laid. Lengths in days; None: as long as they come out."""

    folds: int = 5
    gap_days: float = 1.0
    train_days: float | None = None
    test_days: float | None = None
    anchored: bool = False


def folds_of(walk: Walk, whole: Span, step_ms: int) -> tuple[Fold, ...]:
    """The windows, one after the other, so that the last one ends where the whole does. Raises SearchError.

    Lengths are whole days (whole candles where a day is too long), and ``test`` windows follow one another without
    holes. Rolling: each ``train`` is equally long and ends a gap before its ``test``. Anchored: all begin at the first.
    """
    if walk.folds == 0:
        return ()
    gap = round(walk.gap_days * DAY_MS) // step_ms * step_ms
    test, train = _lengths(walk, whole, gap, step_ms)
    first = whole.to_ms - walk.folds * test - gap - train
    if test < step_ms or train < step_ms or first < whole.from_ms:
        raise SearchError(
            f"{walk.folds} windows do not fit into {whole.days:g} days: take more data, fewer --folds, or shorter "
            "--train, --test or --gap"
        )
    found = []
    for index in range(walk.folds):
        test_from = first + train + gap + index * test
        train_from = first if walk.anchored else first + index * test
        found.append(
            Fold(
                index + 1,
                Span(f"train-{index + 1}", train_from, test_from - gap),
                Span(f"test-{index + 1}", test_from, test_from + test),
            )
        )
    return tuple(found)


def _lengths(walk: Walk, whole: Span, gap: int, step_ms: int) -> tuple[int, int]:
    """(test, train) in milliseconds."""
    room = whole.to_ms - whole.from_ms - gap

    def floored(length: float) -> int:
        unit = DAY_MS if length >= DAY_MS else step_ms
        return int(length // unit * unit)

    def given(days: float) -> int:
        return round(days * DAY_MS) // step_ms * step_ms

    if walk.test_days is not None and walk.train_days is not None:
        return given(walk.test_days), given(walk.train_days)
    if walk.test_days is not None:
        test = given(walk.test_days)
        return test, min(TRAIN_PARTS * test, max(room - walk.folds * test, 0))
    if walk.train_days is not None:
        train = given(walk.train_days)
        return floored((room - train) / walk.folds), train
    test = floored(room / (walk.folds + TRAIN_PARTS))
    return test, TRAIN_PARTS * test
