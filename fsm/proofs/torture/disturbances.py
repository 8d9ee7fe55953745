"""Does what the plan says to the world around the bot: files, commands, money, another hand, disk."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange.client_ids import parse
from exchange.errors import Refusal
from exchange.sim.core.venue import Venue
from exchange.types import (
    AlgoRequest,
    ConditionalType,
    OrderRequest,
    OrderType,
    Side,
    WorkingType,
)
from fsm.proofs.torture.bot_process import BUSY_MS, BotProcess
from fsm.proofs.torture.checkers import InvariantChecker, record_of
from fsm.proofs.torture.front import Front
from fsm.proofs.torture.plan import Disturbance, Plan, config_text, rules_text, wrong_text
from fsm.proofs.torture.wheel_catalog import line_of
from store.database import Store, open_store
from store.errors import StoreError
from store.inbox import Inbox

FULL_PAGES_LIFTED = 1_073_741_823
HAND = Decimal("0.3")


class Disturbances:
    """What other people and machines do. ``quiet_until_s`` says until when the database may fail."""

    def __init__(
        self,
        plan: Plan,
        base: dict[str, Any],
        venue: Venue,
        front: Front,
        bot: BotProcess,
        checker: InvariantChecker,
        monotonic: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._base = base
        self._venue = venue
        self._front = front
        self._bot = bot
        self._checker = checker
        self._monotonic = monotonic
        self._blocker: Store | None = None
        self._window: Store | None = None
        self._hands = 0
        self.ever_touched: set[str] = set()
        self.disk_until_s = float("-inf")
        self.disk_mended_s = float("-inf")
        self.telegram_until_ms = 0

    # --- files --------------------------------------------------------------------------------
    def write_files(self) -> None:
        _write(self._bot.config_path, config_text(self._base, self._plan))
        _write(self._bot.rules_path, rules_text())

    def edit(self, what: str, number: int) -> None:
        """A trader saves a file: changed sensibly, or in the middle of typing."""
        bot = self._bot
        self._checker.unreliable_until_s = max(self._checker.unreliable_until_s, self._monotonic() + 10.0)
        match what:
            case "rules":
                bot.rules_path.write_text(rules_text(number), encoding="utf-8")
            case "config":
                bot.config_path.write_text(config_text(self._base, self._plan, number), encoding="utf-8")
            case "wrong-rules":
                bot.rules_path.write_text(wrong_text(number), encoding="utf-8")
            case "wrong-config":
                bot.config_path.write_text(wrong_text(number), encoding="utf-8")

    # --- commands -----------------------------------------------------------------------------
    def command(self, kind: str, symbol: str) -> None:
        self._post([(kind, symbol)])

    def act(self, what: str, symbol: str) -> None:
        """Something of the open trade is changed through the bot, by what is known of it now."""
        daemon = self._bot.daemon
        trade = None if daemon is None else record_of(daemon.live, symbol).trade
        self._post([(line_of(what, trade), symbol)])

    def _post(self, commands: list[tuple[str, str]]) -> None:
        """From another process, as the window does; a database that is locked refuses them."""
        if not commands or not self._bot.db.exists():
            return
        try:
            if self._window is None:
                self._window = open_store(self._bot.db, mode="post", busy_ms=BUSY_MS)
            for kind, symbol in commands:
                Inbox(self._window).post(kind, symbol or None, "web", self._venue.now_ms)
        except StoreError:
            return

    def round(self) -> None:
        """The operator looks in: files are mended, what was taken over is closed, and whatever stands still goes on."""
        bot = self._bot
        self.write_files()
        for symbol in list(self._checker.taken_over):
            self.hand("close", symbol)
        if bot.daemon is None or not bot.is_alive:
            return
        engine = bot.daemon.live.engine
        standing = [r.symbol for r in engine.machines.records() if r.halt or r.paused or r.quarantine]
        everybody = [""] if engine.account.halt or engine.account.paused else []
        self._post([("resume", symbol) for symbol in (*everybody, *standing)])

    # --- money --------------------------------------------------------------------------------
    def money(self, what: str, amount: float, shown_after_s: float = 0.0) -> None:
        later_ms = int(shown_after_s * 1000)
        try:
            if what == "deposit":
                self._venue.deposit(Decimal(int(amount)), shown_after_ms=later_ms)
            else:
                self._venue.withdraw(Decimal(int(amount)), shown_after_ms=later_ms)
        except Refusal:
            return
        finally:
            self._front.drain()

    # --- another hand on the same account -----------------------------------------------------
    def hand(self, what: str, symbol: str) -> None:
        held = self._checker.quantity(symbol)
        if (what in ("close", "reduce", "add", "cancel-stop", "cancel-targets")) and held == 0:
            return
        if what == "open" and held != 0:
            return
        if what not in ("cancel-stop", "cancel-targets"):
            self._checker.touched.add(symbol)
            self.ever_touched.add(symbol)
        try:
            self._by_hand(what, symbol, held)
        except Refusal:
            return
        finally:
            self._front.drain()
        self._bot.nudge(symbol)

    def _by_hand(self, what: str, symbol: str, held: Decimal) -> None:
        against = Side.SELL if held > 0 else Side.BUY
        match what:
            case "close":
                self._market(symbol, against, abs(held), reduce_only=True)
            case "reduce":
                self._market(symbol, against, abs(held) * HAND, reduce_only=True)
            case "add":
                self._market(symbol, against.opposite, abs(held) * HAND)
            case "open":
                self._market(symbol, Side.BUY, Decimal(200) / self._venue.state.quotes[symbol].last)
            case "order":
                self._foreign_stop(symbol, held)
            case "cancel-stop" | "cancel-targets":
                wanted = ConditionalType.STOP_MARKET if what == "cancel-stop" else ConditionalType.TAKE_PROFIT_MARKET
                for algo in self._venue.state.algos.open(symbol):
                    if algo.type is wanted:
                        self._venue.cancel_algo(algo_id=algo.algo_id)

    def _market(self, symbol: str, side: Side, quantity: Decimal, *, reduce_only: bool = False) -> None:
        """In as many orders as the largest lot asks for; what is less than the smallest is ordered as that."""
        filters = self._venue.state.filters[symbol]
        floored = filters.floor_quantity(quantity, market=True)
        left = floored or filters.market_quantity_min
        while left > 0:
            self._hands += 1
            request = OrderRequest(
                symbol=symbol,
                side=side,
                type=OrderType.MARKET,
                quantity=min(left, filters.market_quantity_max),
                client_id=f"hand-{self._hands}",
                reduce_only=reduce_only,
            )
            self._venue.place_order(request)
            left -= request.quantity

    def _foreign_stop(self, symbol: str, held: Decimal) -> None:
        """A stop of somebody else's, with closePosition where there is a position."""
        last, filters = self._venue.state.quotes[symbol].last, self._venue.state.filters[symbol]
        self._hands += 1
        far = last * (Decimal("0.8") if held >= 0 else Decimal("1.2"))
        request = AlgoRequest(
            symbol=symbol,
            side=Side.SELL if held >= 0 else Side.BUY,
            type=ConditionalType.STOP_MARKET,
            trigger_price=far // filters.tick_size * filters.tick_size,
            working_type=WorkingType.MARK_PRICE,
            client_id=f"hand-{self._hands}",
            close_position=held != 0,
            reduce_only=held == 0,
            quantity=None if held != 0 else filters.market_quantity_min,
        )
        self._venue.place_algo(request)

    def tidy_up(self) -> None:
        """The person takes back what is still there of what was done by hand."""
        state = self._venue.state
        for symbol in self._plan.symbols:
            for algo in state.algos.open(symbol):
                if parse(algo.client_id) is None:
                    self._venue.cancel_algo(algo_id=algo.algo_id)
            for order in state.orders.open(symbol):
                if parse(order.client_id) is None:
                    self._venue.cancel_order(symbol, order_id=order.order_id)
            held = self._checker.quantity(symbol)
            if held and symbol in self._checker.touched and not self._is_traded(symbol):
                whole = self._venue.state.filters[symbol].covering_quantity(abs(held))  # lots may be coarser by now
                self._market(symbol, Side.SELL if held > 0 else Side.BUY, whole, reduce_only=True)
        self._front.drain()

    def _is_traded(self, symbol: str) -> bool:
        daemon = self._bot.daemon
        return daemon is not None and record_of(daemon.live, symbol).trade is not None

    # --- disk, messages ----------------------------------------------------------------------
    def disk(self, what: str, seconds: float) -> None:
        """Real errors of SQLite: no page more, or somebody else's transaction that does not end."""
        store = self._bot.store
        if store is None or self._blocker is not None:
            return
        self.disk_until_s = self._monotonic() + seconds
        if what == "full":
            connection = store.connection
            connection.pragma("max_page_count", connection.pragma("page_count"))
            return
        self._blocker = open_store(self._bot.db, mode="write", busy_ms=BUSY_MS)
        try:
            self._blocker.connection.execute("BEGIN IMMEDIATE")
        except Exception:
            self.mend_disk()

    def mend_disk(self) -> None:
        self.disk_until_s = min(self.disk_until_s, self._monotonic())
        if self._blocker is not None:
            self._blocker.close()
            self._blocker = None
        if self._bot.store is not None:
            self._bot.store.connection.pragma("max_page_count", FULL_PAGES_LIFTED)

    def close(self) -> None:
        """Leave nothing open."""
        self.mend_disk()
        if self._window is not None:
            self._window.close()
            self._window = None

    def telegram(self, what: Disturbance) -> None:
        self._bot.trouble = what.what
        self.telegram_until_ms = self._venue.now_ms + int(what.seconds * 1000)
        self._tell()

    def passed(self) -> None:
        """End what is over by now."""
        now_ms = self._venue.now_ms
        if self.disk_until_s > float("-inf") and self._monotonic() >= self.disk_until_s:
            self.mend_disk()
            self.disk_mended_s = self._monotonic()
            self._checker.unreliable_until_s = max(self._checker.unreliable_until_s, self._monotonic() + 5.0)
            self.disk_until_s = float("-inf")
        if self._bot.trouble and now_ms >= self.telegram_until_ms:
            self._bot.trouble = ""
            self._tell()

    @property
    def disk_is_failing(self) -> bool:
        return self.disk_until_s > float("-inf")

    def _tell(self) -> None:
        if self._bot.messenger is not None:
            self._bot.messenger.trouble = self._bot.trouble


def _write(path: Path, text: str) -> None:
    """Save it, unless that is what stands there already."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
