"""Creates and extends the key that opens the private stream (/fapi/v1/listenKey: API key only, checked 2026-11)."""

from __future__ import annotations

from exchange.binance import codec_account, endpoints
from exchange.binance.http import Http
from exchange.errors import Refusal

EXTEND_S = 1_800.0
"""A key lives 60 minutes from its last PUT; Binance advises every 30 (checked 2026-11)."""

_KEY_GONE = -1125


class ListenKeys:
    """One key per account: POST returns the one alive, if there is one, and extends it."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def create(self) -> str:
        """A key that is valid for the next 60 minutes."""
        return codec_account.listen_key(await self._http.call(endpoints.LISTEN_KEY_CREATE))

    async def extend(self) -> bool:
        """60 more minutes; False when the key is gone (-1125) and a new one must be made."""
        try:
            await self._http.call(endpoints.LISTEN_KEY_EXTEND)
        except Refusal as refusal:
            if refusal.code == _KEY_GONE:
                return False
            raise
        return True

    async def close(self) -> None:
        """Give the key back; every stream opened with it ends."""
        await self._http.call(endpoints.LISTEN_KEY_CLOSE)
