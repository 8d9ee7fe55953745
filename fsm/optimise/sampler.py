"""Draws points with Optuna, in batches of one size that are told in the order of their numbers.

A batch depends on the seed, its number, and what came of the batches before it, and on nothing else: not on how many
workers there are, nor on whether the study was ever interrupted. So each batch has a sampler of its own, seeded by its
number, that is told everything from the beginning; one that went on after a restart would begin its seed anew and draw
the same points again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from fsm.optimise.goals import Figures, Goal
from fsm.optimise.parameters import Parameter, Point
from rules.rewriting import Setting

BATCH = 8
"""Points that are drawn before the first of them is told: as many as a machine tries at once."""

STARTUP = 16
"""Points that are drawn at random, before there is anything to learn from."""

MISSES_MAX = 50
"""Draws in a row that were tried before; then the search has come to its end."""

WORST = -1e9
"""Of a variant that does not fulfil what is required, or has no figure: worse than any that does."""


def next_batch(
    parameters: Sequence[Parameter],
    goal: Goal,
    tried: Sequence[tuple[Point, Figures | None]],
    *,
    seed: int,
    search: int,
    most: int,
) -> list[Point]:
    """Points that were not tried before. ``tried``: with what came of each, in their order; None: it was refused."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ways: Mapping[str, Any] = {each.name: _way(each) for each in parameters}
    batch = len(tried) // BATCH
    sampler = optuna.samplers.TPESampler(
        seed=_seed(seed, search, batch), n_startup_trials=STARTUP, constant_liar=True, multivariate=len(parameters) > 1
    )
    study = optuna.create_study(sampler=sampler, directions=["maximize"] * len(goal.objectives))
    for point, figures in tried:
        study.add_trial(_told(parameters, goal, ways, point, figures))
    known = {tuple(point.values()) for point, _ in tried}
    found: list[Point] = []
    misses = 0
    while len(found) < min(BATCH, most) and misses < MISSES_MAX:
        drawn = study.ask(ways).params
        point = {each.name: _setting(each, drawn[each.name]) for each in parameters}
        if tuple(point.values()) in known:
            misses += 1
            continue
        misses = 0
        known.add(tuple(point.values()))
        found.append(point)
    return found


def _seed(seed: int, search: int, batch: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {search} {batch}".encode()).digest()[:4], "big")


def _way(parameter: Parameter) -> Any:
    if parameter.options:
        return CategoricalDistribution(parameter.options)
    if parameter.step is not None:
        return IntDistribution(0, parameter.count - 1)
    return FloatDistribution(parameter.low, parameter.high)


def _setting(parameter: Parameter, drawn: Any) -> Setting:
    """What a draw stands for: an option, a step by its number, a number."""
    if parameter.options:
        return str(drawn)
    return parameter.tidy(float(drawn)) if parameter.step is None else parameter.values[int(drawn)]


def _drawn(parameter: Parameter, setting: Setting) -> Any:
    if parameter.options or parameter.step is None:
        return setting
    return parameter.values.index(setting)


def _told(
    parameters: Sequence[Parameter], goal: Goal, ways: Mapping[str, Any], point: Point, figures: Figures | None
) -> Any:
    params = {each.name: _drawn(each, point[each.name]) for each in parameters}
    if figures is None:
        return optuna.trial.create_trial(state=TrialState.FAIL, params=params, distributions=dict(ways))
    met = goal.is_met(figures)
    values = [max(each.score(figures), WORST) if met else WORST for each in goal.objectives]
    return optuna.trial.create_trial(values=values, params=params, distributions=dict(ways))
