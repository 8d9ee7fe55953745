"""How much of the best variant is luck: what was tried, what chance would give, and how it stands being disturbed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from fsm.optimise.chances import entry_delay, trade_order
from fsm.optimise.evaluating import Bench, Refused
from fsm.optimise.luck import (
    SIGNIFICANT,
    TRADES_MIN,
    deflated,
    edge_found,
    expected_maximum,
    overfitting,
    probabilistic,
    shape_of,
    sharpes,
)
from fsm.optimise.made_markets import KINDS
from fsm.optimise.spans import WHOLE, Span
from fsm.optimise.study import Heard, Study, Work

DAYS_A_YEAR = 365
COSTS = "costs doubled"


def disturbed(study: Study, work: Work, heard: Heard) -> None:
    """Run the best variant with doubled costs, and on markets in which there is nothing to find."""
    best = next(iter(study.chosen(WHOLE)), None)
    if best is not None:
        wanted: list[tuple[int, tuple[Span, ...]]] = [(best, (span,)) for span in _spans(study)]
        study.run(wanted, work, heard, "check")


def _spans(study: Study) -> list[Span]:
    whole = study.plan.whole
    spans = [msgspec.structs.replace(whole, name=COSTS, costs=2)]
    for kind in KINDS:
        for seed in range(1, study.plan.luck + 1):
            spans.append(msgspec.structs.replace(whole, name=f"{kind} {seed}", made=kind, seed=seed))
    return spans


def weighed(study: Study, bench: Bench) -> dict[str, Any] | None:
    """What a study remembers of the best variant. None where none fulfils what is required."""
    best = next(iter(study.chosen(WHOLE)), None)
    if best is None:
        return None
    returns, places = _returns(study)
    rules = bench.variant(next(each.point for each in study.trials() if each.number == best))
    assert not isinstance(rules, Refused), "it was run"
    outcome = bench.outcome(rules, study.plan.whole)
    balance = bench.request.config.settings.simulation.balance_usdt
    markets = {market.symbol: market for market in bench.prepared.ground.markets}
    costs = study.outcome(best, COSTS)
    return {
        "trial": best,
        "variants_tried": study.fact("tried"),
        "deflated_sharpe": _deflated(study, returns, places[best], len(outcome.trades)),
        "overfitting": overfitting(returns),
        "judged": bool(study.plan.folds),
        "out_of_sample_probability": _outside(study),
        "costs_doubled": None if costs is None else costs.figures,
        "trade_order": trade_order(outcome.trades, balance),
        "entry_delay": entry_delay(outcome.trades, markets, balance),
        "made_markets": {kind: _made(study, best, kind) for kind in KINDS} if study.plan.luck else None,
    }


def _returns(study: Study) -> tuple[Any, dict[int, int]]:
    """Daily returns of all variants that were run over all the data, from the first day on which any of them could
    trade, and the column of each."""
    own = {each.number for each in study.trials() if each.search == 0}
    found = [(trial, each) for trial, each in study.daily(WHOLE) if trial in own]
    days = max((len(each) for _, each in found), default=0)
    returns = np.zeros((days, len(found)))
    for place, (_, each) in enumerate(found):
        returns[days - len(each) :, place] = each
    return returns, {trial: place for place, (trial, _) in enumerate(found)}


def _deflated(study: Study, returns: Any, place: int, trades: int) -> dict[str, Any] | None:
    shape = shape_of(returns[:, place])
    if shape is None:
        return None
    ratios = sharpes(returns)
    traded = ratios[ratios != 0.0]
    variance = float(traded.var(ddof=1)) if len(traded) > 1 else 0.0
    trials = max(int(study.fact("tried") or 0), returns.shape[1])
    probability = deflated(shape, trials, variance)
    year = DAYS_A_YEAR**0.5
    return {
        "days": shape.days,
        "trials": trials,
        "sharpe": round(shape.sharpe * year, 6),
        "luck_alone": round(expected_maximum(trials, variance) * year, 6),
        "skewness": round(shape.skewness, 6),
        "kurtosis": round(shape.kurtosis, 6),
        "probability": round(probability, 6),
        "trades": trades,
        "significant": probability >= SIGNIFICANT and trades >= TRADES_MIN,
        "edge_found": round(edge_found(shape.days, trials, variance) * year, 6),
    }


def _outside(study: Study) -> float | None:
    """The probability that what walk-forward did out of sample has a Sharpe ratio above 0 in truth. None where too few
    trades or days were judged."""
    returns: list[float] = []
    trades = 0.0
    for fold in study.plan.folds:
        best = next(iter(study.chosen(fold.train.name, fold.number)), None)
        found = None if best is None else study.outcome(best, fold.test.name)
        if found is not None:
            returns += found.returns
            trades += found.figures["trades"] or 0
    shape = shape_of(np.array(returns)) if trades >= TRADES_MIN else None
    return None if shape is None else round(probabilistic(shape), 6)


def _made(study: Study, best: int, kind: str) -> dict[str, Any]:
    """What the same rules made where there is nothing to find, beside what they made of the real candles."""
    objective = study.plan.goal.objectives[0]
    spans = [span for span in _spans(study) if span.made == kind]
    runs = [study.outcome(best, span.name) for span in spans]
    found = [each.figures[objective.figure] for each in runs if each is not None]
    real = study.outcome(best, WHOLE)
    assert real is not None, "it was chosen by it"
    own = objective.score(real.figures)
    better = sum(1 for each in runs if each is not None and objective.score(each.figures) >= own)
    defined = [value for value in found if value is not None]
    return {
        "runs": len(found),
        "figure": objective.figure,
        "real": real.figures[objective.figure],
        "median": round(statistics.median(defined), 6) if defined else None,
        "best": _best(defined, objective.sign),
        "as_good": better,
        "chance": round((better + 1) / (len(found) + 1), 6),
    }


def _best(values: Sequence[float], sign: int) -> float | None:
    return max(values, key=lambda value: sign * value, default=None)
