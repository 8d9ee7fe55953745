"""Numbers for Prometheus: the window's own, and what the database says at each scrape.

prometheus_client writes the exposition format, whose escaping and content negotiation are easy to get subtly wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from store import queries
from store.database import Store
from store.errors import StoreError
from web import documents
from web.bot_database import BotDatabase
from web.catalogue import CATALOGUE, STATES
from web.routes.account import newest_ms
from web.routes.holdings import PROTECTION_BUCKETS_MS, PROTECTION_TRADES_MAX, protection_ms

disable_created_metrics()  # type: ignore[no-untyped-call]  # else each counter brings a series of its own beside it

Labels = tuple[str, ...]
Key = TypeVar("Key", bound=Labels)


class Metrics:
    """One window's registry."""

    def __init__(
        self,
        database: BotDatabase,
        wall_ms: Callable[[], int],
        listeners: Callable[[], int],
        failures: Callable[[], int],
    ) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(*_named("fsm_http_requests"), registry=self._registry)
        self.seconds = Histogram(*_named("fsm_http_request_seconds"), registry=self._registry)
        Gauge(*_named("fsm_http_listeners"), registry=self._registry).set_function(listeners)
        self._registry.register(_Failures(failures))
        self._registry.register(_FromDatabase(database, wall_ms))

    def text(self, accept: str) -> tuple[bytes, str]:
        """The exposition in the format that is asked for, and its media type: OpenMetrics, or plain text.

        Reads the database: call it in a reader's thread.
        """
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type


class _Failures(Collector):
    """Wrong tokens, which the throttle counts."""

    def __init__(self, failures: Callable[[], int]) -> None:
        self._failures = failures

    def collect(self) -> Iterator[Metric]:
        name, meaning, _ = _named("fsm_http_login_failures")
        yield CounterMetricFamily(name, meaning, value=self._failures())


class _FromDatabase(Collector):
    """Asks at each scrape. Transitions are counted on from the last scrape; the first one counts them all."""

    def __init__(self, database: BotDatabase, wall_ms: Callable[[], int]) -> None:
        self._database = database
        self._wall_ms = wall_ms
        self._counted: dict[Labels, int] = {}
        self._counted_to = 0
        self._turn = threading.Lock()

    def describe(self) -> list[Metric]:
        return []  # so that registering asks nothing of the database

    def collect(self) -> Iterator[Metric]:
        try:
            store = self._database.store()
            with self._turn:
                found = [*self._daemon(store), *self._money(store), *_symbols(store), *self._holdings(store)]
                found += [self._transitions(store), *_tables(store)]
        except StoreError:
            yield _gauge("fsm_database_up", {(): 0})
            return
        yield _gauge("fsm_database_up", {(): 1})
        yield from found

    def _daemon(self, store: Store) -> Iterator[Metric]:
        identity, pulse = store.identity, documents.health(store)
        if identity is not None:
            yield _gauge("fsm_info", {(identity.environment, identity.database_id): 1})
        yield _gauge("fsm_daemon_running", {(): self._database.daemon_running()})
        if pulse.wall_ms is not None:
            yield _gauge("fsm_daemon_pulse_age_seconds", {(): max(0, self._wall_ms() - pulse.wall_ms) / 1000})
        if pulse.loop_lag_ms is not None:
            yield _gauge("fsm_loop_lag_seconds", {(): pulse.loop_lag_ms / 1000})
        if pulse.equity_age_ms is not None:
            yield _gauge("fsm_equity_age_seconds", {(): pulse.equity_age_ms / 1000})
        if pulse.exchange_failures is not None:
            yield _gauge("fsm_exchange_failures", {(): pulse.exchange_failures})
        if pulse.clock is not None:
            yield _gauge("fsm_clock_offset_seconds", {(): pulse.clock.offset_ms / 1000})
            yield _gauge("fsm_clock_measured_age_seconds", {(): pulse.clock.measured_age_ms / 1000})
        passed = msgspec.structs.asdict(documents.telegram(store))
        counted = {(event,): count for event, count in passed.items() if isinstance(count, int)}
        yield _gauge("fsm_telegram_messages", counted)
        yield _gauge("fsm_task_failures", {(name,): task.failures for name, task in pulse.tasks.items()})
        yield _gauge("fsm_output_lines_dropped", {(name,): found.dropped for name, found in pulse.output.items()})
        yield _gauge("fsm_output_errors", {(name,): found.errors for name, found in pulse.output.items()})
        if pulse.files_looked_wall_ms is not None:
            looked_ms = max(0, self._wall_ms() - pulse.files_looked_wall_ms)
            yield _gauge("fsm_files_looked_age_seconds", {(): looked_ms / 1000})
        yield _gauge("fsm_protection_late", {(): pulse.protection.late})
        yield _gauge("fsm_journal_time_seconds", {(): newest_ms(store) / 1000})

    def _money(self, store: Store) -> Iterator[Metric]:
        equity, account = queries.latest_equity(store), queries.account(store)
        if equity is not None:
            yield _gauge("fsm_equity_usdt", {(): float(equity.equity)})
            yield _gauge("fsm_balance_usdt", {(): float(equity.balance)})
            yield _gauge("fsm_available_balance_usdt", {(): float(equity.available_balance)})
        if account is not None:
            yield _gauge("fsm_equity_high_usdt", {(): float(account.equity_high)})
            yield _gauge("fsm_account_halted", {(): account.halt_cause is not None})
            yield _gauge("fsm_account_paused", {(): account.paused})
        if equity is not None and account is not None and account.equity_high > 0:
            fall = float((account.equity_high - equity.equity) / account.equity_high)
            yield _gauge("fsm_drawdown_ratio", {(): max(0.0, fall)})
        losses = documents.limits(store).losses
        yield _gauge("fsm_loss_budget_allowed_usdt", {(loss.name,): float(loss.allowed) for loss in losses})
        yield _gauge("fsm_loss_budget_used_usdt", {(loss.name,): float(loss.used) for loss in losses})

    def _holdings(self, store: Store) -> Iterator[Metric]:
        positions, now_ms = queries.positions(store), self._wall_ms()
        verified = documents.health(store).stops
        yield _gauge("fsm_open_positions", {(): len(positions)})
        yield _gauge("fsm_positions_without_stop", {(): sum(1 for held in positions if held.protected_ms is None)})
        yield _gauge(
            "fsm_position_upnl_usdt", {(held.symbol,): float(held.upnl) for held in positions if held.upnl is not None}
        )
        yield _gauge(
            "fsm_stop_verified_age_seconds",
            {
                (held.symbol,): max(0, now_ms - verified[held.symbol].verified_wall_ms) / 1000
                for held in positions
                if held.symbol in verified
            },
        )

    def _transitions(self, store: Store) -> Metric:
        newest = queries.newest_ids(store).transition
        if newest < self._counted_to:  # another database has taken this one's place
            self._counted, self._counted_to = {}, 0
        for key, count in queries.triggers_after(store, self._counted_to, newest).items():
            self._counted[key] = self._counted.get(key, 0) + count
        self._counted_to = newest
        meter = CATALOGUE["fsm_transitions"]
        family = CounterMetricFamily(meter.name, meter.meaning, labels=meter.labels)
        for labels, count in self._counted.items():
            family.add_metric(labels, count)
        return family


