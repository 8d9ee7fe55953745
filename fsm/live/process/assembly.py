"""Joins given parts into a daemon, for production and proofs alike: the only place where live objects are wired.

What was stored is read back, what the exchange says of its symbols is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import asdict

from exchange.event_queue import EventQueue
from exchange.port import EventStream, Exchange, Listen
from fsm.config import Config
from fsm.core.engine import Engine
from fsm.core.model.decision import Step
from fsm.core.model.decision_context import EDITION
from fsm.core.model.records import SymbolRecord
from fsm.journal.engine_journal import to_json
from fsm.journal.symbol_lists import KIND, SymbolList
from fsm.journal.writer import JournalWriter
from fsm.live.context.active_settings import ActiveSettings
from fsm.live.context.clock import Clock, ExchangeClock
from fsm.live.context.entry_blocks import ALL, FILES_UNUSABLE, UNSUPPORTED_ACCOUNT, EntryBlocks
from fsm.live.context.fruitless_signals import FruitlessSignals
from fsm.live.context.held import symbols_in_trade
from fsm.live.context.live_context import Freshness, LiveContext
from fsm.live.context.observer import NoObserver, Observer, UnfeltObserver
from fsm.live.context.on_trial import OnTrial
from fsm.live.context.symbol_catalog import SymbolCatalog, last_known
from fsm.live.context.trouble import Troubles
from fsm.live.operator.accepted import VERSIONS, Accepted, settled_at_start
from fsm.live.operator.alerts import Alerts
from fsm.live.operator.held_up import HeldUp
from fsm.live.operator.live_results import DailyLook
from fsm.live.operator.news import blocked_at_start_news
from fsm.live.operator.reload import Reload
from fsm.live.operator.shadow_rounds import ShadowRounds
from fsm.live.preflight.meeting import meet
from fsm.live.process import documents
from fsm.live.process.daemon import Daemon
from fsm.live.process.newness import RELEASE, cause_at_start, is_wanted, release, small_steps_news
from fsm.live.process.own_commands import Ask
from fsm.live.process.presence import Presence
from fsm.live.process.supervisor import Background
from fsm.live.process.timekeeping import Timekeeper
from fsm.live.trading.account_watch import AccountWatch
from fsm.live.trading.executor import Executor
from fsm.live.trading.lifeline import Lifeline
from fsm.live.trading.protection_timer import ProtectionTimes
from fsm.live.trading.recovery import stored_account, stored_records
from fsm.live.trading.symbol_lists import list_at_start
from rules.load import Ruleset, stored_rules
from store import queries
from store.batch import Batch
from store.database import Store
from store.errors import JournalError
from store.journal import Journal
from store.rows import ConfigVersionRow, RuleVersionRow, SystemEventRow
from store.verify import Report


async def assemble(
    *,
    config: Config,
    rules: Ruleset,
    store: Store,
    run_id: str,
    exchange: Exchange,
    clock: Clock,
    on_step: Callable[[Step], None],
    listen: Listen | None = None,
    config_path: Path | None = None,
    rules_path: Path | None = None,
    ask: Ask | None = None,
    banner: str = "",
    data_end_ms: int | None = None,
    verify: Callable[[], Report] | None = None,
    background: Callable[[LiveContext], Sequence[Background]] = lambda live: (),
    times: ProtectionTimes | None = None,
    observer: Observer | None = None,
    unusable: str = "",
    check_files: Callable[[], None] = lambda: None,
) -> Daemon:
    """A daemon that is ready to run. Waits for the exchange; raises StartRefused and StoreError.

    Without ``listen`` nothing is heard from the exchange: every change is found by looking. ``config_path`` and
    ``rules_path`` are watched for edits; None watches nothing. Without ``ask`` no command of ours is run about the
    database: no look at live results once a day, no shadows.
    ``unusable`` says what is wrong with the files where ``config`` and ``rules`` are the last accepted ones instead.
    """
    config, rules = settled_at_start(store, config, rules)
    until_ms = queries.newest_ms(store)
    records, held = stored_records(store), symbols_in_trade(store)
    first = await list_at_start(config.settings.list_rule, store, exchange, clock, is_held=bool(held))
    chosen = config.settings.enabled_symbols if first.listed is None else first.listed
    wanted = sorted({*chosen, *held})
    found = await meet(exchange, clock, wanted, held, last_known(store))
    world = found.world
    identity = store.identity
    assert identity is not None, "the database is bound before"
    active = ActiveSettings(
        database_id=identity.database_id,
        settings=config.settings,
        rules=rules,
        filters=world.filters,
        brackets=world.brackets,
        older_rules=_older_rules(store, records.values(), rules.hash),
        accepted=Accepted(text=config.text, settings=config.settings, rules=rules),
        listed=first.listed,
    )
    vain = FruitlessSignals(store)

    def heard(step: Step) -> None:
        vain.stepped(step)
        on_step(step)

    watching = UnfeltObserver(heard, observer or NoObserver())
    alerts = Alerts(lambda: active.settings, run_id, banner, active.tick_of, watching.told)
    journal = JournalWriter(
        store,
        Journal(store, run_id),
        rules_hash=rules.hash,
        config_hash=active.config_hash,
        alerts_of=alerts.of_transition,
    )

    def tell(text: str, key: str) -> None:
        row = alerts.row(clock.now_ms(), "reconciliation_anomaly", text, key=key)
        journal.alert(*([row] if row else []))

    troubles = Troubles(journal, alerts, clock)
    blocks = EntryBlocks()
    catalog = SymbolCatalog(
        exchange=exchange,
        clock=clock,
        journal=journal,
        active=active,
        blocks=blocks,
        on_trouble=troubles.heard,
        tell=tell,
    )
    engine = Engine(
        ledger=journal,
        setting_of=active.context,
        policy=active.settings,
        records=[records.get(name) or SymbolRecord(symbol=name) for name in world.filters],
        account=stored_account(store),
        fatal=(JournalError,),
        blocked_for=blocks.of,
    )
    watch = AccountWatch(
        exchange=exchange,
        clock=clock,
        blocks=blocks,
        held=engine.active,
        on_trouble=troubles.heard,
        tell=tell,
    )
    events = EventQueue()
    stream = None if listen is None else listen(events.put)
    live = LiveContext(
        engine=engine,
        exchange=exchange,
        executor=Executor(exchange, clock, _expected_by(stream), watch.set_up),
        clock=clock,
        journal=journal,
        active=active,
        blocks=blocks,
        symbols=catalog,
        watch=watch,
        lifeline=Lifeline(lambda: active.settings.protection.commit_wait_ms / 1000),
        times=times or ProtectionTimes(),
        freshness=Freshness(clock),
        on_step=watching.stepped,
        on_trouble=troubles.heard,
        on_trial=OnTrial(clock),
        observer=watching,
        overdue=HeldUp(exchange.pause, journal, alerts, clock).overdue,
    )
    cause = cause_at_start(store, config, rules)
    if cause and is_wanted(engine.policy, is_real_money=config.environment.is_real_money):
        _begin_small_steps(live, alerts, cause)
    named = {*config.settings.enabled_symbols, *held}
    _preamble(live, config, sorted(named - set(world.filters)), alerts, first.fresh)
    catalog.begin(world)
    words = f"The account is in {found.unsupported}, which is not supported." if found.unsupported else ""
    for reason, detail in ((FILES_UNUSABLE, unusable), (UNSUPPORTED_ACCOUNT, words)):
        if detail:
            blocks.set(ALL, reason, found.unsupported if reason == UNSUPPORTED_ACCOUNT else "")
            tell(blocked_at_start_news(detail, held), f"{reason} at start")
    daemon = Daemon(
        live,
        alerts=alerts,
        troubles=troubles,
        vain=vain,
        events=events,
        stream=stream,
        background=(*background(live), *_clock_keepers(live, alerts)),
        verify=verify,
        data_end_ms=data_end_ms,
        check_files=check_files,
        journal_until_ms=until_ms,
    )
    exchange.tell_unreadable(daemon.unreadable)
    if stream is not None:
        _tell_of_copies(daemon, stream, run_id)
    if config_path is not None or rules_path is not None:
        daemon.beside.append(Reload(daemon, config=config, config_path=config_path, rules_path=rules_path).run)
    if ask is not None:
        daemon.beside.append(DailyLook(live, daemon.say, ask, daemon.started).run)
        daemon.beside.append(ShadowRounds(daemon, store.path, ask).run)
    return daemon


def _tell_of_copies(daemon: Daemon, stream: EventStream, run_id: str) -> None:
    """Whoever hears the account's stream tells bots on copies of this database of itself, and hears of them."""
    live = daemon.live
    live.loop_lag.hears = lambda: stream.is_open
    presence = Presence(live, daemon.reconciler, daemon.say, run_id=run_id)
    daemon.listener.on_placed = presence.heard
    daemon.beside.append(partial(presence.run, daemon.started))


