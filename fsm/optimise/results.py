"""What a study came to, as one document: out of sample first, then every variant that was tried, in its order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fsm.backtest.curve import max_drawdown_pct, sharpe
from fsm.backtest.result import iso
from fsm.optimise.evaluating import Kept
from fsm.optimise.plateau import plateau
from fsm.optimise.spans import DAY_MS, WHOLE, Fold, Span
from fsm.optimise.study import AS_IT_IS, Study

YEAR_DAYS = 365


def document(study: Study) -> dict[str, Any]:
    """Everything of it, the same byte for byte whoever did the work, on how many processes, and in how many goes."""
    plan = study.plan
    trials = study.trials()
    found = study.chosen(WHOLE)
    return {
        "sampler": plan.sampler,
        "seed": plan.seed,
        "goal": plan.goal.told(),
        "objectives": [each.figure for each in plan.goal.objectives],
        "symbols": list(plan.symbols),
        "from": iso(plan.whole.from_ms),
        "to": iso(plan.whole.to_ms),
        "parameters": [each.told() for each in plan.parameters],
        "trials": len(trials) - 1,
        "refused": sum(1 for each in trials if each.refused is not None),
        "may_be_chosen": len(found),
        "walk_forward": walk_forward(study) if plan.folds else None,
        "honesty": study.fact("honesty"),
        "in_sample": in_sample(study, found),
        "order": found,
        "table": table(study),
        "rules_hash": plan.rules_hash,
        "config_hash": plan.config_hash,
        "data_hash": plan.data_hash,
    }


def walk_forward(study: Study) -> dict[str, Any]:
    """Each window, and what those in which nothing was searched came to together."""
    plan = study.plan
    points = {each.number: each.point for each in study.trials()}
    windows, chosen, unchanged = [], [], []
    for fold in plan.folds:
        best = next(iter(study.chosen(fold.train.name, fold.number)), None)
        window = {
            "window": fold.number,
            "train_from": iso(fold.train.from_ms),
            "train_to": iso(fold.train.to_ms),
            "test_from": iso(fold.test.from_ms),
            "test_to": iso(fold.test.to_ms),
            "trial": best,
        }
        as_it_is = study.outcome(AS_IT_IS, fold.test.name)
        unchanged.append((fold.test, as_it_is))
        if best is not None:
            outcome = study.outcome(best, fold.test.name)
            inside = study.outcome(best, fold.train.name)
            window |= {"values": points[best], "train": _figures(inside), "test": _figures(outcome)}
        else:
            outcome = None  # nothing fulfilled what is required: no trade
            window |= {"values": None, "train": None, "test": None}
        chosen.append((fold.test, outcome))
        windows.append(window | {"rules_as_they_are": _figures(as_it_is)})
    return {
        "kind": "anchored" if plan.walk.anchored else "rolling",
        "gap_days": plan.walk.gap_days,
        "windows": windows,
        "out_of_sample": together(chosen),
        "rules_as_they_are": together(unchanged),
        "stability": stability(study, plan.folds, windows),
    }


def _figures(outcome: Kept | None) -> dict[str, int | float | None] | None:
    return None if outcome is None else outcome.figures


def together(runs: Sequence[tuple[Span, Kept | None]]) -> dict[str, Any]:
    """Windows one after the other as one run: sums of trades and money, the compounded return, and one curve."""
    figures = [outcome.figures for _, outcome in runs if outcome is not None]
    returns: list[float] = []
    for span, outcome in runs:
        days = -(-(span.to_ms - span.from_ms) // DAY_MS)
        returns += outcome.returns if outcome is not None else [0.0] * days
    curve = curve_of(returns)
    trades = sum(int(each["trades"] or 0) for each in figures)
    r = math.fsum((each["expectancy_r"] or 0.0) * (each["trades"] or 0) for each in figures)
    return {
        "trades": trades,
        "wins": sum(int(each["wins"] or 0) for each in figures),
        "net_pnl_usdt": round(math.fsum(each["net_pnl_usdt"] or 0.0 for each in figures), 8),
        "fees_usdt": round(math.fsum(each["fees_usdt"] or 0.0 for each in figures), 8),
        "return_pct": round((math.prod(1 + (each["return_pct"] or 0.0) / 100 for each in figures) - 1) * 100, 6),
        "expectancy_r": round(r / trades, 6) if trades else 0.0,
        "sharpe": sharpe(curve),
        "max_drawdown_pct": max_drawdown_pct(curve),
    }


def curve_of(returns: Sequence[float]) -> list[tuple[int, Decimal]]:
    """A curve that begins with 1 and makes these of each day."""
    equity, curve = 1.0, [(0, Decimal(1))]
    for day, made in enumerate(returns, start=1):
        equity *= 1 + made
        curve.append((day * DAY_MS, Decimal(repr(equity))))
    return curve


def daily_outside(study: Study) -> tuple[list[float], list[float]]:
    """Daily returns out of sample: of what was searched anew before each window, and of the rules as they are."""
    searched: list[float] = []
    unchanged: list[float] = []
    for fold in study.plan.folds:
        best = next(iter(study.chosen(fold.train.name, fold.number)), None)
        chosen = None if best is None else study.outcome(best, fold.test.name)
        before = study.outcome(AS_IT_IS, fold.test.name)
        searched += chosen.returns if chosen is not None else [0.0]
        unchanged += before.returns if before is not None else [0.0]
    return searched, unchanged


def stability(study: Study, folds: Sequence[Fold], windows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How far windows agree: on the values that were best, and on whether these earned anything afterwards."""
    judged = [each for each in windows if each["test"] is not None]
    objective = study.plan.goal.objectives[0]
    values = {}
    for parameter in study.plan.parameters:
        places = [parameter.place(each["values"][parameter.name]) for each in judged]
        values[parameter.name] = {
            "chosen": [each["values"][parameter.name] for each in judged],
            "spread": round(max(places) - min(places), 6) if places else None,
        }
    inside = math.fsum(
        _yearly(fold.train, each["train"]) for fold, each in zip(folds, windows, strict=True) if each["train"]
    )
    outside = math.fsum(
        _yearly(fold.test, each["test"]) for fold, each in zip(folds, windows, strict=True) if each["test"]
    )
    return {
        "windows": len(windows),
        "earned": sum(1 for each in judged if (each["test"]["net_pnl_usdt"] or 0) > 0),
        "worst_return_pct": min((each["test"]["return_pct"] for each in judged), default=None),
        "objective": objective.figure,
        "in_training": [each["train"][objective.figure] for each in judged],
        "out_of_sample": [each["test"][objective.figure] for each in judged],
        "efficiency": round(outside / inside, 6) if inside > 0 else None,
        "values": values,
    }


