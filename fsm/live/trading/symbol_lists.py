"""Once a day: which symbols are traded, where config.yaml has a rule for that. Those that enter warm up first; of those
that leave only the entries are blocked.

A list is committed before it is in force. Where none can be made, the one before stands, and that is told once.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from exchange.errors import ExchangeError
from exchange.port import Exchange
from fsm.core.model.policy import ListRule
from fsm.core.symbol_list import Candidate, NoList, candidates
from fsm.journal.symbol_lists import KIND, SymbolList, by_another_rule, new_list, newest
from fsm.live.context.clock import Clock
from fsm.live.context.live_context import LiveContext
from fsm.live.operator.news import list_failed_news, new_list_news
from fsm.live.process.supervisor import Supervisor
from fsm.live.trading.proof_of_stops import Say
from fsm.live.trading.roster import Roster
from fsm.live.trading.schedule import Schedule
from store import queries
from store.database import Store
from store.errors import StoreError

log = structlog.get_logger("fsm.lists")

LOOK_S = 5.0
AGAIN_S = 600.0
"""So long after an answer that was of no use it is asked again: the question weighs 40."""

JOIN_AGAIN_S, LOOK_WAIT_S = 60.0, 10.0
START_AGAIN_S = 15.0
FAILED = "SYMBOL_LIST_FAILED"


class FirstList(msgspec.Struct, frozen=True):
    """What a start has in force; None: config.yaml names its symbols. ``fresh`` is not written down yet."""

    listed: tuple[str, ...] | None = None
    fresh: SymbolList | None = None


async def list_at_start(
    rule: ListRule | None, store: Store, exchange: Exchange, clock: Clock, *, is_held: bool
) -> FirstList:
    """The list that was made last, by the rule as it is now; in a new database a first one, for which the exchange is
    asked until it answers. A start with an open trade does not wait for what only entries need."""
    if rule is None:
        return FirstList()
    before = newest(store)
    if before is not None:
        return FirstList(before.listed) if before.rule == rule else _by_another_rule(rule, before)
    while not is_held:
        try:
            found = new_list(rule, await _asked(exchange), clock.now_ms(), None)
            return FirstList(found.listed, found)
        except (ExchangeError, NoList) as error:
            log.warning("no_symbol_list", reason=type(error).__name__, error=str(error))
        await clock.sleep(START_AGAIN_S)
    return FirstList(())


def _by_another_rule(rule: ListRule, before: SymbolList) -> FirstList:
    try:
        found = by_another_rule(rule, before)
    except NoList as error:  # its answers are of no use for the new rule
        log.warning("no_symbol_list", reason=type(error).__name__, error=str(error))
        return FirstList(tuple(name for name in before.listed if name not in rule.exclude))
    return FirstList(found.listed, found)


async def _asked(exchange: Exchange) -> tuple[Candidate, ...]:
    filters = await exchange.filters()
    return candidates(await exchange.day_volumes(), filters)


class SymbolLists:
    """Makes the new list when its day has come, and brings whatever is needed among the markets."""

    def __init__(self, live: LiveContext, roster: Roster, schedule: Schedule, supervisor: Supervisor, say: Say) -> None:
        self._live = live
        self._roster = roster
        self._schedule = schedule
        self._supervisor = supervisor
        self._say = say
        self._before = newest(live.journal.store)
        self._again_s = float("-inf")
        self._is_failing = _was_failing(live.journal.store)
        self._join_s: dict[str, float] = {}

    async def run(self) -> None:
        """For ever; at once over where config.yaml names its symbols."""
        rule = self._live.active.settings.list_rule
        while rule is not None:
            if self._is_due(rule):
                await self._renew(rule)
            await self._join()
            await self._live.clock.sleep(LOOK_S)

    def _is_due(self, rule: ListRule) -> bool:
        before, clock = self._before, self._live.clock
        is_over = before is None or before.rule != rule or clock.now_ms() >= before.until_ms
        return is_over and clock.monotonic() >= self._again_s

    async def _renew(self, rule: ListRule) -> None:
        try:
            found = new_list(rule, await _asked(self._live.exchange), self._live.clock.now_ms(), self._before)
        except (ExchangeError, NoList) as error:
            self._failed(error)
            return
        self._is_failing = False
        self._take(found)

    def _failed(self, error: Exception) -> None:
        """The list before stands. Told once, however often it fails."""
        clock = self._live.clock
        self._again_s = clock.monotonic() + AGAIN_S
        log.warning("no_symbol_list", reason=type(error).__name__, error=str(error))
        if self._is_failing:
            return
        self._is_failing = True
        at_ms = clock.now_ms()
        self._live.journal.note(at_ms, FAILED, type(error).__name__, text=str(error))
        self._say("api_errors", list_failed_news(str(error), self._before), key=f"{FAILED} {at_ms}")

    def _take(self, found: SymbolList) -> None:
        """Written down, then in force: from that moment nothing is entered in what left."""
        live, at_ms = self._live, self._live.clock.now_ms()
        live.journal.note(at_ms, KIND, "DAILY", **msgspec.structs.asdict(found))
        self._before = found
        live.active.listed = found.listed
        live.symbols.relisted()
        log.info("symbol_list", reason="DAILY", entered=found.entered, left=found.left, count=len(found.listed))
        if found.entered or found.left:
            held = [name for name in found.left if self._roster.is_needed(name)]
            self._say("rules_changed", new_list_news(found, held), key=f"list {found.day_ms}")

    # --- those that enter ---------------------------------------------------------------------
    async def _join(self) -> None:
        """Every symbol that is needed and decides nothing yet; one that cannot be read does not hold up the others."""
        live, now_s = self._live, self._live.clock.monotonic()
        needed = sorted({*(live.active.listed or ()), *live.engine.active()} - self._roster.markets.keys())
        due = [name for name in needed if now_s >= self._join_s.get(name, now_s)]
        await self._take_on([name for name in due if name not in self._roster.workers])
        for name in due:
            if name not in self._roster.workers or not await self._bring(name):
                self._join_s[name] = now_s + JOIN_AGAIN_S

    async def _take_on(self, names: list[str]) -> None:
        if names and await self._live.symbols.admit(names):
            for name in names:
                if name in self._live.active.filters:
                    self._roster.take_on(name)

    async def _bring(self, name: str) -> bool:
        """Its candles are read before it decides for the first time, and it is looked at: what is there may be of
        somebody else. False: that did not work."""
        live, market, worker = self._live, self._roster.market(name), self._roster.workers[name]
        worker.request_check()
        rules_hash = live.active.rules.hash
        try:
            await market.restore(live.journal.store, live.rules_hash_of(name))
            taken = await market.catch_up(live.exchange, live.journal, live.clock.now_ms())
        except StoreError:
            raise
        except ExchangeError as error:
            live.on_trouble(name, error)
            return False
        except Exception as error:
            self._supervisor.caught("market", error, name)
            await worker.quarantine(error)
            return False
        try:
            async with asyncio.timeout(LOOK_WAIT_S):
                await worker.quiet.wait()
        except TimeoutError:
            return False
        async with self._schedule.turn:
            if live.active.rules.hash != rules_hash:  # other rules meanwhile: it would read as the old ones do
                return False
            self._roster.markets[name] = market
        self._schedule.tell_holes(taken, market)
        log.info("symbol_joined", symbol=name, reason="LISTED")
        return True


def _was_failing(store: Store) -> bool:
    """Whether the last word on a list was that there is none: a start does not tell it again."""
    made, failed = (queries.system_events(store, kind=kind, limit=1) for kind in (KIND, FAILED))
    return bool(failed) and (not made or failed[0].id > made[0].id)
