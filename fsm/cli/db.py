"""Looks after the database: brings it up to date, copies it, puts a copy back, prunes it, checks it."""

from __future__ import annotations

import time
from pathlib import Path

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, Exit, VerificationFailed
from fsm.cli.options import Group, current
from fsm.cli.progress import reporting
from fsm.cli.times import Age, Size


@click.group(cls=Group)
def db() -> None:
    """Upgrade, back up, restore, prune or check the database."""


@db.command()
def upgrade() -> None:
    """Bring it to the newest schema. A backup is made first."""
    from store.lock import ProcessLock
    from store.migrations.upgrade import upgrade as bring_up_to_date

    options = current()
    path = _existing(options.database_path())
    with ProcessLock(path):
        done = bring_up_to_date(path, at_ms=_now_ms())
    if options.json:
        output.document(
            {"database": str(path), "before": done.before, "after": done.after, "backup": _name(done.backup)}
        )
    elif done.backup is None:
        output.line(f"{path} has the newest schema already ({done.after})")
    else:
        output.line(f"{path}: schema {done.before} → {done.after}; as it was before: {done.backup}")


@db.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--every", type=Age(), metavar="TIME", help="go on: a copy in the folder PATH each TIME (30m, 6h, 1d)")
@click.option("--keep", type=click.IntRange(1, 10_000), default=28, show_default=True, help="with --every: so many")
def backup(path: Path, every: int | None, keep: int) -> None:
    """Copy it to PATH, and verify the copy. Also while the bot runs; an existing file is not overwritten.

    With --every, PATH is a folder: the copies in it are named by their time, and the oldest make room. A copy that
    fails is told and tried again when the next one is due. `db restore` puts a copy back.
    """
    options = current()
    source = options.database_path()
    if every is not None:
        from fsm.cli.db_copies import go_on_copying

        go_on_copying(source, path, every_ms=every, keep=keep, json=options.json)
        return
    from store.copies import verified_backup

    if path.exists():
        raise CommandError(f"{path} exists already", "name another file; a backup is never overwritten")
    target = verified_backup(source, path)
    size = target.stat().st_size
    if options.json:
        output.document({"database": str(source), "backup": str(target), "bytes": size, "verified": True})
    else:
        output.line(f"{source} was copied to {target} ({size / 1e6:.1f} MB) and verified")


@db.command()
@click.argument("copy", type=click.Path(path_type=Path, dir_okay=False))
def restore(copy: Path) -> None:
    """Put the backup COPY in the place of the database, once it is verified. The present one is set aside.

    The bot must have ended. What it does at its next start with an older database is in docs/restoring.md.
    """
    from store.copies import restore as put_back
    from store.lock import ProcessLock

    options = current()
    path = options.database_path()
    if copy.exists() and path.exists() and copy.samefile(path):
        raise CommandError(f"{copy} is the database itself", "name the copy that is to take its place")
    with ProcessLock(path), reporting(json=options.json) as progress:
        done = put_back(path, copy, at_ms=_now_ms(), progress=lambda table, count: progress(table, count, 0))
    if options.json:
        aside = [str(each) for each in done.aside]
        output.document({"database": str(path), "restored": str(copy), "rows": done.rows, "aside": aside})
        return
    output.line(f"{copy} was verified ({done.rows} rows) and is now {path}")
    for each in done.aside:
        output.line(f"what was there before: {each}")


@db.command()
@click.option("--keep-days", type=click.IntRange(1), metavar="N", help="keep the newest N days, on the journal's clock")
@click.option("--to-size", type=Size(), metavar="SIZE", help="keep as many days as fit into SIZE (500MB, 2GB)")
@click.option("--archive", type=click.Path(path_type=Path, dir_okay=False), help="where the whole database is kept")
@click.option("--no-archive", is_flag=True, help="keep no copy: what is removed is gone")
def prune(keep_days: int | None, to_size: int | None, archive: Path | None, no_archive: bool) -> None:
    """Remove the oldest transitions, decisions, regimes and errors; the rest is verified and replayed as before.

    Trades, fills, orders, equity and candles stay, and so do all figures. The journal says what was removed and
    `audit verify` repeats it. The whole database goes into --archive first. The bot must have ended.
    """
    from fsm.cli.db_pruning import cut

    if (keep_days is None) == (to_size is None):
        raise click.UsageError("say either --keep-days or --to-size")
    if (archive is None) != no_archive:
        raise click.UsageError("say either --archive FILE or --no-archive")
    cut(_existing(current().database_path()), keep_days=keep_days, to_size=to_size, archive=archive, at_ms=_now_ms())


@db.command()
def check() -> None:
    """Check the schema and the file. The journal itself is checked by `audit verify`."""
    from store.database import open_store
    from store.migrations.schema import check as check_schema
    from store.sqlite import reading

    options = current()
    path = options.database_path()
    schema = check_schema(path)
    if schema.found != schema.known:
        raise CommandError(
            f"{path} has schema {schema.found}, this program needs {schema.known}",
            "run `db upgrade`; it makes a backup first",
            exits=Exit.REFUSED,
            code="SchemaMismatch",
        )
    with open_store(path, mode="read") as store, reading(path):
        lines = [str(line) for (line,) in store.connection.execute("PRAGMA integrity_check")]
    problems = [*schema.differences, *(line for line in lines if line != "ok")]
    if options.json:
        output.document({"database": str(path), "schema": schema.found, "problems": problems})
    else:
        output.line("\n".join(problems) or f"{path}: fine; schema {schema.found}")
    if problems:
        raise VerificationFailed


def _existing(path: Path) -> Path:
    """The path, if there is a file: taking a lock must not leave one beside a database that is not there."""
    if not path.exists():
        raise CommandError(f"there is no database at {path}", "name one with --db", code="DatabaseMissing")
    return path


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _name(path: Path | None) -> str | None:
    return None if path is None else str(path)
