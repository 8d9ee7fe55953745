"""A backtest from request to result: reads the data, computes every rule over arrays, runs the hours, sums up."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import localcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from exchange.sim.account_api import AccountApi
from exchange.sim.core.venue import Venue
from fsm.backtest.clock_loop import ClockLoop
from fsm.backtest.coverage import assumed, covered
from fsm.backtest.edits import Edits
from fsm.backtest.from_outside import FromOutside
from fsm.backtest.ground import BacktestError, Ground, Progress, Request, quiet, read_ground
from fsm.backtest.history import History, Market, build_history, step_of
from fsm.backtest.injecting import Edit, Injector
from fsm.backtest.kept_candles import kept
from fsm.backtest.kept_run import kept_run
from fsm.backtest.past_closes import PastCloses
from fsm.backtest.recorder import Recorder
from fsm.backtest.result import Result
from fsm.backtest.rules_through import RuleChanges, RulesFrom, RulesThrough
from fsm.backtest.standing import RepeatedEngine, Standing
from fsm.config.loading import settings_hash, stored_settings
from fsm.core.model.decision import Step
from fsm.core.model.decision_context import EDITION, DecisionContext
from fsm.core.model.money import MONEY
from fsm.core.model.records import AccountRecord, SymbolRecord
from fsm.journal.engine_journal import StoredEngineJournal, to_json
from rules.load import stored_rules
from store.batch import Batch
from store.building import built_store
from store.chains import CHAINS
from store.database import Store
from store.errors import JournalError
from store.journal import Journal
from store.rows import ConfigVersionRow, RuleVersionRow, SystemEventRow

__all__ = ["BacktestError", "Request", "run_backtest"]

FLUSH_EVERY = 1_000


def run_backtest(
    request: Request,
    *,
    progress: Progress = quiet,
    on_step: Callable[[Step], None] = lambda step: None,
    ground: Ground | None = None,
) -> Result:
    """Run it. Raises BacktestError when the request, the data or the database cannot be used.

    ``ground``: what was read for it already.
    """
    with localcontext(MONEY):
        return _run(request, progress, on_step, ground)


def _run(request: Request, progress: Progress, on_step: Callable[[Step], None], ground: Ground | None) -> Result:
    clock = _Stopwatch()
    ground = ground or read_ground(request, progress)
    symbols, markets, from_ms, to_ms = ground.symbols, [*ground.markets], ground.from_ms, ground.to_ms
    clock.lap("load")
    histories = _compute(request, markets, progress)
    clock.lap("features")
    digest = ground.digest
    with TemporaryDirectory() as scratch:
        path = request.db or Path(scratch) / "backtest.sqlite"
        identity = _identity(request, symbols, from_ms, to_ms, digest)
        with _new_store(path, identity, from_ms) as store:
            journal = Journal(store, identity, flush_every=FLUSH_EVERY)
            bench = _Backtest(request, journal, histories, ground.rules, identity, on_step)
            bench.preamble(markets, from_ms, keep_candles=request.db is not None)
            bench.hours.run(from_ms, to_ms, progress)
            bench.finish(journal, to_ms)
            clock.lap("run")
            result = bench.result(ground)
            journal.commit(kept_run(result, request.config.settings, markets))
            journal.flush()
    clock.lap("report")
    result.seconds.update(clock.laps)
    return result


class _Stopwatch:
    """Wall-clock seconds of the phases; the only time that is read here, and it is journalled nowhere."""

    def __init__(self) -> None:
        self._since = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._since, 3)
        self._since = now


def _compute(request: Request, markets: list[Market], progress: Progress) -> dict[str, History]:
    histories = {}
    for done, market in enumerate(markets):
        progress("features", done, len(markets))
        histories[market.symbol] = build_history(market, request.rules, request.config.settings.market_data.candles_min)
    progress("features", len(markets), len(markets))
    return histories


def _identity(request: Request, symbols: tuple[str, ...], from_ms: int, to_ms: int, digest: str) -> str:
    """Database and run id of a backtest: the same inputs give the same names, hence the same journal."""
    parts = (request.config.hash, request.rules.hash, digest, *symbols, str(from_ms), str(to_ms), str(request.native))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


@contextmanager
def _new_store(path: Path, identity: str, at_ms: int) -> Iterator[Store]:
    if path.exists():
        raise BacktestError(f"{path} exists already: a backtest writes a new database; name another or remove it")
    with built_store(path, at_ms=at_ms) as store:
        store.bind(environment="backtest", account=None, at_ms=at_ms, database_id=identity)
        yield store


class _Backtest:
    """Engine, venue and recorder of one backtest, put together."""

    def __init__(
        self,
        request: Request,
        journal: Journal,
        histories: dict[str, History],
        rules: RulesThrough,
        identity: str,
        on_step: Callable[[Step], None],
    ) -> None:
        settings = request.config.settings
        self._request = request
        self._journal = journal
        self._rules = rules.begins
        self._rules_taken = 0
        self._identity = identity
        filters, brackets = rules.begins.filters, rules.begins.brackets
        self._histories = histories
        self._closes = PastCloses({symbol: history.market for symbol, history in histories.items()})
        ledger = StoredEngineJournal(journal, rules_hash=request.rules.hash, config_hash=request.config.hash)
        self._ledger = ledger
        entry = request.rules.for_symbol("").entry_timeframe
        self.recorder = Recorder(ledger, entry.ms)
        fee = settings.simulation
        self.account = AccountApi(
            Venue(
                filters=filters,
                brackets=brackets,
                balance=fee.balance_usdt,
                maker_rate=fee.maker_fee_pct / 100,
                taker_rate=fee.taker_fee_pct / 100,
                slippage=fee.slippage_pct / 100,
                stop_depth=fee.stop_depth_share,
            )
        )
        self._cells = cells = {
            (symbol, request.rules.hash): DecisionContext(
                database_id=identity,
                config_hash=request.config.hash,
                rules_hash=request.rules.hash,
                policy=settings,
                rules=request.rules.for_symbol(symbol),
                filters=filters[symbol],
                brackets=brackets[symbol],
            )
            for symbol in histories
        }
        self.engine = RepeatedEngine(
            ledger=self.recorder,
            setting_of=lambda symbol, rules_hash: cells[symbol, rules_hash or ledger.rules_hash],
            policy=settings,
            records=[SymbolRecord(symbol=symbol) for symbol in histories],
            account=AccountRecord(),
            fatal=(JournalError,),
            correlation=self._closes.correlation,
        )
        injector = Injector(request.injected, step_of(entry).ms)
        self.account.venue.state.taken = injector.taken
        standing = Standing(self.engine, self.account, self.recorder.trades, request.injected)
        self.hours = ClockLoop(
            engine=self.engine,
            account=self.account,
            histories=histories,
            recorder=self.recorder,
            entry=entry,
            on_step=on_step,
            every_candle=request.every_candle or request.injected.any_moment,
            closes=self._closes,
            injector=injector,
            outside=FromOutside(self.engine, self.account, injector, standing),
            changes=RuleChanges(rules.changes, step_of(entry).ms, self._take),
            edits=Edits(request.injected.edits, request.rules.hash, self._edit, self._is_free),
        )

    def _take(self, rules: RulesFrom) -> None:
        """Other rules of symbols: written down as live, then in force, at the exchange and for decisions."""
        changed = rules.changed_from(self._rules)
        self._rules_taken += 1
        self._journal.run_id = f"{self._identity}.{self._rules_taken}"
        facts = {
            "filters": rules.filters,
            "brackets": rules.brackets,
            "changed": changed,
            "edition": EDITION,
        }
        row = SystemEventRow(
            at_ms=rules.at_ms,
            kind="SYMBOL_RULES",
            reason="CHANGED",
            facts_json=to_json(facts),
            rules_hash=self._request.rules.hash,
            config_hash=self._request.config.hash,
        )
        self._journal.commit(Batch(system_events=[row]))
        for symbol in changed:
            filters, brackets = rules.filters[symbol], rules.brackets[symbol]
            for key in [key for key in self._cells if key[0] == symbol]:
                self._cells[key] = replace(self._cells[key], filters=filters, brackets=brackets)
            self.account.venue.state.change_rules(symbol, filters, brackets)
        self._rules = rules

    def _is_free(self, symbol: str) -> bool:
        return self.engine.record(symbol).trade is None

    def _edit(self, edit: Edit) -> tuple[str, dict[str, History]]:
        """Edited files: written down as live, then in force. Raises BacktestError where they cannot be run."""
        rules, settings = stored_rules(edit.rules, "rules.yaml"), stored_settings(edit.config, "config.yaml")
        request = replace(self._request, rules=rules, symbols=tuple(self._histories))
        if rules.for_symbol("").entry_timeframe is not self._request.rules.for_symbol("").entry_timeframe:
            raise BacktestError("an edit changed the entry timeframe, which a backtest cannot do on the way")
        histories = _compute(request, [*read_ground(request).markets], quiet)
        config_hash = settings_hash(settings)
        self._ledger.rules_hash, self._ledger.config_hash, self.engine.policy = rules.hash, config_hash, settings
        self._journal.commit(
            Batch(
                rule_versions=[RuleVersionRow(at_ms=edit.at_ms, rules_hash=rules.hash, text=rules.text)],
                config_versions=[ConfigVersionRow(at_ms=edit.at_ms, config_hash=config_hash, text=edit.config)],
            )
        )
        for key, cell in [*self._cells.items()]:
            self._cells[key] = replace(cell, policy=settings, config_hash=config_hash)
            own = replace(self._cells[key], rules=rules.for_symbol(key[0]), rules_hash=rules.hash)
            self._cells[key[0], rules.hash] = own
        return rules.hash, histories

    def preamble(self, markets: list[Market], at_ms: int, *, keep_candles: bool) -> None:
        """Write down what the run is decided with: rules, config, filters, holes, and the candles if they are kept."""
        request = self._request
        facts = {
            "filters": self._rules.filters,
            "brackets": self._rules.brackets,
            "candles_min": request.config.settings.market_data.candles_min,
            "edition": EDITION,
        }
        started = SystemEventRow(
            at_ms=at_ms,
            kind="START",
            reason="BACKTEST",
            facts_json=to_json(facts),
            rules_hash=request.rules.hash,
            config_hash=request.config.hash,
        )
        self._journal.commit(
            Batch(
                rule_versions=[RuleVersionRow(at_ms=at_ms, rules_hash=request.rules.hash, text=request.rules.text)],
                config_versions=[
                    ConfigVersionRow(at_ms=at_ms, config_hash=request.config.hash, text=request.config.text)
                ],
                system_events=[started],
            )
        )
        for batch in kept(markets, at_ms, candles=keep_candles):
            self._journal.commit(batch)
            self._journal.flush()  # held as text by few at a time

    def finish(self, journal: Journal, to_ms: int) -> None:
        if self.engine.failures:
            raise BacktestError(f"the engine failed: {self.engine.failures[0]}")
        journal.commit(Batch(system_events=[SystemEventRow(at_ms=to_ms, kind="STOP", reason="END_OF_DATA")]))
        journal.close_stretches()
        journal.flush()

    def result(self, ground: Ground) -> Result:
        settings, hours = self._request.config.settings, self.hours
        tables = {symbol: history.table for symbol, history in self._histories.items()}
        return Result(
            **covered(ground, tables, settings.market_data.candles_min),
            **assumed(settings),
            trades=tuple(self.recorder.trades),
            curve=tuple(hours.curve),
            wallet_change=self.account.account().wallet_balance - settings.simulation.balance_usdt,
            position_ms=hours.position_ms,
            transitions=self.recorder.transitions,
            journal_hash=_heads_hash(self._journal),
            rules_hash=self._request.rules.hash,
            config_hash=self._request.config.hash,
            data_hash=ground.digest,
            correlation=self._closes.mean(ground.from_ms, ground.to_ms),
            ambiguous_candles=hours.ambiguous,
            undecided_bars=hours.undecided,
            fundings=hours.fundings,
            fundings_missing=dict(sorted(hours.fundings_missing.items())),
        )


def _heads_hash(journal: Journal) -> str:
    """One hash for the whole journal: over the newest hash of every chained table."""
    heads = [f"{chain.table.name} {journal.head(chain.model).hash}" for chain in CHAINS.values()]
    return hashlib.sha256("\n".join(sorted(heads)).encode()).hexdigest()
