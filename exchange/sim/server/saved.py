"""Keeps a simulation in a file: account, prices and clock, so that the next start goes on where this one ended."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from exchange.filters import SymbolFilters
from exchange.sim.core.venue import Venue
from exchange.sim.playback.candle_path import Mark
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.world import Heard
from exchange.types import Bracket
from indicators.candle import Timeframe

_VERSION = 1


class StateError(Exception):
    """The file cannot be used; the message says what to do."""


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds. ``marks`` is how far each symbol's path through its bar has come."""

    version: int
    seed: int
    hour_ms: int
    """When the bar under way opened."""

    marks: dict[str, Mark]
    hidden: list[int]
    venue: msgspec.Raw
    step: Timeframe = Timeframe.H1
    heard: dict[str, Heard] = {}
    """Only on live prices."""

    def load_venue(self, filters: Mapping[str, SymbolFilters], brackets: Mapping[str, tuple[Bracket, ...]]) -> Venue:
        """The account as it was."""
        return Venue.load(bytes(self.venue), filters=filters, brackets=brackets)


def encode(emulator: Emulator) -> bytes:
    """The simulation as it is now."""
    saved = SavedState(
        version=_VERSION,
        seed=emulator.seed,
        hour_ms=emulator.world.bar_ms,
        marks=emulator.world.marks,
        hidden=sorted(emulator.hidden),
        venue=msgspec.Raw(emulator.venue.save()),
        step=emulator.world.timeframe,
        heard=dict(emulator.world.heard),
    )
    return msgspec.json.encode(saved, order="deterministic")


class StateFile:
    """One file, used by one simulation at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: IO[bytes] | None = None
        self._writing = threading.Lock()

    def lock(self) -> None:
        """Raises StateError while another simulation uses the file; its death frees it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _private(Path(f"{self._path}.lock"), os.O_APPEND)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateError(f"{self._path}: another simulation is using it; end that one first") from None

    def read(self) -> SavedState | None:
        """None when there is no file yet."""
        try:
            body = self._path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            saved = msgspec.json.decode(body, type=SavedState)
        except msgspec.DecodeError as error:
            raise StateError(f"{self._path}: cannot be read ({error}); move it away to start afresh") from None
        if saved.version != _VERSION:
            raise StateError(
                f"{self._path}: written by another version ({saved.version}); move it away to start afresh"
            )
        return saved

    def write(self, body: bytes) -> None:
        """All of it or nothing: a torn file is never left behind."""
        draft = self._path.with_name(f"{self._path.name}.new")
        with self._writing:
            with _private(draft, os.O_TRUNC) as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)


def _private(path: Path, flags: int) -> IO[bytes]:
    """Open to write; nobody but its owner may read it, whatever the umask and whoever made it."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    with suppress(OSError):
        os.fchmod(fd, 0o600)
    return os.fdopen(fd, "wb")
