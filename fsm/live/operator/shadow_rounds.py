"""Brings shadows up to date after each close, each in a process of its own, and leaves how they do for readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog

from fsm.journal.shadow_folder import shadow_names
from fsm.live.process.daemon import Daemon
from fsm.live.process.own_commands import Ask, NoAnswer

log = structlog.get_logger("fsm.shadows")

LOOK_S = 5.0
APART_S = 30.0
"""Where a simulation makes an hour of seconds, they are asked no more often than this."""

DOCUMENT = "shadows"


class ShadowRounds:
    """One after the other, so that they take one processor at most, and that with the lowest priority."""

    def __init__(self, daemon: Daemon, db: Path, ask: Ask) -> None:
        self._daemon = daemon
        self._db = db
        self._ask = ask
        self._decided_ms: int | None = None
        self._told: list[str] = []

    async def run(self) -> None:
        await self._daemon.started.wait()
        clock = self._daemon.live.clock
        while True:
            decided_ms, names = self._daemon.schedule.decided_ms, shadow_names(self._db)
            if names != self._told or (names and decided_ms != self._decided_ms):
                await self._round(names)
                self._decided_ms, self._told = decided_ms, names
                await clock.sleep(APART_S)
            await clock.sleep(LOOK_S)

    async def _round(self, names: list[str]) -> None:
        found: list[Any] = []
        for name in names:
            try:
                found += (await self._ask(("shadow", "refresh", name)))["shadows"]
            except NoAnswer as error:
                log.info("no_answer", reason="NO_ANSWER", about=name, error=str(error))
                found.append({"name": name, "problem": str(error)})
        live = self._daemon.live
        live.journal.document(DOCUMENT, live.clock.now_ms(), {"shadows": found})
