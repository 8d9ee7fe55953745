"""What the exchange says of its symbols: read at the start, daily, before entries and after refusals; kept when it says
nothing any more.

Entries need rules that were read lately. What is open needs none: the last known ones serve its stops and closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
import structlog

from exchange.errors import ExchangeError
from exchange.filters import UNKNOWN, SymbolFilters, unknown_filters
from exchange.port import Exchange
from exchange.refusals import RefusalReason
from exchange.types import Bracket
from fsm.core.model.decision_context import EDITION
from fsm.journal.writer import JournalWriter
from fsm.live.context import entry_blocks as blocks
from fsm.live.context.active_settings import ActiveSettings
from fsm.live.context.clock import Clock
from fsm.live.context.entry_blocks import EntryBlocks
from fsm.live.operator.wording import usdt
from store import queries
from store.database import Store

log = structlog.get_logger("fsm.symbols")

STALE = frozenset(
    {
        RefusalReason.TOO_PRECISE,
        RefusalReason.TOO_LARGE,
        RefusalReason.PRICE_TOO_LOW,
        RefusalReason.OFF_TICK,
        RefusalReason.OFF_STEP,
        RefusalReason.WORTH_TOO_LITTLE,
        RefusalReason.NOT_TRADING,
        RefusalReason.ABOVE_LEVERAGE,
    }
)
"""Refusals that say: the rules of this symbol are not as you think."""

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
TRIES_MAX = 6
"""So many tries in vain lie less than an hour apart each."""

STALE_MS = DAY_MS + HOUR_MS
"""Rules that could not be read again for so long are no base for an entry."""

CHECK_S = 30.0
RENEW_WAIT_S = 1.0
"""So long what comes after a refusal waits for new rules: a stop has a deadline."""

RENEW_EVERY_S = 2.0
MARGIN_ASSET = "USDT"
STORED_MAX = 20
KIND = "SYMBOL_RULES"

Tell = Callable[[str, str], None]
"""Told of (sentence, key)."""


@dataclass(slots=True)
class World:
    """Rules of symbols by name. ``unlisted`` are those that the exchange did not tell (legibly) at the last reading,
    ``unbracketed`` those whose leverage table was asked for in vain; ``asked`` were asked for it."""

    filters: dict[str, SymbolFilters] = field(default_factory=dict)
    brackets: dict[str, tuple[Bracket, ...]] = field(default_factory=dict)
    unlisted: set[str] = field(default_factory=set)
    unbracketed: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)


class _Stored(msgspec.Struct, frozen=True):
    filters: dict[str, SymbolFilters] = {}
    brackets: dict[str, tuple[Bracket, ...]] = {}


def last_known(store: Store) -> World:
    """The newest rules of every symbol that earlier runs knew."""
    found = World()
    for kind in (KIND, "START"):
        for row in queries.system_events(store, kind=kind, limit=STORED_MAX):
            stored = msgspec.json.decode(row.facts_json, type=_Stored)
            for name, filters in stored.filters.items():
                if filters.contract_type != UNKNOWN:
                    found.filters.setdefault(name, filters)
            for name, brackets in stored.brackets.items():
                if brackets:
                    found.brackets.setdefault(name, brackets)
    return found


async def read_world(exchange: Exchange, symbols: Iterable[str], known: World, asked: Iterable[str]) -> World:
    """The filters of all these symbols, which come in one answer, and the brackets of those ``asked`` for. Where the
    exchange says nothing of a symbol, what was known of it stays. Raises ExchangeError when it says nothing at all."""
    wanted = list(symbols)
    everything = await exchange.filters()
    listed = [name for name in asked if name in everything]
    told = await asyncio.gather(*(exchange.brackets(name) for name in listed), return_exceptions=True)
    brackets: dict[str, tuple[Bracket, ...]] = {}
    for name, answer in zip(listed, told, strict=True):
        if isinstance(answer, ExchangeError):
            log.warning("brackets_unknown", symbol=name, reason=type(answer).__name__, error=str(answer))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            brackets[name] = answer
    return World(
        filters={name: everything.get(name) or known.filters.get(name) or unknown_filters(name) for name in wanted},
        brackets={name: brackets.get(name) or known.brackets.get(name, ()) for name in wanted},
        unlisted=set(wanted) - set(everything),
        unbracketed=set(asked) - set(brackets),
        asked=set(asked),
    )


def unread_world(symbols: Iterable[str], known: World) -> World:
    """Where the exchange does not answer and something is open: what was known, and nothing is entered."""
    wanted = list(symbols)
    return World(
        filters={name: known.filters.get(name) or unknown_filters(name) for name in wanted},
        brackets={name: known.brackets.get(name, ()) for name in wanted},
        unlisted=set(wanted),
        unbracketed=set(wanted),
        asked=set(wanted),
    )


class SymbolCatalog:
    """Keeps the rules of symbols right while running, and blocks entries where they are not known."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        clock: Clock,
        journal: JournalWriter,
        active: ActiveSettings,
        blocks: EntryBlocks,
        on_trouble: Callable[[str, Exception], None],
        tell: Tell,
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._journal = journal
        self._active = active
        self._blocks = blocks
        self._on_trouble = on_trouble
        self._tell = tell
        self._first_run_id = journal.journal.run_id
        self._changes = 0
        self._asked_ms: dict[str, int] = {}
        self._missing: dict[str, int] = {}
        self._renewed_s = float("-inf")
        self._reading: asyncio.Task[bool] | None = None

    def begin(self, world: World) -> None:
        """What the start read, which is in force already."""
        if world.unlisted < set(world.filters):  # else it did not answer at all
            self._heard(world)
        self._remark(world)

    def _heard(self, world: World) -> None:
        self._asked_ms.update(dict.fromkeys(world.asked, self._clock.now_ms()))
        missing = world.unlisted | world.unbracketed
        for name in (world.asked | missing) & self._active.filters.keys():
            tries = self._missing.pop(name, None)
            if name in missing:
                self._missing[name] = 0 if tries is None else min(tries + (name in world.asked), TRIES_MAX)

    async def run(self) -> None:
        """Read again what is a day old, and sooner what could not be read. Nothing is read once this has ended."""
        try:
            await self._keep_fresh()
        finally:
            if self._reading is not None:
                self._reading.cancel()

    async def _keep_fresh(self) -> None:
        while True:
            await self._clock.sleep(CHECK_S)
            now_ms = self._clock.now_ms()
            due = [name for name in self._active.filters if self._is_due(name, now_ms)]
            if due:
                await self._try_reading(due)
            stale = {name for name, at_ms in self._asked_ms.items() if now_ms - at_ms >= STALE_MS}
            self._block(blocks.RULES_STALE, {name: "" if name in stale else None for name in self._active.filters})

    def _is_due(self, name: str, now_ms: int) -> bool:
        """A day old; where something was missing a minute, twice as long after each try in vain, at most an hour."""
        age_ms = now_ms - self._asked_ms.get(name, now_ms - DAY_MS)
        tries = self._missing.get(name)
        return age_ms >= (DAY_MS if tries is None else min(MINUTE_MS << tries, HOUR_MS))

    async def before_entry(self, symbol: str) -> str:
        """Rules that are older than an hour are read again. What forbids the entry that was planned; empty: nothing."""
        if self._clock.now_ms() - self._asked_ms.get(symbol, -HOUR_MS) < HOUR_MS:
            return self._blocks.of(symbol)
        before = self._active.filters[symbol], self._active.brackets[symbol]
        if not await self._try_reading([symbol]):
            return blocks.RULES_STALE
        after = self._active.filters[symbol], self._active.brackets[symbol]
        return self._blocks.of(symbol) or ("" if before == after else blocks.RULES_CHANGED)

    async def after_refusal(self, symbol: str, refused_for: RefusalReason) -> None:
        """The exchange's rules may have changed under us: read them at once, and do not keep a stop waiting for it."""
        if refused_for not in STALE:
            return
        if self._reading is None or self._reading.done():
            if self._clock.monotonic() - self._renewed_s < RENEW_EVERY_S:
                return
            self._renewed_s = self._clock.monotonic()
            log.warning("symbol_rules_doubted", symbol=symbol, reason=refused_for.value)
            self._reading = asyncio.create_task(self._try_reading([symbol]))
        await asyncio.wait({self._reading}, timeout=RENEW_WAIT_S)
        if self._reading.done() and not self._reading.cancelled():
            self._reading.result()  # a journal that cannot be written is no secret

    async def _try_reading(self, symbols: Iterable[str]) -> bool:
        """Filters of all, brackets of these. False when the exchange did not answer."""
        asked = [name for name in symbols if name in self._active.filters]
        known = World(filters=dict(self._active.filters), brackets=dict(self._active.brackets))
        try:
            world = await read_world(self._exchange, known.filters, known, asked)
        except ExchangeError as error:
            self._on_trouble("", error)
            return False
        self._take(world)
        return True

    async def admit(self, symbols: Iterable[str]) -> bool:
        """Symbols that are new to this run. False when the exchange did not answer; what it does not list stays out."""
        asked = [name for name in symbols if name not in self._active.filters]
        known = World(filters=dict(self._active.filters), brackets=dict(self._active.brackets))
        try:
            world = await read_world(self._exchange, [*known.filters, *asked], known, asked)
        except ExchangeError as error:
            self._on_trouble("", error)
            return False
        for name in world.unlisted.intersection(asked):
            del world.filters[name], world.brackets[name]
            world.asked.discard(name)
        self._take(world)
        return True

    def _take(self, world: World) -> None:
        """Written down, then in force: decisions after this row were taken with it (replay)."""
        now_ms, active = self._clock.now_ms(), self._active
        filters, brackets = {**active.filters, **world.filters}, {**active.brackets, **world.brackets}
        added = [name for name in world.filters if name not in active.filters]
        changed = [
            name
            for name in world.filters
            if name not in added and (filters[name], brackets[name]) != (active.filters[name], active.brackets[name])
        ]
        if changed or added:
            self._changes += 1
            self._journal.journal.run_id = f"{self._first_run_id}.{self._changes}"
            self._journal.note(
                now_ms,
                KIND,
                "CHANGED" if changed else "ADDED",
                filters=filters,
                brackets=brackets,
                changed=[*changed, *added],
                edition=EDITION,
            )
            active.learn(filters, brackets)
        if changed:
            text = "; ".join(_told(name, filters[name]) for name in changed)
            log.warning("symbol_rules_changed", reason="CHANGED", symbols=changed)
            self._tell(f"The exchange changed its rules. {text}.", f"rules of symbols {now_ms}")
        self._heard(world)
        self._remark(world)

    def _remark(self, world: World) -> None:
        """Block entries where something is missing, and say so once."""
        rules = world.filters
        unread = {name for name, filters in rules.items() if filters.contract_type == UNKNOWN}
        unbracketed = world.unbracketed - world.unlisted
        self.relisted()
        self._block(blocks.SYMBOL_UNKNOWN, {name: "" if name in world.unlisted else None for name in rules})
        self._block(blocks.BRACKETS_UNKNOWN, {name: "" if name in unbracketed else None for name in world.asked})
        self._block(blocks.SYMBOL_NOT_TRADING, {name: _not_trading(filters) for name, filters in rules.items()})
        assets = {name: None if name in unread else filters.margin_asset for name, filters in rules.items()}
        foreign = {name: None if asset == MARGIN_ASSET else asset for name, asset in assets.items()}
        self._block(blocks.MARGIN_ASSET, foreign)

    def relisted(self) -> None:
        """Nothing is entered in what config.yaml does not name, or its list does not have; the news of a list are told
        by whoever made it."""
        chosen, is_list = set(self._active.chosen), self._active.listed is not None
        for name in self._active.filters if is_list else ():
            if name in chosen:
                self._blocks.clear(name, blocks.SYMBOL_NOT_LISTED)
            else:
                self._blocks.set(name, blocks.SYMBOL_NOT_LISTED)
        if not is_list:
            disabled = {name: None if name in chosen else "" for name in self._active.filters}
            self._block(blocks.SYMBOL_DISABLED, disabled)

    def _block(self, reason: str, details: Mapping[str, str | None]) -> None:
        """Each symbol's detail of this reason, None: it does not hold there."""
        news: dict[str, list[str]] = {}
        for symbol, detail in details.items():
            if detail is None:
                self._blocks.clear(symbol, reason)
            elif self._blocks.set(symbol, reason, detail):
                news.setdefault(detail, []).append(symbol)
        for detail, symbols in news.items():
            log.warning("entries_blocked", symbols=symbols, reason=reason, detail=detail)
            text = f"{', '.join(symbols)}: {SENTENCES[reason].format(detail=detail)}"
            self._tell(text, f"{reason} {detail} {self._clock.now_ms()} {symbols[0]}")


