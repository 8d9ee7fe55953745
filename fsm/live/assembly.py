"""Joins given parts into a daemon: what was stored is read back, what the exchange says of its symbols is fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from exchange.errors import ExchangeError
from exchange.filters import SymbolFilters
from exchange.port import Exchange
from exchange.types import Bracket
from fsm.config import Config
from fsm.core.engine import Engine
from fsm.core.move import Step
from fsm.core.records import SymbolRecord
from fsm.core.scene import EDITION
from fsm.ledger import to_json
from fsm.live import documents
from fsm.live.accepted import VERSIONS, Accepted, settled_at_start
from fsm.live.alerts import Alerts
from fsm.live.audience import Audience, Nobody, Unfelt
from fsm.live.books import Books
from fsm.live.clock import Clock
from fsm.live.daemon import Background, Daemon
from fsm.live.executor import Executor
from fsm.live.in_force import InForce
from fsm.live.recovery import stored_account, stored_records
from fsm.live.shared import Freshness, Shared
from fsm.live.trouble import Troubles
from fsm.live.vain import SignalsInVain
from fsm.live.watch import ProtectionTimes
from rules.load import Ruleset, parse_rules
from store import queries
from store.batch import Batch
from store.database import Store
from store.errors import JournalError
from store.journal import Journal
from store.rows import ConfigVersionRow, RuleVersionRow, SystemEventRow
from store.verify import Report

log = structlog.get_logger("fsm.assembly")

ASK_AGAIN_S = 2.0


class StartRefused(Exception):
    """The bot must not run like this; ``hint`` says what to change (exit code 3)."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


async def assemble(
    *,
    config: Config,
    rules: Ruleset,
    store: Store,
    run_id: str,
    exchange: Exchange,
    clock: Clock,
    on_step: Callable[[Step], None],
    banner: str = "",
    data_end_ms: int | None = None,
    verify: Callable[[], Report] | None = None,
    background: Callable[[Shared], Sequence[Background]] = lambda shared: (),
    times: ProtectionTimes | None = None,
    on_accepted: Callable[[str], None] = lambda client_id: None,
    audience: Audience | None = None,
) -> Daemon:
    """A daemon that is ready to run. Waits for the exchange; raises StartRefused and StoreError."""
    config, rules = settled_at_start(store, config, rules)
    records = stored_records(store)
    wanted = sorted({*config.settings.enabled_symbols, *(name for name, record in records.items() if record.trade)})
    filters, brackets = await _world(exchange, clock, wanted)
    identity = store.identity
    assert identity is not None, "the database is bound before"
    in_force = InForce(
        database_id=identity.database_id,
        settings=config.settings,
        rules=rules,
        filters=filters,
        brackets=brackets,
        older_rules=_older_rules(store, records.values(), rules.hash),
        accepted=Accepted(text=config.text, settings=config.settings, rules=rules),
    )
    alerts = Alerts(lambda: in_force.settings, run_id, banner)
    books = Books(
        store,
        Journal(store, run_id),
        rules_hash=rules.hash,
        config_hash=in_force.config_hash,
        alerts_of=alerts.of_transition,
    )
    troubles, vain = Troubles(books, alerts, clock), SignalsInVain(store)

    def heard(step: Step) -> None:
        vain.stepped(step)
        on_step(step)

    watching = Unfelt(heard, audience or Nobody())
    tradable = [name for name in wanted if name in filters and name in brackets]
    shared = Shared(
        engine=Engine(
            ledger=books,
            setting_of=in_force.setting,
            policy=in_force.policy,
            records=[records.get(name) or SymbolRecord(symbol=name) for name in tradable],
            account=stored_account(store),
            fatal=(JournalError,),
        ),
        exchange=exchange,
        executor=Executor(exchange, clock, on_accepted),
        clock=clock,
        books=books,
        in_force=in_force,
        times=times or ProtectionTimes(),
        freshness=Freshness(clock),
        on_step=watching.stepped,
        on_trouble=troubles.heard,
        audience=watching,
    )
    _preamble(shared, config, sorted(set(wanted) - set(tradable)), alerts)
    return Daemon(
        shared,
        alerts=alerts,
        troubles=troubles,
        vain=vain,
        background=background(shared),
        verify=verify,
        data_end_ms=data_end_ms,
    )


async def _world(
    exchange: Exchange, clock: Clock, symbols: list[str]
) -> tuple[dict[str, SymbolFilters], dict[str, tuple[Bracket, ...]]]:
    """Filters and brackets of the symbols that the exchange knows; asked until it answers."""
    while True:
        try:
            if await exchange.hedge_mode():
                raise StartRefused("the account is in hedge mode", "set one-way mode once nothing is open (R27)")
            everything = await exchange.filters()
            known = [name for name in symbols if name in everything]
            brackets = await asyncio.gather(*(exchange.brackets(name) for name in known))
            return {name: everything[name] for name in known}, dict(zip(known, brackets, strict=True))
        except ExchangeError as error:
            log.warning("exchange_failed", reason=type(error).__name__, error=str(error))
            await clock.sleep(ASK_AGAIN_S)


def _older_rules(store: Store, records: Iterable[SymbolRecord], present: str) -> dict[str, Ruleset]:
    """The rules under which open trades were opened, where they are not the present ones: reading them takes time."""
    found: dict[str, Ruleset] = {}
    for record in records:
        rules_hash = record.trade.rules_hash if record.trade else None
        if rules_hash is None or rules_hash == present or rules_hash in found:
            continue
        text = queries.rules_text(store, rules_hash)
        if text is not None:
            found[rules_hash] = parse_rules(text, f"rules {rules_hash[:8]}")
    return found


def _preamble(shared: Shared, config: Config, unknown: list[str], alerts: Alerts) -> None:
    """What this run decides with, before it decides anything; and the documents for readers."""
    in_force, at_ms = shared.in_force, shared.clock.now_ms()
    facts = {
        "filters": in_force.filters,
        "brackets": in_force.brackets,
        "candles_min": in_force.settings.market_data.candles_min,
        "edition": EDITION,
        VERSIONS: {"config": in_force.config_hash, "rules": in_force.rules.hash},
    }
    started = SystemEventRow(
        at_ms=at_ms,
        kind="START",
        reason="RUN",
        facts_json=to_json(facts),
        rules_hash=in_force.rules.hash,
        config_hash=in_force.config_hash,
    )
    text = f"{', '.join(unknown)}: unknown to the exchange, so not traded"
    told = alerts.row(at_ms, "reconciliation_anomaly", text, key="unknown symbols") if unknown else None
    shared.books.journal.commit(
        Batch(
            rule_versions=[RuleVersionRow(at_ms=at_ms, rules_hash=in_force.rules.hash, text=in_force.rules.text)],
            config_versions=[ConfigVersionRow(at_ms=at_ms, config_hash=in_force.config_hash, text=config.text)],
            system_events=[started],
            alerts=[told] if told else [],
        )
    )
    shared.books.document("machine", at_ms, documents.machine())
    shared.books.document("config", at_ms, documents.config(config, shared))
