"""Does what the dashboard asked a worker for: a backtest or a search of the rules in force, kept under a name."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from fsm.backtest.ground import Request
from fsm.backtest.run import BacktestError, run_backtest
from fsm.backtest.runs import BESIDE, RunNameError, run_path
from fsm.config import Config, read_environment, stored_settings
from fsm.optimise.evaluating import Bench
from fsm.optimise.goals import goal_of
from fsm.optimise.keeping import LEDGER, SUFFIX
from fsm.optimise.parameters import SearchError
from fsm.optimise.searching import Asked, carried_out, planned
from fsm.optimise.spans import Walk
from fsm.optimise.study import Found, Heard, Study
from fsm.optimise.workers import LocalWorkers
from rules.load import stored_rules
from rules.source.yaml_source import SourceError
from store import queries
from store.database import open_store
from store.errors import StoreError
from store.jobs import Job
from store.lock import ProcessLock
from store.studies import study_store

FOLDS, SEED = 5, 1
"""As `optimise` has them where nobody says otherwise."""


class JobError(Exception):
    """It cannot be done; the message says why."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a job: the name it is kept under; of a backtest its trades and result, of a search its trials."""

    kept: str
    trades: int | None = None
    net_pnl_usdt: str | None = None
    trials: int | None = None


def carried_out_job(db: Path, job: Job, folders: tuple[Path, ...], instead: tuple[Path, ...]) -> Kept:
    """Beside the bot's own database, where `runs` and `optimise show` look too. Raises JobError."""
    try:
        request = _request(db, job, folders, instead)
        return _study(db, job, request) if job.trials else _backtest(db, job, request)
    except (BacktestError, SearchError, RunNameError, SourceError, StoreError) as error:
        raise JobError(str(error)) from error


def _request(db: Path, job: Job, folders: tuple[Path, ...], instead: tuple[Path, ...]) -> Request:
    with open_store(db, mode="read") as store:
        rules, configs = queries.rule_versions(store), queries.config_versions(store)
    if not rules or not configs:
        raise JobError("this database has no rules and settings yet: start the bot once")
    settings = stored_settings(configs[0].text, "the settings in force")
    environment = read_environment(None, {"BINANCE_ENV": "sim"})
    return Request(
        config=Config(settings=settings, environment=environment, text=configs[0].text),
        rules=stored_rules(rules[0].text, "the rules in force"),
        data=folders,
        instead=instead,
        symbols=job.symbols,
        from_ms=job.from_ms,
        to_ms=job.to_ms,
    )


def _backtest(db: Path, job: Job, request: Request) -> Kept:
    """What is cut off in the midst leaves no run of that name behind."""
    path = run_path(job.name, db.parent / "runs")
    if path.exists():
        raise JobError(f"a run called {job.name} is kept already: give another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=".") as scratch:
        made = Path(scratch) / path.name
        found = run_backtest(replace(request, db=made)).to_json()
        for suffix in reversed(BESIDE):
            if (part := made.with_name(made.name + suffix)).exists():
                os.replace(part, path.with_name(path.name + suffix))
    return Kept(kept=job.name, trades=found["trades"], net_pnl_usdt=str(found["net_pnl_usdt"]))


def _study(db: Path, job: Job, request: Request) -> Kept:
    """The same again goes on where it was left."""
    path = db.parent / "studies" / f"{job.name}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    bench = Bench(request)
    asked = Asked(
        varied=job.vary,
        sampler="random",
        trials=job.trials,
        seed=SEED,
        goal=goal_of(("sharpe",), ()),
        walk=Walk(folds=FOLDS, gap_days=1.0, train_days=None, test_days=None, anchored=False),
        luck=job.luck,
    )
    plan = planned(bench, asked)
    with ProcessLock(path), study_store(path, new=True) as store:
        study, working = Study.begin(plan, store), LocalWorkers(bench, 1)
        try:
            carried_out(study, bench, working.run, Heard(_unheard, _untold), path.parent / LEDGER)
        finally:
            working.close()
        return Kept(kept=job.name, trials=len(store.trials()))


def _unheard(phase: str, done: int, total: int) -> None:
    del phase, done, total


def _untold(found: Found) -> None:
    del found