def _expected_by(stream: EventStream | None) -> Callable[[str], None]:
    """Who hears of each order that was accepted: the stream must tell of it soon."""
    return (lambda client_id: None) if stream is None else stream.expect


def _clock_keepers(live: LiveContext, alerts: Alerts) -> Sequence[Background]:
    """What keeps the exchange's time right, where the bot goes by a clock that it measures."""
    clock = live.clock
    return (Timekeeper(clock, live.journal, alerts).run,) if isinstance(clock, ExchangeClock) else ()


def _begin_small_steps(live: LiveContext, alerts: Alerts, cause: str) -> None:
    engine, at_ms = live.engine, live.clock.now_ms()
    engine.begin_small_steps(at_ms, cause)
    news = alerts.row(at_ms, "rules_changed", small_steps_news(cause, engine.policy), key="small steps")
    live.journal.alert(*([news] if news else []))


def _older_rules(store: Store, records: Iterable[SymbolRecord], present: str) -> dict[str, Ruleset]:
    """The rules under which open trades were opened, where they are not the present ones: reading them takes time."""
    found: dict[str, Ruleset] = {}
    for record in records:
        rules_hash = record.trade.rules_hash if record.trade else None
        if rules_hash is None or rules_hash == present or rules_hash in found:
            continue
        text = queries.rules_text(store, rules_hash)
        if text is not None:
            found[rules_hash] = stored_rules(text, f"rules {rules_hash[:8]}")
    return found


