"""What reaches a repetition from outside of it: wishes, commands, money, other hands, and what may not be decided."""

from __future__ import annotations

from contextlib import suppress

from exchange.errors import Refusal
from exchange.sim.account_api import AccountApi
from exchange.sim.core.ledger import IncomeType
from exchange.types import OrderRequest, OrderType
from fsm.backtest.injecting import Act, Delayed, HandOrder, Injector, Unheard
from fsm.backtest.standing import Standing
from fsm.backtest.step_runner import InstantStepRunner
from fsm.core.engine import Engine
from fsm.core.model.decision import Rejected
from fsm.core.model.events import Commanded


class FromOutside:
    """Of an ordinary backtest, nothing."""

    def __init__(self, engine: Engine, account: AccountApi, injector: Injector, standing: Standing) -> None:
        self._engine = engine
        self._account = account
        self._injector = injector
        self._standing = standing
        self._orders = 0

    def come(self, now_ms: int) -> None:
        """What was wanted of the account by now, and what the bot's earlier trades have left."""
        for wish in self._injector.moments(now_ms):
            with suppress(Rejected):
                wish.put(self._engine, now_ms)
        self._standing.come(now_ms)

    def move_money(self, now_ms: int, *, decides: bool) -> bool:
        """What came or went since, and at a close what the wallet held; True where that changed it."""
        amount = self._injector.transferred(now_ms)
        if amount:
            self._account.venue.state.ledger.post(IncomeType.TRANSFER, amount, symbol="", at_ms=now_ms)
        return (decides and self._standing.settle(now_ms)) or bool(amount)

    def do(self, act: Act, runner: InstantStepRunner) -> None:
        """A command is refused as it would be live, where what it is about is not there."""
        if isinstance(act, Commanded):
            with suppress(Rejected):
                runner.run(self._engine.handle(act))
        elif isinstance(act, Delayed):
            runner.run(act.steps)
        elif isinstance(act, Unheard) or self._traded(act):
            runner.look(act.symbol)

    def _traded(self, act: HandOrder) -> bool:
        """Where a position is open: what another hand does elsewhere is no concern of the bot."""
        holding = self._account.venue.state.holding(act.symbol)
        if not holding.quantity:
            return False
        self._orders += 1
        order = OrderRequest(
            symbol=act.symbol,
            side=act.side,
            type=OrderType.MARKET,
            quantity=act.quantity,
            client_id=f"hand-{self._orders}",
            reduce_only=act.side is not holding.side,
        )
        try:
            self._account.venue.place_order(order)
        except Refusal:
            return False
        self._account.venue.drain()
        return True

    def is_passed_over(self, symbol: str, now_ms: int) -> bool:
        """Nothing is decided of it, or nothing may be entered."""
        if self._standing.is_busy(symbol) or self._injector.is_missed(symbol, now_ms):
            return True
        return self._injector.is_blocked(symbol, now_ms) and self._engine.record(symbol).trade is None
