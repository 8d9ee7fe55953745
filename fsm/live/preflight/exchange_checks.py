"""Examines the exchange and the account on it before a start: can the bot trade there, and is it alone?

It changes nothing but one far stop that is placed on a flat symbol, read back and cancelled at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Protocol

from exchange.client_ids import is_ours, parse
from exchange.errors import ExchangeError, Refusal
from exchange.filters import SymbolFilters
from exchange.port import Exchange
from exchange.refusals import RefusalReason
from exchange.types import AlgoOrder, KeyPermissions, MarginType, Order, Position
from fsm.config import Settings
from fsm.core.model.policy import ListRule
from fsm.core.symbol_list import NoList, candidates, made
from fsm.live.context.clock import Clock
from fsm.live.context.symbol_catalog import MARGIN_ASSET
from fsm.live.preflight.findings import Finding, Verdict, fail, ok, skip, warn
from fsm.live.preflight.host_checks import Stored
from fsm.live.trading.selftest import Probe

SKEW_MS_WARN = 1_000
"""Real milliseconds: requests stamped 1 s ahead of the exchange are refused (checked 2026-11). The bot stamps by the
exchange's clock and decides by it, so a wrong one here is worth a word and never keeps it from starting (R76)."""

BUDGET_PCT_WARN = 50
NO_DATABASE_ID = "00d0c702"
"""Stands in the client id of the test order while there is no database to take one from."""

REST = (
    "key permissions", "trading", "position mode", "assets mode", "equity", "symbols", "positions and orders",
    "protection", "fees", "rate limit",
)  # fmt: skip

_KEY_ADVICE = {
    RefusalReason.KEY_MALFORMED: "the key is malformed: copy BINANCE_API_KEY again",
    RefusalReason.KEY_NOT_ACCEPTED: (
        "the key is unknown there: is it of this environment, allowed from this address, with futures enabled?"
    ),
    RefusalReason.BAD_SIGNATURE: "the secret does not belong to the key: copy BINANCE_API_SECRET again",
    RefusalReason.KEY_LOCKED: "the key is locked: unlock it or make a new one at the exchange",
    RefusalReason.CLOCK_OFF: "the clock of this machine is off, see above",
}
_PLACING_ADVICE = {
    RefusalReason.KEY_NOT_ACCEPTED: "the key may read and not trade: enable futures trading for it",
    RefusalReason.NO_ORDERS: "the account may not place orders: ask the exchange why",
    RefusalReason.WRONG_MODE: "set one-way position mode, see above",
    RefusalReason.WRONG_ROUTE: "the exchange wants conditional orders elsewhere: this version of the bot is too old",
}


class Examined(Exchange, Protocol):
    """What an examination asks beyond the port."""

    @property
    def clock_offset_ms(self) -> int: ...
    async def key_permissions(self) -> KeyPermissions | None: ...
    async def fee_burn(self) -> bool: ...
    def limits_used(self) -> list[tuple[str, int, int, int]]: ...