def _preamble(live: LiveContext, config: Config, unknown: list[str], alerts: Alerts, listed: SymbolList | None) -> None:
    """What this run decides with, before it decides anything; and the documents for readers."""
    active, at_ms = live.active, live.clock.now_ms()
    facts = {
        "filters": active.filters,
        "brackets": active.brackets,
        "candles_min": active.settings.market_data.candles_min,
        "edition": EDITION,
        RELEASE: release(),
        VERSIONS: {"config": active.config_hash, "rules": active.rules.hash},
    }
    started = SystemEventRow(
        at_ms=at_ms,
        kind="START",
        reason="RUN",
        facts_json=to_json(facts),
        rules_hash=active.rules.hash,
        config_hash=active.config_hash,
    )
    text = f"{', '.join(unknown)}: unknown to the exchange, so not traded. Correct the names in config.yaml."
    told = alerts.row(at_ms, "reconciliation_anomaly", text, key="unknown symbols") if unknown else None
    live.journal.journal.commit(
        Batch(
            rule_versions=[RuleVersionRow(at_ms=at_ms, rules_hash=active.rules.hash, text=active.rules.text)],
            config_versions=[ConfigVersionRow(at_ms=at_ms, config_hash=active.config_hash, text=config.text)],
            system_events=[started, *([live.journal.event(at_ms, KIND, "START", **asdict(listed))] if listed else [])],
            alerts=[told] if told else [],
        )
    )
    live.journal.document("machine", at_ms, documents.machine())
    live.journal.document("config", at_ms, documents.config(config, live))
