"""What a search is for: objectives to make larger or smaller, and what a variant must fulfil to count."""

from __future__ import annotations

import operator
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

import msgspec

from fsm.optimise.parameters import SearchError

Figures = Mapping[str, int | float | None]

SMALLER_IS_BETTER = frozenset({"max_drawdown_pct", "longest_drawdown_days", "fees_usdt", "losses_in_a_row", "losses"})
FIGURES = (
    "trades", "wins", "losses", "net_pnl_usdt", "return_pct", "return_yearly_pct", "max_drawdown_pct", "sharpe",
    "sortino", "calmar", "expectancy_r", "win_rate_pct", "profit_factor", "payoff", "expectancy_usdt",
    "average_win_usdt", "average_loss_usdt", "fees_usdt", "funding_usdt", "longest_drawdown_days", "wins_in_a_row",
    "losses_in_a_row", "hours_held_mean", "hours_held_median", "exposure_pct",
)  # fmt: skip
"""Of a backtest's summary, by the same names: what is kept of every run, and may be an objective."""

_COMPARED: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_REQUIRED = re.compile(r"\s*([a-z_]+)\s*(>=|<=|>|<)\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*")


class Objective(msgspec.Struct, frozen=True):
    figure: str

    @property
    def sign(self) -> int:
        """1: the larger the better."""
        return -1 if self.figure in SMALLER_IS_BETTER else 1

    def score(self, figures: Figures) -> float:
        """Larger is better; what is not defined is worse than everything."""
        value = figures.get(self.figure)
        return float("-inf") if value is None else self.sign * value


class Requirement(msgspec.Struct, frozen=True):
    """``trades >= 30``: a variant that does not fulfil it is not chosen."""

    figure: str
    compared: str
    limit: float

    def holds(self, figures: Figures) -> bool:
        value = figures.get(self.figure)
        return value is not None and _COMPARED[self.compared](value, self.limit)

    def told(self) -> str:
        return f"{self.figure} {self.compared} {self.limit:g}"


class Goal(msgspec.Struct, frozen=True):
    objectives: tuple[Objective, ...]
    requirements: tuple[Requirement, ...] = ()

    def is_met(self, figures: Figures) -> bool:
        return all(each.holds(figures) for each in self.requirements)

    def told(self) -> str:
        ways = [f"{'largest' if each.sign > 0 else 'smallest'} {each.figure}" for each in self.objectives]
        needs = f", with {', '.join(each.told() for each in self.requirements)}" if self.requirements else ""
        return f"{' and '.join(ways)}{needs}"

    def ordered(self, runs: Mapping[int, Figures]) -> list[int]:
        """Trials that may be chosen, the best first; of equals the one with the lower number.

        With several objectives the best has the smallest sum of its places in each: no weights, no units.
        """
        open_ = [trial for trial in sorted(runs) if self.is_met(runs[trial])]
        places = dict.fromkeys(open_, 0)
        for objective in self.objectives:
            scores = {trial: objective.score(runs[trial]) for trial in open_}
            upwards = sorted(scores.values())
            for trial, score in scores.items():
                places[trial] += len(upwards) - bisect_right(upwards, score)
        return sorted(open_, key=lambda trial: (places[trial], trial))

    def front(self, runs: Mapping[int, Figures]) -> list[int]:
        """Trials of which no other one is better in one objective and as good in all others."""
        scores = {
            trial: tuple(each.score(figures) for each in self.objectives)
            for trial, figures in sorted(runs.items())
            if self.is_met(figures)
        }
        front: list[int] = []
        for trial in sorted(scores, key=lambda trial: scores[trial], reverse=True):
            # whatever beats it comes before it, and what beats that is in the front already
            if not any(_beats(scores[other], scores[trial]) for other in front):
                front.append(trial)
        return sorted(front)


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def goal_of(objectives: Sequence[str], requirements: Sequence[str]) -> Goal:
    """From the command line. Raises SearchError."""
    for figure in objectives:
        if figure not in FIGURES:
            raise SearchError(f"there is no figure called {figure}; an objective is one of: {', '.join(FIGURES)}")
    return Goal(tuple(map(Objective, dict.fromkeys(objectives))), tuple(map(_requirement, requirements)))


def _requirement(text: str) -> Requirement:
    parts = _REQUIRED.fullmatch(text)
    if parts is None or parts[1] not in FIGURES:
        raise SearchError(
            f"--require {text!r}: write it as 'trades>=30' or 'max_drawdown_pct<=20'; figures: {', '.join(FIGURES)}"
        )
    return Requirement(parts[1], parts[2], float(parts[3]))
