"""`db prune`: which day to cut at, the archive first, and what was removed in words."""

from __future__ import annotations

import secrets
from pathlib import Path

from fsm.cli import output
from fsm.cli.errors import CommandError, Exit
from fsm.cli.options import current
from fsm.cli.times import shown

_DAY_MS = 86_400_000


def cut(path: Path, *, keep_days: int | None, to_size: int | None, archive: Path | None, at_ms: int) -> None:
    """Verify, archive, remove. Nothing is removed from a journal that does not verify."""
    from store.copies import verified_backup
    from store.errors import DatabaseDamaged
    from store.lock import ProcessLock
    from store.migrations.upgrade import upgrade
    from store.pruning import KEEP_DAYS_MIN, prune
    from store.verify import verify

    if keep_days is not None and keep_days < KEEP_DAYS_MIN:
        raise CommandError(f"fewer than {KEEP_DAYS_MIN} days cannot be kept: loss limits look back a month")
    with ProcessLock(path):
        upgrade(path, at_ms=at_ms)
        report = verify(path)
        if not report.fine:
            first = report.problems[0]
            raise DatabaseDamaged(
                f"{path} does not verify: {first.table} {first.row_id} {first.what}",
                "nothing was removed; `audit verify` names all",
            )
        before_ms = _moment(path, keep_days, to_size)
        if archive is not None:
            verified_backup(path, archive)
        name = None if archive is None else archive.name
        done = prune(path, before_ms=before_ms, run_id=f"prune-{secrets.token_hex(4)}", archive=name)
    if current().json:
        output.document(
            {
                "database": str(path),
                "before_ms": done.before_ms,
                "removed": done.rows,
                "bytes_before": done.bytes_before,
                "bytes_after": done.bytes_after,
                "archive": None if archive is None else str(archive),
            }
        )
        return
    if not any(done.rows.values()):
        output.line(f"{path}: nothing from before {shown(before_ms)} UTC can be removed")
        return
    rows = ", ".join(f"{count:,} {table}" for table, count in done.rows.items())
    sizes = f"{done.bytes_before / 1e6:.1f} → {done.bytes_after / 1e6:.1f} MB"
    output.line(f"{path}: {rows} from before {shown(before_ms)} UTC were removed ({sizes})")
    if archive is not None:
        output.line(f"the whole of it is in {archive}")


def _moment(path: Path, keep_days: int | None, to_size: int | None) -> int:
    """The instant to cut at: by days, or the earliest day with which the rest fits."""
    from store.database import open_store
    from store.pruning import KEEP_DAYS_MIN, largest_tables, newest_ms, room_after

    with open_store(path, mode="read") as store:
        newest = newest_ms(store.connection)
        if keep_days is not None:
            return newest - keep_days * _DAY_MS
        assert to_size is not None
        latest = newest - KEEP_DAYS_MIN * _DAY_MS
        least = room_after(store.connection, latest)
        if least.bytes > to_size:
            raise CommandError(
                f"{path} cannot be brought to {to_size / 1e6:.1f} MB: with {KEEP_DAYS_MIN} days it takes about "
                f"{least.bytes / 1e6:.1f} MB ({largest_tables(store.connection)})",
                "trades, fills, equity and candles stay whatever their age; begin a new database for less",
                exits=Exit.REFUSED,
                code="TOO_LARGE",
            )
        few, many = KEEP_DAYS_MIN, max(KEEP_DAYS_MIN, newest // _DAY_MS)
        while few < many:  # the most days that fit
            days = (few + many + 1) // 2
            if room_after(store.connection, newest - days * _DAY_MS).bytes <= to_size:
                few = days
            else:
                many = days - 1
        return newest - few * _DAY_MS
