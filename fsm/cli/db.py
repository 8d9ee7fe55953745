"""Looks after the database: brings it up to date, copies it, checks it."""

from __future__ import annotations

import time
from pathlib import Path

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, Exit, VerificationFailed
from fsm.cli.options import Group, current


@click.group(cls=Group)
def db() -> None:
    """Upgrade, back up or check the database."""


@db.command()
def upgrade() -> None:
    """Bring it to the newest schema. A backup is made first."""
    from store.lock import ProcessLock
    from store.migrations.upgrade import upgrade as bring_up_to_date

    options = current()
    path = _existing(options.database_path())
    with ProcessLock(path):
        done = bring_up_to_date(path, at_ms=time.time_ns() // 1_000_000)
    if options.json:
        output.document(
            {"database": str(path), "before": done.before, "after": done.after, "backup": _name(done.backup)}
        )
    elif done.backup is None:
        output.line(f"{path} has the newest schema already ({done.after})")
    else:
        output.line(f"{path}: schema {done.before} → {done.after}; as it was before: {done.backup}")


@db.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
def backup(path: Path) -> None:
    """Copy it to PATH. Also while the bot runs; an existing file is not overwritten.

    How to put a copy back is in docs/restoring.md.
    """
    from store.migrations.backup import backup as copy

    options = current()
    source = options.database_path()
    if path.exists():
        raise CommandError(f"{path} exists already", "name another file; a backup is never overwritten")
    target = copy(source, path)
    size = target.stat().st_size
    if options.json:
        output.document({"database": str(source), "backup": str(target), "bytes": size})
    else:
        output.line(f"{source} was copied to {target} ({size / 1e6:.1f} MB)")


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


def _name(path: Path | None) -> str | None:
    return None if path is None else str(path)