class ExchangeChecks:
    """``speed`` is how many ms of the exchange's clock pass in a real one; ``stored`` tells what there is ours."""

    def __init__(
        self, exchange: Examined, *, settings: Settings, clock: Clock, speed: float, stored: Stored, in_use: bool
    ) -> None:
        self._exchange = exchange
        self._settings = settings
        self._clock = clock
        self._speed = max(speed, 1.0)
        self._stored = stored
        self._in_use = in_use
        self._filters: Mapping[str, SymbolFilters] = {}
        self._busy: set[str] = set()
        self._symbols_wanted = settings.enabled_symbols or stored.listed

    async def run(self) -> list[Finding]:
        """Every check in its order; what makes no sense after a failure is skipped."""
        findings: list[Finding] = []
        async for found in self._checks():
            findings.append(found)
        return findings

    async def _checks(self) -> AsyncIterator[Finding]:
        for check in (self._reachable, self._key):
            found = await check()
            yield found
            if found.verdict is Verdict.FAIL:
                for name in REST:
                    yield skip(name, f"not asked, since {found.check} failed")
                return
            if check == self._reachable:
                yield self._skew()
        yield await self._permissions()
        for checks in (self._modes, self._equity, self._symbols, self._strangers, self._protection, self._fees):
            try:
                async for found in checks():
                    yield found
            except ExchangeError as error:
                name = checks.__name__.strip("_")
                yield fail(name, f"{type(error).__name__}: {error}", "try again; if it stays, ask the exchange")
        yield self._budget()

    # --- reaching it --------------------------------------------------------------------------
    async def _reachable(self) -> Finding:
        began_s = self._clock.monotonic()
        try:
            await self._exchange.server_time_ms()
        except ExchangeError as error:
            advice = "look at the network, a firewall, or the exchange's status page"
            return fail("reachable", f"{type(error).__name__}: {error}", advice)
        took_ms = (self._clock.monotonic() - began_s) * 1000
        return ok("reachable", f"answered in {took_ms:.0f} ms")

    def _skew(self) -> Finding:
        off_ms = round(self._exchange.clock_offset_ms / self._speed)
        seen = f"{abs(off_ms):,} ms {'behind' if off_ms > 0 else 'ahead of'} the exchange's, measured now"
        advice = "the bot goes by the exchange's; set this machine's clock all the same, and keep it set (NTP)"
        return warn("clock", seen, advice) if abs(off_ms) >= SKEW_MS_WARN else ok("clock", seen)

    async def _key(self) -> Finding:
        try:
            await self._exchange.account_modes()
        except Refusal as refusal:
            return fail("key", str(refusal), _KEY_ADVICE.get(refusal.reason, "look the code up in the exchange's list"))
        except ExchangeError as error:
            return fail("key", f"{type(error).__name__}: {error}", "try again in a minute")
        return ok("key", "known, and the signature is right")

    async def _permissions(self) -> Finding:
        """A key that cannot carry money away can only lose it by trading; one bound to this address, by nobody else."""
        name = "key permissions"
        try:
            found = await self._exchange.key_permissions()
        except Refusal as refusal:
            return skip(name, f"the exchange does not tell ({refusal})")
        except ExchangeError as error:
            advice = "look at the exchange's page: no withdrawals, and only from this machine's address"
            return warn(name, f"could not be asked: {type(error).__name__}", advice)
        if found is None:
            return skip(name, "the demo exchange does not tell")
        if found.withdraws:
            advice = "take that right away from it at the exchange, or make a new key: a bot never needs it"
            return fail(name, "the key may withdraw", advice)
        if not found.trades_futures:
            return fail(name, "the key may not trade futures", "enable futures trading for it at the exchange")
        if not found.restricted:
            advice = "restrict it to this machine's address at the exchange; one that is not, ends after 90 days"
            return warn(name, "no withdrawals, but usable from every address", advice)
        return ok(name, "futures, no withdrawals, from named addresses alone")

    # --- the account --------------------------------------------------------------------------
    async def _modes(self) -> AsyncIterator[Finding]:
        found = await self._exchange.account_modes()
        if found.can_trade:
            yield ok("trading", "the account may trade")
        else:
            yield fail("trading", "the account may not trade", "the exchange has locked it: ask there why")
        if found.hedge:
            advice = "close everything, then set one-way mode in the exchange's preferences"
            yield fail("position mode", "hedge", advice)
        else:
            yield ok("position mode", "one-way")
        if found.multi_assets:
            advice = "set single-asset mode: isolated margin does not exist in the other"
            yield fail("assets mode", "multi-assets", advice)
        elif found.credits:
            advice = "this bot counts in USDT: leave the credits trading mode, or trade from another account"
            yield fail("assets mode", "credits (BNFCR)", advice)
        elif found.portfolio_margin:
            yield fail("assets mode", "portfolio margin", "leave portfolio margin: it is not supported here")
        else:
            yield ok("assets mode", "single-asset")

    async def _equity(self) -> AsyncIterator[Finding]:
        account = await self._exchange.account()
        seen = f"{account.equity:,.2f} USDT, {account.available_balance:,.2f} available"
        if account.equity > 0:
            yield ok("equity", seen)
        else:
            yield warn("equity", seen, "there is nothing to trade with: transfer USDT to the futures wallet")

    async def _symbols(self) -> AsyncIterator[Finding]:
        self._filters = await self._exchange.filters()
        if self._settings.list_rule is not None:
            yield await self._symbol_list(self._settings.list_rule)
        for symbol in self._symbols_wanted:
            try:
                yield await self._symbol(symbol)
            except ExchangeError as error:
                yield fail(symbol, f"{type(error).__name__}: {error}", "try again; or disable it in config.yaml")

    async def _symbol_list(self, rule: ListRule) -> Finding:
        """What the rule would choose now. What is in force is examined beyond that, where there is a list in force."""
        try:
            listed = made(rule, candidates(await self._exchange.day_volumes(), self._filters))
        except (ExchangeError, NoList) as error:
            return warn("symbol list", str(error), "the list before stays in force; a first start waits for one")
        self._symbols_wanted = self._symbols_wanted or listed
        return ok("symbol list", f"now it would be {', '.join(listed)}")

    async def _symbol(self, symbol: str) -> Finding:
        filters = self._filters.get(symbol)
        if filters is None:
            advice = "disable it in config.yaml, or correct its name: without filters no order leaves"
            return fail(symbol, "the exchange has no usable filters of it", advice)
        if filters.margin_asset != MARGIN_ASSET:
            advice = f"disable it in config.yaml: this bot counts in {MARGIN_ASSET}, and would size it wrongly"
            return fail(symbol, f"its margin is {filters.margin_asset}", advice)
        if not filters.tradable:
            return fail(symbol, f"{filters.contract_type} is {filters.status}", "disable it in config.yaml")
        brackets = await self._exchange.brackets(symbol)
        most = max((bracket.initial_leverage for bracket in brackets), default=0)
        wanted = self._settings.leverage_of(symbol)
        if most < wanted:
            advice = f"lower its leverage in config.yaml to {most} or less"
            return fail(symbol, f"leverage {wanted} is wanted, the exchange allows {most}", advice)
        now = await self._exchange.symbol_config(symbol)
        seen = f"tick {filters.tick_size:f}, step {filters.step_size:f}, at least {filters.notional_min:f} USDT"
        is_set = now.margin_type is MarginType(self._settings.account.margin_type) and now.leverage == wanted
        then = "" if is_set else f" → {self._settings.account.margin_type.value} {wanted}x before its first entry"
        return ok(symbol, f"{seen}; {now.margin_type.value} {now.leverage}x{then}")

    # --- who else is here ---------------------------------------------------------------------
    async def _strangers(self) -> AsyncIterator[Finding]:
        positions = [position for position in await self._exchange.positions() if position.quantity]
        orders: list[Order | AlgoOrder] = [*await self._exchange.open_orders(), *await self._exchange.open_algos()]
        self._busy = {position.symbol for position in positions} | {order.symbol for order in orders}
        foreign = self._foreign(positions, orders)
        ours = len(positions) + len(orders) - sum(map(len, foreign.values()))
        enabled = sorted(set(foreign) & set(self._symbols_wanted))
        told = "; ".join(f"{symbol}: {', '.join(what)}" for symbol, what in sorted(foreign.items()))
        if not foreign:
            yield ok("positions and orders", f"{ours} of ours, none that are not")
        elif enabled:
            advice = f"close and cancel them, or disable {', '.join(enabled)}: nothing is entered beside them"
            yield fail("positions and orders", told, advice)
        else:
            yield warn("positions and orders", told, "they are left alone, and count for equity and margin")

    def _foreign(self, positions: list[Position], orders: list[Order | AlgoOrder]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for position in positions:
            if position.symbol not in self._stored.symbols_held:
                found.setdefault(position.symbol, []).append(f"position of {position.quantity:f}")
        for order in orders:
            if is_ours(order.client_id, self._stored.database_id or NO_DATABASE_ID):
                continue
            copy = " of another copy of this bot" if parse(order.client_id) else ""
            found.setdefault(order.symbol, []).append(f"order {order.client_id}{copy}")
        return found

    # --- stops, fees, limits ------------------------------------------------------------------
    async def _protection(self) -> AsyncIterator[Finding]:
        if self._in_use:
            yield skip("protection", "not tried beside a running bot")
            return
        flat = [name for name in self._symbols_wanted if name in self._filters and name not in self._busy]
        symbol = next((name for name in flat if self._filters[name].tradable), None)
        if symbol is None:
            yield skip("protection", "not tried: no enabled symbol is flat")
            return
        readiness, detail, refused_for = await Probe(
            exchange=self._exchange,
            clock=self._clock,
            filters=self._filters[symbol],
            working_type=self._settings.orders.working_type,
            database_id=self._stored.database_id or NO_DATABASE_ID,
        ).run()
        if readiness.is_enough:
            yield ok("protection", f"a far stop on {symbol}: {readiness.value} ({detail})")
            return
        advice = "without stops there are no entries: look the answer up"
        if refused_for is not None:
            advice = _PLACING_ADVICE.get(refused_for, advice)
        yield fail("protection", f"a far stop on {symbol}: {readiness.value} ({detail})", advice)

    async def _fees(self) -> AsyncIterator[Finding]:
        symbol = next((name for name in self._symbols_wanted if name in self._filters), None)
        if symbol is None:
            yield skip("fees", "no enabled symbol is known there")
            return
        try:
            _, taker = await self._exchange.commission_rates(symbol)
            in_bnb = await self._exchange.fee_burn()
        except Refusal as refusal:  # what is only compared keeps nobody from starting
            advice = "compare risk.taker_fee_pct with the fees on the exchange's page"
            yield warn("fees", f"the exchange does not tell ({refusal})", advice)
            return
        assumed_pct, taker_pct = self._settings.risk.taker_fee_pct, taker * 100
        how = "in BNB (converted in the books)" if in_bnb else "in USDT"
        seen = f"taker {_short(taker_pct)} % {how}, config.yaml assumes {_short(assumed_pct)} %"
        if taker_pct > assumed_pct:
            advice = (
                f"raise risk.taker_fee_pct to {_short(taker_pct)}: a trade at its stop would lose more than planned"
            )
            yield warn("fees", seen, advice)
        else:
            yield ok("fees", seen)

    def _budget(self) -> Finding:
        used = self._exchange.limits_used()
        told = ", ".join(
            f"{kind} {count} of {limit} in {window_ms // 1000} s" for kind, window_ms, count, limit in used
        )
        if any(count * 100 > limit * BUDGET_PCT_WARN for _, _, count, limit in used):
            return warn("rate limit", told, "something else uses this address or account a lot: give the bot its own")
        return ok("rate limit", told)


def _short(number: Decimal) -> str:
    return f"{number.normalize():f}"