def _not_trading(filters: SymbolFilters) -> str | None:
    if filters.contract_type not in ("PERPETUAL", UNKNOWN):
        return filters.contract_type
    return None if filters.status == "TRADING" else filters.status


SENTENCES: Mapping[str, str] = {
    blocks.SYMBOL_DISABLED: "not among the enabled symbols of config.yaml: nothing is entered. The trade that is open "
    "there is managed to its end.",
    blocks.SYMBOL_UNKNOWN: "the exchange does not list its rules, or illegibly: nothing is entered until it does, "
    "which is asked again, at least every hour. What is open there is managed with those known last.",
    blocks.SYMBOL_NOT_TRADING: "the exchange does not trade it now ({detail}): nothing is entered until it does. "
    "What is open there is managed.",
    blocks.MARGIN_ASSET: "its margin is {detail} and not USDT, in which this bot counts: nothing is entered. "
    "Disable it in config.yaml.",
    blocks.BRACKETS_UNKNOWN: "its leverage table cannot be read: nothing is entered until it can, which is tried "
    "again, at least every hour. What is open there is managed.",
    blocks.RULES_STALE: "its rules could not be read for a day: nothing is entered until they can. "
    "What is open is managed.",
}


def _told(name: str, filters: SymbolFilters) -> str:
    return (
        f"{name}: price step {filters.tick_size:f}, quantity step {filters.step_size:f}, market orders up to "
        f"{filters.market_quantity_max:f}, orders of at least {usdt(filters.notional_min)}, funding every "
        f"{filters.funding_interval_hours} h, status {filters.status}"
    )
