"""How the account and its key are set up: the modes that its owner chose, and what the key may do."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from exchange.errors import Refusal
from exchange.sim.server.keys import Security
from exchange.sim.server.refusals import UNKNOWN_KEY


class Modes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Multi-assets mode is told and nothing trades in it here. In hedge mode what was open is the leg of its side: it
    can be closed and protected, and nothing is opened.

    ``can_trade`` False: the account is locked. ``key_trades`` False: the key may read only; ``key_withdraws``: it may
    carry money away; ``key_restricted`` False: it works from every address. ``bnb_price``: commission
    is paid in BNB at this many USDT; None pays it in USDT.
    """

    hedge: bool = False
    multi_assets: bool = False
    can_trade: bool = True
    key_trades: bool = True
    key_withdraws: bool = False
    key_restricted: bool = True
    bnb_price: Decimal | None = None

    def check(self, method: str, security: Security, *, places: bool) -> None:
        """Raises Refusal for a write that the key or the account has no right to (error catalogue, checked 2026-11)."""
        if method == "GET" or security is not Security.SIGNED:
            return
        if not self.key_trades:
            raise Refusal(UNKNOWN_KEY, "Invalid API-key, IP, or permissions for action.")
        if not self.can_trade and places:
            raise Refusal(-4088, "User can not place order currently.")
