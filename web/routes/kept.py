"""Answers about what is kept beside the database: backtests under names, and studies of a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from store import queries
from store.database import Store, open_store
from store.errors import StoreError
from store.studies import study_store
from web.endpoint import Context, Endpoint, NoQuery

SHOWN_MAX = 50
"""The newest of each; a folder may hold thousands."""

RUN_DOCUMENT = "backtest"


class KeptRunView(msgspec.Struct, frozen=True, kw_only=True):
    """A backtest that was kept; figures are null where it is not finished, and ``problem`` says why."""

    name: str
    made_ms: int
    from_: str | None = msgspec.field(name="from", default=None)
    to: str | None = None
    symbols: int | None = None
    trades: int | None = None
    net_pnl_usdt: float | None = None
    return_pct: float | None = None
    max_drawdown_pct: float | None = None
    rules_hash: str | None = None
    problem: str = ""


class StudyView(msgspec.Struct, frozen=True, kw_only=True):
    """A search; ``refused`` of its trials had rules that cannot be used."""

    name: str
    made_ms: int
    trials: int = 0
    refused: int = 0
    problem: str = ""


class Kept(msgspec.Struct, frozen=True):
    """The newest first."""

    runs: list[KeptRunView]
    studies: list[StudyView]


class _Summary(msgspec.Struct, frozen=True):
    symbols: list[str] = []
    from_: Any = msgspec.field(name="from", default=None)
    to: Any = None
    trades: int | None = None
    net_pnl_usdt: Any = None
    return_pct: Any = None
    max_drawdown_pct: Any = None
    rules_hash: str | None = None


class _Run(msgspec.Struct, frozen=True):
    summary: _Summary


def kept(store: Store, query: NoQuery, context: Context) -> Kept:
    beside = context.database.path.parent
    return Kept(
        [_run(path, made_ms) for path, made_ms in _newest(beside / "runs")],
        [_study(path, made_ms) for path, made_ms in _newest(beside / "studies")],
    )


def _newest(folder: Path) -> list[tuple[Path, int]]:
    found = [(path, path.stat().st_mtime_ns // 1_000_000) for path in folder.glob("*.sqlite") if path.is_file()]
    return sorted(found, key=lambda each: (-each[1], each[0].name))[:SHOWN_MAX]


def _run(path: Path, made_ms: int) -> KeptRunView:
    name = path.name.removesuffix(".sqlite")
    try:
        with open_store(path, mode="read") as store:
            document = queries.document(store, RUN_DOCUMENT)
        if document is None:
            return KeptRunView(name=name, made_ms=made_ms, problem="it is not finished, or no backtest")
        found = msgspec.json.decode(document.body_json, type=_Run).summary
    except (StoreError, msgspec.DecodeError) as error:
        return KeptRunView(name=name, made_ms=made_ms, problem=str(error))
    return KeptRunView(
        name=name,
        made_ms=made_ms,
        from_=_text(found.from_),
        to=_text(found.to),
        symbols=len(found.symbols),
        trades=found.trades,
        net_pnl_usdt=_number(found.net_pnl_usdt),
        return_pct=_number(found.return_pct),
        max_drawdown_pct=_number(found.max_drawdown_pct),
        rules_hash=found.rules_hash,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _study(path: Path, made_ms: int) -> StudyView:
    name = path.name.removesuffix(".sqlite")
    try:
        with study_store(path, reading=True) as study:
            trials = study.trials()
    except StoreError as error:
        return StudyView(name=name, made_ms=made_ms, problem=str(error))
    refused = sum(trial.refused is not None for trial in trials)
    return StudyView(name=name, made_ms=made_ms, trials=len(trials), refused=refused)


READS = (
    Endpoint(
        path="/api/kept",
        summary="Backtests and studies that are kept beside the database, the newest first",
        answer=Kept,
        read=kept,
    ),
)
