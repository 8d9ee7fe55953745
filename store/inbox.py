"""The inbox of operator commands: any process posts, the daemon takes and finishes, everybody can ask."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from store import statements
from store.database import Store
from store.errors import WriteFailed
from store.models import Command
from store.queries.fetching import fetch, fetch_one
from store.rows import CommandAck
from store.rules_edits import JOBS, named
from store.views import CommandRow

_POST = "INSERT INTO commands (kind, symbol, source, state, posted_ms) VALUES (?, ?, ?, 'posted', ?)"
_IS_POSTED = "SELECT 1 FROM commands WHERE state IN ('posted', 'taken') AND state = 'posted' LIMIT 1"
"""The first condition is that of the index ``commands_waiting``, which is how SQLite knows that it may use it."""

_TAKE = "UPDATE commands SET state = 'taken', taken_ms = ? WHERE id = ? AND state = 'posted'"

CANCELLED = "CANCELLED"
"""The guard of a command that its operator has withdrawn."""

_CANCEL = (
    "UPDATE commands SET state = 'refused', guard = ?, finished_ms = ?, detail = 'withdrawn by the operator'"
    " WHERE id = ? AND state = 'posted'"
)


class Inbox:
    """Commands in a store that is open for writing or posting (``get`` and ``recent``: in any mode).

    Nobody needs to listen: a command waits until a daemon starts. One that was taken by a daemon that died
    is handed out again by the next one's ``unfinished``; carrying a command out twice must be harmless.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def post(self, kind: str, symbol: str | None, source: str, at_ms: int) -> int:
        """Leave a command; returns the id to ask about it with. ``source`` says who: "cli", "web", "telegram"."""
        with self._store.transaction() as connection:
            connection.execute(_POST, (kind, symbol, source, at_ms))
            return int(connection.last_insert_rowid())

    def cancel(self, command_id: int, at_ms: int) -> bool:
        """Withdraw a command that no bot has taken yet; False when there is none such."""
        with self._store.transaction() as connection:
            connection.execute(_CANCEL, (CANCELLED, at_ms, command_id))
            return bool(connection.changes())

    def take(self, at_ms: int) -> list[CommandRow]:
        """Commands posted since the last time, oldest first, now marked as taken. Cheap when there is none."""
        if self._store.connection.execute(_IS_POSTED).fetchone() is None:
            return []
        return self._taken([row for row in self._in_state("posted") if not row.kind.startswith(JOBS)], at_ms)

    def take_job(self, at_ms: int) -> CommandRow | None:
        """The oldest job that nobody has taken, for a worker; also one that a worker took and did not finish."""
        jobs = [row for state in ("taken", "posted") for row in self._in_state(state) if row.kind.startswith(JOBS)]
        if not jobs:
            return None
        return jobs[0] if jobs[0].state == "taken" else self._taken(jobs[:1], at_ms)[0]

    def _taken(self, posted: list[CommandRow], at_ms: int) -> list[CommandRow]:
        if not posted:
            return []
        with self._store.transaction() as connection:
            connection.executemany(_TAKE, [(at_ms, command.id) for command in posted])
        return [replace(command, state="taken", taken_ms=at_ms) for command in posted]

    def unfinished(self) -> list[CommandRow]:
        """Commands that were taken and never finished, oldest first: what a start has to look at."""
        return [row for row in self._in_state("taken") if not row.kind.startswith(JOBS)]

    def finish(
        self,
        command_id: int,
        result: Literal["done", "refused"],
        *,
        guard: str | None = None,
        detail: str | None = None,
        at_ms: int,
    ) -> None:
        """Say how a command ended, in a transaction of its own (an ack in a Batch does it with the rest)."""
        ack = CommandAck(command_id=command_id, result=result, guard=guard, detail=detail, at_ms=at_ms)
        sql, values, missing = statements.acknowledge(ack)
        with self._store.transaction() as connection:
            connection.execute(sql, values)
            if connection.changes() == 0:
                raise WriteFailed(f"nothing was written: {missing}", "ask for its state: it may be finished already")

    def get(self, command_id: int) -> CommandRow | None:
        """One command and what became of it."""
        found = fetch_one(self._store, Command.select().where(Command.id == command_id), CommandRow)
        return None if found is None else _shown(found)

    def waiting(self) -> list[CommandRow]:
        """Commands that nobody has taken yet, oldest first."""
        return [_shown(row) for row in self._in_state("posted")]

    def recent(self, *, limit: int = 100) -> list[CommandRow]:
        """Commands, newest first."""
        found = fetch(self._store, Command.select().order_by(Command.id.desc()).limit(limit), CommandRow)
        return [_shown(row) for row in found]

    def _in_state(self, state: str) -> list[CommandRow]:
        return fetch(self._store, Command.select().where(Command.state == state).order_by(Command.id), CommandRow)


def _shown(row: CommandRow) -> CommandRow:
    """For whoever asks: the text of an edited rules file is for the daemon alone."""
    return replace(row, kind=named(row.kind))
