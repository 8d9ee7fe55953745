"""Answers from the journal: transitions page by page and one by one, alerts, and commands with what became of them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from store import queries
from store.database import Store
from store.inbox import Inbox
from store.rows import TransitionRow
from store.views import CommandRow
from web import documents
from web.endpoint import Context, Endpoint, Limit, Name, NoQuery, RowId, When, milliseconds
from web.errors import not_found
from web.explaining import GuardView, explanation, guards_of, plain
from web.views import Alerts, Commands, Errors, ErrorView, SystemEvents, SystemEventView

COMMANDS_SHOWN = 50
HEARTBEAT = "HEARTBEAT"

Cursor = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,15}\.[0-9]{1,15}$")]


class TransitionsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything given must hold. ``state`` is the one it led to; ``until`` itself is not included."""

    symbol: Name | None = None
    state: Name | None = None
    trigger: Name | None = None
    trade: Name | None = None
    since: When | None = None
    until: When | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


class ById(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: RowId


class AlertsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Limit = 50


class SystemEventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``kind`` is one of those that answers show, as RECONCILIATION; ``quiet`` leaves out heartbeats."""

    kind: Name | None = None
    quiet: bool = False
    since: When | None = None
    limit: Limit = 50


class ErrorsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: When | None = None
    limit: Limit = 50


class TransitionView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a symbol's machine, with its explanation in words."""

    id: int
    at_ms: int
    symbol: str
    trade_id: str | None
    trigger: str
    source: str
    dest: str
    reason: str
    explanation: str

    @classmethod
    def of(cls, row: TransitionRow, machine: documents.MachineDocument | None) -> TransitionView:
        return cls(
            id=row.id,
            at_ms=row.at_ms,
            symbol=row.symbol,
            trade_id=row.trade_id,
            trigger=row.trigger,
            source=row.source,
            dest=row.dest,
            reason=row.reason,
            explanation=explanation(row, machine),
        )


class TransitionsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; ``cursor`` asks for the page after it and is null on the last."""

    transitions: list[TransitionView]
    cursor: str | None


class IntentView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was asked of the exchange, and what came of it."""

    id: str
    kind: str
    client_id: str | None
    status: str
    attempts: int
    created_ms: int
    done_ms: int | None
    request: Any
    outcome: Any


class TransitionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A journal row in full: what it saw, what it checked, what it asked for, and its place in the chain of hashes."""

    step: TransitionView
    guards: list[GuardView]
    facts: Any
    event: Any
    record: Any
    intents: list[IntentView]
    rules_hash: str
    config_hash: str
    run_id: str
    prev_hash: str
    hash: str


class _Effect(msgspec.Struct, frozen=True):
    record: Any = None


def transitions(store: Store, query: TransitionsQuery, context: Context) -> TransitionsPage:
    wanted = queries.TransitionFilter(
        symbol=query.symbol,
        state=query.state,
        trigger=query.trigger,
        trade_id=query.trade,
        since_ms=milliseconds(query.since, "since"),
        until_ms=milliseconds(query.until, "until"),
    )
    machine = documents.machine(store)
    page = queries.transitions(store, wanted, limit=query.limit, cursor=query.cursor)
    return TransitionsPage(transitions=[TransitionView.of(row, machine) for row in page.rows], cursor=page.cursor)


def transition(store: Store, query: ById, context: Context) -> TransitionDetail:
    row = queries.transition(store, query.id)
    if row is None:
        raise not_found(f"there is no transition {query.id}", "GET /api/transitions lists them")
    return TransitionDetail(
        step=TransitionView.of(row, documents.machine(store)),
        guards=guards_of(row.guards_json),
        facts=plain(row.facts_json),
        event=plain(row.event_json),
        record=msgspec.json.decode(row.effect_json, type=_Effect).record,
        intents=_intents(store, row.id),
        rules_hash=row.rules_hash,
        config_hash=row.config_hash,
        run_id=row.run_id,
        prev_hash=row.prev_hash,
        hash=row.hash,
    )


def _intents(store: Store, transition_id: int) -> list[IntentView]:
    return [
        IntentView(
            id=row.id,
            kind=row.kind,
            client_id=row.client_id,
            status=row.status,
            attempts=row.attempts,
            created_ms=row.created_ms,
            done_ms=row.done_ms,
            request=plain(row.payload_json),
            outcome=None if row.outcome_json is None else plain(row.outcome_json),
        )
        for row in queries.intents(store, transition_id)
    ]


def alerts(store: Store, query: AlertsQuery, context: Context) -> Alerts:
    return Alerts(queries.alerts(store, limit=query.limit))


def system_events(store: Store, query: SystemEventsQuery, context: Context) -> SystemEvents:
    found = queries.system_events(
        store,
        kind=query.kind,
        without=HEARTBEAT if query.quiet else None,
        since_ms=milliseconds(query.since, "since") or 0,
        limit=query.limit,
    )
    return SystemEvents(
        [
            SystemEventView(
                id=row.id,
                at_ms=row.at_ms,
                kind=row.kind,
                symbol=row.symbol,
                reason=row.reason,
                facts=plain(row.facts_json),
            )
            for row in found
        ]
    )


def errors(store: Store, query: ErrorsQuery, context: Context) -> Errors:
    found = queries.errors(store, since_ms=milliseconds(query.since, "since") or 0, limit=query.limit)
    return Errors(
        [
            ErrorView(
                id=row.id,
                at_ms=row.at_ms,
                component=row.component,
                symbol=row.symbol,
                error=row.error,
                details=plain(row.details_json),
            )
            for row in found
        ]
    )


def commands(store: Store, query: NoQuery, context: Context) -> Commands:
    return Commands(Inbox(store).recent(limit=COMMANDS_SHOWN))


def command(store: Store, query: ById, context: Context) -> CommandRow:
    found = Inbox(store).get(query.id)
    if found is None:
        raise not_found(f"there is no command {query.id}", "GET /api/commands lists the newest")
    return found


READS = (
    Endpoint(
        path="/api/transitions",
        summary="Steps of the machines, newest first, each explained",
        query=TransitionsQuery,
        answer=TransitionsPage,
        read=transitions,
    ),
    Endpoint(
        path="/api/transitions/{id}",
        summary="One step with everything behind it",
        query=ById,
        answer=TransitionDetail,
        read=transition,
        may_miss=True,
    ),
    Endpoint(
        path="/api/alerts",
        summary="Messages for the operator, newest first",
        query=AlertsQuery,
        answer=Alerts,
        read=alerts,
    ),
    Endpoint(
        path="/api/system-events",
        summary="What happened beside trading, newest first: starts, halts, reloads, and what reconciliation put right",
        query=SystemEventsQuery,
        answer=SystemEvents,
        read=system_events,
    ),
    Endpoint(
        path="/api/errors",
        summary="What went wrong, newest first",
        query=ErrorsQuery,
        answer=Errors,
        read=errors,
    ),
    Endpoint(
        path="/api/commands",
        summary="Commands and what became of them, newest first",
        answer=Commands,
        read=commands,
    ),
    Endpoint(
        path="/api/commands/{id}",
        summary="What became of a command: posted, taken, done, or refused by a guard",
        query=ById,
        answer=CommandRow,
        read=command,
        may_miss=True,
    ),
)