def _yearly(span: Span, figures: dict[str, Any]) -> float:
    """Return of a year without compounding, in percent."""
    return float(figures["return_pct"] or 0.0) / span.days * YEAR_DAYS


def in_sample(study: Study, found: Sequence[int]) -> dict[str, Any] | None:
    """The variant that was best over all the data, which nothing was kept from; and whether its neighbours agree."""
    if not found:
        return None
    points = {each.number: each.point for each in study.trials()}
    figures = study.figures(WHOLE)
    goal = study.plan.goal
    return {
        "trial": found[0],
        "values": points[found[0]],
        "figures": figures[found[0]],
        "rules_as_they_are": figures.get(AS_IT_IS),
        "plateau": plateau(study.plan.parameters, points, figures, goal, found[0]),
        "front": goal.front({trial: each for trial, each in figures.items() if trial != AS_IT_IS})
        if len(goal.objectives) > 1
        else None,
    }


def table(study: Study) -> list[dict[str, Any]]:
    """Every variant in the order of its number: its values, its figures over all, and its objective in each window."""
    figures, objective = study.figures(WHOLE), study.plan.goal.objectives[0]
    windows = [study.figures(fold.train.name) for fold in study.plan.folds]
    rows = []
    for each in study.trials():
        own = figures.get(each.number)
        spans = study.plan.searched_in(each.search)
        rows.append(
            {
                "trial": each.number,
                "searched_in": [span.name for span in spans],
                "values": each.point,
                "refused": each.refused,
                "meets": own is not None and study.plan.goal.is_met(own),
                "figures": own,
                "windows": [window.get(each.number, {}).get(objective.figure) for window in windows],
            }
        )
    return rows
