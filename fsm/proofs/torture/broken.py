"""Deliberately broken shells that only torture can catch: faults with clocks and with money that bots have had."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from exchange.types import Account
from fsm.core.model.records import ZERO
from fsm.live.context import clock
from fsm.live.trading import wallet
from fsm.live.trading.wallet import Explanation
from fsm.proofs.testkit.breaking import BrokenEngine, Replaced
from fsm.proofs.testkit.broken_engines import VARIANTS


def _wall_clock_decides() -> list[Replaced]:
    """As version 0.1.0: whoever sets this machine's clock ends limits."""
    return [(clock.ExchangeClock, "now_ms", lambda self: self.hands.wall_ms())]


def _one_answer_is_believed() -> list[Replaced]:
    from exchange.server_time import ServerTime

    return [(ServerTime, "_is_doubtful", lambda self, found: False)]


def _late_transfer_is_a_loss() -> list[Replaced]:
    """As version 0.1.0: what the ledger does not show when the balance changes is profit or loss."""
    real = wallet.Wallet.explain

    async def instead(self: Any, account: Account) -> Explanation:
        found = await real(self, account)
        after = replace(found.after, wallet=account.wallet_balance, since_ms=None)
        return replace(found, after=after, unexplained=ZERO)

    return [(wallet.Wallet, "explain", instead)]


BROKEN: dict[str, BrokenEngine] = {
    variant.name: variant
    for variant in (
        BrokenEngine("wall-clock-decides", "time is this machine's, which anybody may set", _wall_clock_decides),
        BrokenEngine("one-answer-is-believed", "a single answer sets the exchange's clock", _one_answer_is_believed),
        BrokenEngine("late-transfer-is-a-loss", "a transfer that is shown late is a result", _late_transfer_is_a_loss),
    )
}
"""Every broken shell by its name."""

ALL = {**VARIANTS, **BROKEN}
"""What `torture --variant` knows."""