def _symbols(store: Store) -> Iterator[Metric]:
    """Every symbol that is enabled or has a past; one without a transition yet is idle."""
    rows = {row.symbol: row for row in queries.symbols(store)}
    names = sorted(rows.keys() | documents.enabled_symbols(store))
    at = {name: rows[name].state if name in rows else "IDLE" for name in names}
    yield _gauge("fsm_symbol_state", {(name, state): at[name] == state for name in names for state in STATES})
    yield _gauge("fsm_symbol_halted", {(n,): n in rows and rows[n].halt_cause is not None for n in names})
    yield _gauge("fsm_symbol_quarantined", {(n,): n in rows and rows[n].quarantine_cause is not None for n in names})
    yield _gauge("fsm_symbol_paused", {(n,): n in rows and rows[n].paused for n in names})


def _tables(store: Store) -> Iterator[Metric]:
    yield _gauge("fsm_trades", {(status,): count for status, count in queries.trades_by_status(store).items()})
    yield _gauge("fsm_intents_open", {(status,): count for status, count in queries.intents_open(store).items()})
    yield _gauge("fsm_alerts", queries.alerts_by_state(store))
    yield _gauge("fsm_alerts_failing", {(): queries.alerts_failing(store)})
    times = protection_ms(queries.trades(store, limit=PROTECTION_TRADES_MAX))
    buckets = [(str(top / 1000), float(sum(1 for time in times if time <= top))) for top in PROTECTION_BUCKETS_MS]
    meter = CATALOGUE["fsm_protection_seconds"]
    family = HistogramMetricFamily(meter.name, meter.meaning)
    family.add_metric([], [*buckets, ("+Inf", float(len(times)))], sum_value=sum(times) / 1000)
    yield family
    yield _measured(documents.health(store).protection)


def _measured(found: documents.Measured) -> HistogramMetricFamily:
    meter = CATALOGUE["fsm_protection_real_seconds"]
    bounds = ["+Inf" if bucket.le_ms is None else str(bucket.le_ms / 1000) for bucket in found.buckets] or ["+Inf"]
    counts = accumulate([bucket.count for bucket in found.buckets] or [0])
    family = HistogramMetricFamily(meter.name, meter.meaning)
    family.add_metric([], list(zip(bounds, map(float, counts), strict=True)), sum_value=found.sum_ms / 1000)
    return family


def _gauge(name: str, values: Mapping[Key, float]) -> GaugeMetricFamily:
    meter = CATALOGUE[name]
    family = GaugeMetricFamily(meter.name, meter.meaning, labels=meter.labels)
    for labels, value in values.items():
        family.add_metric(labels, float(value))
    return family


def _named(name: str) -> tuple[str, str, Labels]:
    meter = CATALOGUE[name]
    return meter.name, meter.meaning, meter.labels
