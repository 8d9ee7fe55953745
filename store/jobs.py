"""Backtests and searches that the dashboard asks a worker for, as the inbox carries them."""

from __future__ import annotations

import base64
import binascii
import zlib

import msgspec

BACKTEST, STUDY = "job backtest", "job study"
"""Followed by the name under which it is kept, and the rest of what was asked. Only a worker takes them."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
UNPACKED_MAX = 20_000


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A backtest of the rules in force. Without ``symbols`` it is of the bot's, without times of all candles.

    ``vary``: what a search varies, as in "adx_trend=20..30:5"; nothing: the ranges in the rules. ``trials``: 0 for a
    backtest. ``luck``: made-up markets of each kind, which say what luck alone would give.
    """

    name: str
    symbols: tuple[str, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None
    vary: tuple[str, ...] = ()
    trials: int = 0
    luck: int = 20

    def line(self) -> str:
        packed = base64.urlsafe_b64encode(zlib.compress(msgspec.json.encode(self), 9)).decode()
        return f"{STUDY if self.trials else BACKTEST} {self.name} {packed}"


def read_job(line: str) -> Job:
    """Raises ValueError for what is none."""
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.urlsafe_b64decode(line.split(" ")[3]), UNPACKED_MAX)
        return msgspec.json.decode(data, type=Job)
    except (IndexError, binascii.Error, zlib.error, msgspec.DecodeError) as error:
        raise ValueError("the job cannot be read") from error
