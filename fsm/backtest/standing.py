"""Takes up, in a repetition of what a bot did, where the bot's earlier trades had left it, whatever they became here.

One trade that comes out otherwise leaves another wallet, another loss streak, and a symbol that is busy or free: then
everything after it would differ as well. Here the bot's own trades are no more than booked; what a later trade becomes,
the repetition decides by itself.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from msgspec.structs import replace

from exchange.sim.account_api import AccountApi
from exchange.sim.core.ledger import IncomeType
from fsm.backtest.injecting import Foreign, Injected, Past
from fsm.core import small_steps
from fsm.core.booking import after_booking
from fsm.core.engine import Engine
from fsm.core.limits import trade_booked
from fsm.core.model.decision_context import Commitment, commitment
from fsm.core.model.records import ZERO, State, SymbolRecord, Trade

Key = tuple[str, int, str]
RELEASED = "RELEASED"

ROUNDED_AWAY = Decimal("1e-7")
"""The exchange rounds the fee of each part that an order is filled in."""


class RepeatedEngine(Engine):
    """Engine of a run in which trades of the bot may be missing."""

    def tie_up(self, symbol: str, held: Commitment | None) -> None:
        """So much is open there that no trade here stands for, and counts in every cap; None: nothing."""
        self._foreign.pop(symbol, None)
        if held is not None:
            self._foreign[symbol] = held


class Standing:
    def __init__(self, engine: RepeatedEngine, account: AccountApi, booked: list[Trade], injected: Injected) -> None:
        """``booked`` are the trades of this run, which grow as it goes on."""
        self._engine = engine
        self._account = account
        self._booked = booked
        self._seen = 0
        self._wallets = injected.wallets
        self._foreign = deque(sorted(injected.foreign, key=lambda each: each.from_ms))
        self._occupied: dict[str, Foreign] = {}
        self._waiting: dict[str, deque[Past]] = {}
        for each in sorted(injected.past, key=lambda each: each.from_ms):
            self._waiting.setdefault(each.trade.symbol, deque()).append(each)
        self._keys = {_key(each.trade) for waiting in self._waiting.values() for each in waiting}
        self._over: set[Key] = set()
        self._results: dict[Key, Trade] = {}
        self._left: dict[str, SymbolRecord] = {}
        self._busy: set[str] = set()

    def come(self, now_ms: int) -> None:
        """Book what has ended by now, and let go of what the bot did not have when its next trade began."""
        self._others(now_ms)
        if not self._keys:
            return
        for symbol, waiting in self._waiting.items():
            while waiting and waiting[0].to_ms <= now_ms:
                self._ended(waiting.popleft(), now_ms)
            under_way = waiting[0] if waiting and waiting[0].from_ms <= now_ms else None
            self._take_up(symbol, under_way, now_ms)
        self._hear()

    def is_busy(self, symbol: str) -> bool:
        """The bot had a trade there that is missing here: nothing is decided."""
        if symbol in self._occupied:
            return self._engine.record(symbol).trade is None
        return symbol in self._busy

    def settle(self, now_ms: int) -> bool:
        """Put into the wallet what the bot's held at this close; True where that changed it."""
        wallet = self._wallets.get(now_ms)
        ledger = self._account.venue.state.ledger
        if wallet is None or wallet == ledger.wallet:
            return False
        ledger.post(IncomeType.REALIZED_PNL, wallet - ledger.wallet, symbol="", at_ms=now_ms)
        return True

    def _others(self, now_ms: int) -> None:
        """Where others hold something, the bot enters nothing; when that is gone, nothing is left of it here either."""
        for symbol in [symbol for symbol, each in self._occupied.items() if each.to_ms <= now_ms]:
            del self._occupied[symbol]
            if self._engine.record(symbol).trade is None:
                self._drop(symbol)
            self._engine.add(replace(self._engine.record(symbol), foreign=None, released=None, quarantine=None))
        while self._foreign and self._foreign[0].from_ms <= now_ms:
            each = self._foreign.popleft()
            if each.to_ms <= now_ms:
                continue
            self._occupied[each.symbol] = each
            record = self._engine.record(each.symbol)
            if each.held is not None and record.foreign is None:
                self._engine.add(replace(record, foreign=each.held))

    def _take_up(self, symbol: str, under_way: Past | None, now_ms: int) -> None:
        held = self._engine.record(symbol).trade
        if held is not None:
            is_another = under_way is not None and _key(held) != _key(under_way.trade)
            if is_another or _key(held) in self._over:
                self._drop(symbol)
                held = None
        elif symbol not in self._occupied and self._account.held(symbol):
            self._drop(symbol)  # a position that the operator took over, and that the bot has seen the end of
        is_missing = under_way is not None and under_way.from_ms < now_ms and held is None
        if is_missing:
            assert under_way is not None
            self._busy.add(symbol)
            record = replace(self._engine.record(symbol), trade=under_way.trade)
            self._engine.tie_up(symbol, commitment(record, self._engine.policy))
        elif symbol in self._busy:
            self._busy.discard(symbol)
            self._engine.tie_up(symbol, None)

    def _ended(self, past: Past, now_ms: int) -> None:
        """The symbol and the account are as after this end, whatever the trade became here."""
        trade, key = past.trade, _key(past.trade)
        symbol = trade.symbol
        self._over.add(key)
        self._hear()
        if trade.first_fill_ms is None or trade.exit_reason == RELEASED:
            return
        before = self._left.get(symbol, SymbolRecord(symbol=symbol))
        after = self._left[symbol] = after_booking(before, trade, past.to_ms, self._engine.context(symbol))
        mine = self._results.get(key)
        if mine is not None and mine.exit_reason == trade.exit_reason and abs(_net(mine) - _net(trade)) <= ROUNDED_AWAY:
            return
        if mine is not None:
            self._book(replace(mine, net_pnl=-_net(mine)), past.to_ms, counts=False)
        self._book(trade, past.to_ms, counts=mine is None)
        self._leave(symbol, after)

    def _hear(self) -> None:
        """What was booked here; a trade that the bot never had leaves nothing behind."""
        for trade in self._booked[self._seen :]:
            key = _key(trade)
            self._results[key] = trade
            if key not in self._keys and trade.first_fill_ms is not None:
                self._book(replace(trade, net_pnl=-_net(trade)), trade.closed_ms or 0, counts=False)
                self._leave(trade.symbol, self._left.get(trade.symbol, SymbolRecord(symbol=trade.symbol)))
        self._seen = len(self._booked)

    def _leave(self, symbol: str, left: SymbolRecord) -> None:
        record = self._engine.record(symbol)
        left = replace(record, loss_streak=left.loss_streak, cooldown_until_ms=left.cooldown_until_ms)
        self._engine.add(left)

    def _book(self, trade: Trade, at_ms: int, *, counts: bool) -> None:
        """In the loss limits, and where it ``counts``, of small steps."""
        engine = self._engine
        equity = engine.equity.settled if engine.equity else None
        kinds: tuple[str, ...] = ("TRADE_BOOKED",)
        account = trade_booked(engine.account, trade, equity)
        if counts:
            account, more = small_steps.counted(account, trade)
            kinds = (*more, *kinds)
        engine.change_account(at_ms, kinds, account)

    def _drop(self, symbol: str) -> None:
        """The bot did not have this trade by now: it is gone, and so is everything that rests for it."""
        venue, record = self._account.venue, self._engine.record(symbol)
        venue.cancel_all_orders(symbol)
        venue.cancel_all_algos(symbol)
        venue.state.holdings.pop(symbol, None)
        venue.drain()
        fills = venue.state.fills
        self._engine.add(
            replace(
                record,
                state=State.IDLE if record.halt is None else State.HALT,
                trade=None,
                tried=None,
                abandoned=None,
                last_fill_id=fills[-1].fill_id if fills else record.last_fill_id,
            )
        )


def _net(trade: Trade) -> Decimal:
    return trade.net_pnl or ZERO


def _key(trade: Trade) -> Key:
    return trade.symbol, trade.signal_candle_ms, trade.side.value
