"""Writes the rules of one variant as a file, from the text that was searched with: only the numbers change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fsm.optimise.parameters import SearchError
from fsm.optimise.spans import Span
from fsm.optimise.study import AS_IT_IS, Study
from rules.load import load_rules, parse_rules
from rules.rewriting import rewritten
from rules.source.yaml_source import parse_source


@dataclass(frozen=True)
class Applied:
    """``told``: what to know of it, in sentences. ``span`` and ``symbols`` are what the study searched over."""

    text: str
    span: Span
    symbols: tuple[str, ...]
    told: tuple[str, ...]


def applied(study: Study, trial: int, live: Path) -> Applied:
    """Raises SearchError where the study has no such variant, or one that no bot would load."""
    plan, trials = study.plan, {each.number: each for each in study.trials()}
    found = trials.get(trial)
    if found is None or trial == AS_IT_IS:
        raise SearchError(f"the study has no trial {trial}: its variants are 1 to {len(trials) - 1}")
    if found.refused is not None:
        raise SearchError(f"trial {trial} would not pass `rules check`: {found.refused}")
    text = rewritten(parse_source(plan.rules_text, plan.rules_name), found.point)
    parse_rules(text, plan.rules_name)
    return Applied(text, plan.whole, plan.symbols, tuple(_told(study, trial, live)))


def _told(study: Study, trial: int, live: Path) -> list[str]:
    plan = study.plan
    told = []
    if load_rules(live).hash != plan.rules_hash:
        told.append(f"{live} was edited since the study: the new file is what was searched with, not that edit.")
    own = parse_rules(plan.rules_text, plan.rules_name).definition.symbols
    for parameter in plan.parameters:
        whose = [
            symbol
            for symbol in plan.symbols
            if symbol in own and parameter.name in (*own[symbol].thresholds, *own[symbol].choices)
        ]
        if whose:
            told.append(f"{parameter.name} of {', '.join(whose)} is its own under `symbols:` and stays as it is.")
    judged = [fold.number for fold in plan.folds if trial in study.chosen(fold.train.name, fold.number)[:1]]
    if plan.folds and not judged:
        told.append(
            f"Trial {trial} was the best before no window: the out-of-sample figures of the study are not its own."
        )
    return told
