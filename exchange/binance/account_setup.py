"""Makes margin type, leverage and position mode what they must be: read, and written only if different (R44)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from exchange.binance import codec_account, endpoints, fields
from exchange.binance.endpoints import Endpoint
from exchange.binance.http import Http
from exchange.binance.orders import outcome_of
from exchange.errors import ExchangeError, Refusal
from exchange.types import AccountModes, Confirmed, KeyPermissions, MarginType, Outcome, SymbolConfig, Unknown

_ALREADY_SO = frozenset({-4046, -4059})
"""marginType and positionSide/dual answer these when there is nothing to change (checked 2026-11)."""

_NOT_SERVED = frozenset({404, -1016, -1099})
"""There is no such call here: told by HTTP alone, or by a code of the error catalogue (checked 2026-11)."""

_PORTFOLIO_MARGIN = "portfolio margin"


class AccountSetup:
    """Settings are idempotent, so an unknown write is settled by reading the setting again."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def symbol_config(self, symbol: str) -> SymbolConfig:
        """GET /fapi/v1/symbolConfig; where that is not served, GET /fapi/v2/positionRisk has both values too."""
        try:
            told = await self._http.call(endpoints.SYMBOL_CONFIG, {"symbol": symbol})
        except Refusal as refusal:
            if refusal.code not in _NOT_SERVED:
                raise
            told = await self._http.call(endpoints.POSITION_RISK_OLD, {"symbol": symbol})
        return codec_account.symbol_config(told, symbol)

    async def account_modes(self) -> AccountModes:
        """GET /fapi/v1/accountConfig and, for the unit that it counts in, GET /fapi/v3/account.

        No code is documented for portfolio margin (checked 2026-11): refusals that name it are taken by their words.
        """
        try:
            config = await self._config()
            credits = codec_account.counts_in_credits(await self._http.call(endpoints.ACCOUNT))
        except Refusal as refusal:
            if _PORTFOLIO_MARGIN in refusal.message.lower():
                return AccountModes(portfolio_margin=True)
            raise
        return codec_account.account_modes(config, credits=credits)

    async def _config(self) -> object:
        """Both modes from one answer; where that is not served, from the two that tell one each."""
        try:
            return await self._http.call(endpoints.ACCOUNT_CONFIG)
        except Refusal as refusal:
            if refusal.code not in _NOT_SERVED:
                raise
        mode = fields.row(await self._http.call(endpoints.POSITION_MODE_READ), endpoints.POSITION_MODE_READ.name)
        assets: fields.Row = {}
        try:
            told = await self._http.call(endpoints.MULTI_ASSETS_READ)
            assets = fields.row(told, endpoints.MULTI_ASSETS_READ.name)
        except Refusal as refusal:
            if refusal.code not in _NOT_SERVED:
                raise
        return {**mode, **assets}

    async def key_permissions(self) -> KeyPermissions | None:
        """GET /sapi/v1/account/apiRestrictions; None where nobody can be asked, as on the demo exchange."""
        if self._http.wallet_url is None:
            return None
        return codec_account.key_permissions(await self._http.call(endpoints.KEY_PERMISSIONS))

    async def ensure_margin_type(self, symbol: str, margin_type: MarginType) -> Outcome:
        """POST /fapi/v1/marginType; refused with -4047 or -4048 while orders or a position are open."""

        async def holds() -> bool:
            return (await self.symbol_config(symbol)).margin_type is margin_type

        return await self._ensure(holds, endpoints.MARGIN_TYPE, {"symbol": symbol, "marginType": margin_type.value})

    async def ensure_leverage(self, symbol: str, leverage: int) -> Outcome:
        """POST /fapi/v1/leverage; -4028 when the bracket does not allow it, -4161 isolated with a position."""

        async def holds() -> bool:
            return (await self.symbol_config(symbol)).leverage == leverage

        return await self._ensure(holds, endpoints.LEVERAGE, {"symbol": symbol, "leverage": str(leverage)})

    async def ensure_one_way(self) -> Outcome:
        """POST /fapi/v1/positionSide/dual; -4067 or -4068 while orders or positions are open, in COIN-M too."""

        async def holds() -> bool:
            return not codec_account.account_modes(await self._config()).hedge

        return await self._ensure(holds, endpoints.POSITION_MODE, {"dualSidePosition": "false"})

    async def _ensure(self, holds: Callable[[], Awaitable[bool]], write: Endpoint, params: dict[str, str]) -> Outcome:
        try:
            if await holds():
                return Confirmed()
        except ExchangeError as error:
            return outcome_of(error)
        outcome: Outcome = Confirmed()
        try:
            await self._http.call(write, params)
        except ExchangeError as error:
            if not (isinstance(error, Refusal) and error.code in _ALREADY_SO):
                outcome = outcome_of(error)
        return await self._read_back(outcome, holds, write.name)

    async def _read_back(self, outcome: Outcome, holds: Callable[[], Awaitable[bool]], name: str) -> Outcome:
        """What is in force counts, whatever the answer to the write was."""
        try:
            if await holds():
                return Confirmed()
        except ExchangeError as error:
            return Unknown(f"{name} could not be read back: {error}") if isinstance(outcome, Confirmed) else outcome
        if isinstance(outcome, Confirmed):
            return Unknown(f"{name} was answered with success, but the old setting is still read back")
        return outcome
