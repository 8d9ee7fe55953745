"""Carries a study out, from what was asked for to the last variant: tries them, and judges the best of each window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fsm.optimise.evaluating import Bench
from fsm.optimise.goals import Goal
from fsm.optimise.honesty import disturbed, weighed
from fsm.optimise.parameters import parameters_of
from fsm.optimise.spans import WHOLE, Span, Walk, folds_of
from fsm.optimise.study import Heard, Plan, Study, Work
from store.studies import Tried, ledger

SAMPLERS = ("grid", "random", "optuna")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a user asks a search for. ``varied`` empty: the ranges in the rules."""

    varied: Sequence[str]
    sampler: str
    trials: int
    seed: int
    goal: Goal
    walk: Walk
    luck: int


def planned(bench: Bench, asked: Asked) -> Plan:
    """Raises SearchError or BacktestError where it cannot be done."""
    request = bench.request
    parameters = parameters_of(request.rules, asked.varied)
    ground = bench.prepared.ground
    entry = bench.prepared.entry
    whole = Span(WHOLE, ground.from_ms, ground.to_ms)
    return Plan(
        rules_text=request.rules.text,
        rules_name=request.rules.name,
        rules_hash=request.rules.hash,
        config_hash=request.config.hash,
        data_hash=ground.digest,
        symbols=ground.symbols,
        timeframe=entry.value,
        whole=whole,
        folds=folds_of(asked.walk, whole, entry.ms),
        walk=asked.walk,
        parameters=parameters,
        sampler=asked.sampler,
        trials=0 if asked.sampler == "grid" else asked.trials,
        seed=0 if asked.sampler == "grid" else asked.seed,
        goal=asked.goal,
        luck=asked.luck,
        native=request.native,
    )


def carried_out(study: Study, bench: Bench, work: Work, heard: Heard, counted: Path) -> None:
    """From wherever it stands to its end. ``counted``: the ledger of every study. Raises SearchError."""
    plan = study.plan
    tried = Tried(symbols=plan.symbols, timeframe=plan.timeframe, from_ms=plan.whole.from_ms, to_ms=plan.whole.to_ms)
    study.points()
    with ledger(counted) as every:
        # at once, as a search that is given up has had its chances all the same
        study.search(work, replace(heard, ran=lambda rules_hash: every.note([(rules_hash, plan.config_hash)], tried)))
        every.note(((each, plan.config_hash) for each in study.variants()), tried)
        study.remember({"tried": every.count(tried)})
    study.judge(work, heard)
    disturbed(study, work, heard)
    study.remember({"honesty": weighed(study, bench)})
