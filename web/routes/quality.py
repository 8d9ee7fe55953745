"""Answers about how well live trading does what was planned, and how other rules would have done beside it."""

from __future__ import annotations

import msgspec

from store.database import Store
from store.queries.execution_figures import ExecutionReport, execution_report
from web import documents
from web.endpoint import Context, Endpoint, Name, NoQuery, When, milliseconds


class ExecutionQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By when trades were decided; ``until`` itself is not included."""

    symbol: Name | None = None
    strategy: Name | None = None
    since: When | None = None
    until: When | None = None


def execution(store: Store, query: ExecutionQuery, context: Context) -> ExecutionReport:
    report, _ = execution_report(
        store,
        symbol=query.symbol,
        strategy=query.strategy,
        since_ms=milliseconds(query.since, "since"),
        until_ms=milliseconds(query.until, "until"),
    )
    return report


def shadows(store: Store, query: NoQuery, context: Context) -> documents.ShadowsDocument:
    return documents.shadows(store)


def live_verdicts(store: Store, query: NoQuery, context: Context) -> documents.LiveVerdicts:
    return documents.live_verdicts(store)


READS = (
    Endpoint(
        path="/api/live-verdicts",
        summary="What the bot's daily look said: drift of each strategy, and trades that are not as in a backtest",
        answer=documents.LiveVerdicts,
        read=live_verdicts,
    ),
    Endpoint(
        path="/api/shadows",
        summary="Rules files that run beside the live one without orders, and how they did",
        answer=documents.ShadowsDocument,
        read=shadows,
    ),
    Endpoint(
        path="/api/execution",
        summary="Times, slippage and costs of trades against what was planned, missed signals, warnings",
        query=ExecutionQuery,
        answer=ExecutionReport,
        read=execution,
    ),
)
