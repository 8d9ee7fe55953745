"""Writes one file with what somebody needs who is to find out what went wrong; without any secret in it."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from fsm.cli import output
from fsm.cli.errors import CommandError
from fsm.cli.options import Options, command, current
from fsm.cli.times import Time, shown

if TYPE_CHECKING:
    from store.database import Store

LOG_BYTES_MAX = 20_000_000
TEXT_BYTES_MAX = 1_000_000
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_AGE = re.compile(r"(\d+)\s*([smhdw])", re.IGNORECASE)

ABOUT = """\
What happened around a trading bot, for somebody who is to find out why.

database/*.jsonl   rows of its database, one JSON object a line, as stored: transitions, decisions, orders, fills,
                   intents with the exchange's answers, errors, alerts, commands ... since the time in about.json;
                   how things stood (symbols, positions, account, documents) at the time of writing. Times are
                   milliseconds UTC.
files/             config.yaml and rules.yaml as they lay on disk; the versions that were in force are in
                   database/config_versions.jsonl and rule_versions.jsonl
logs/              what was given with --log, the end of each
doctor.json        what `doctor` said; about.json: versions, platform, time span
manifest.json      the size and SHA-256 of each file

Secrets are replaced by ***: those of .env and of the process environment in every spelling, and what looks like a key,
a token, a password or a signature. Rows that held one no longer have the hash that is written in them.
"""


class Since(Time):
    """An age such as 2h, 90m or 3d, or a time as other commands take it; gives milliseconds, an age negative."""

    name = "time"
    forms = f"2h, 90m, 3d, {Time.forms}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = _AGE.fullmatch(str(value).strip())
        if found is None:
            return super().convert(value, param, ctx)
        return -int(found[1]) * _UNITS[found[2].lower()]


@command()
@click.option("--since", "since", type=Since(), default="2h", show_default=True, help="an age (2h, 90m, 3d) or a time")
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="a log to put in, as journalctl or the container wrote it; may be repeated",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="the file to write (never overwritten)")
@click.option("--doctor/--no-doctor", "with_doctor", default=True, help="also ask what `doctor` asks")
def bundle(since: int, logs: tuple[Path, ...], out: Path | None, with_doctor: bool) -> None:
    """Write one file to send when something broke. The journal, logs, files, versions and `doctor`, without secrets.

    Works beside a running bot and on a database whose bot does not start. An age is counted from the newest row.
    """
    from fsm.config.masking import Mask as Masking
    from fsm.config.masking import secrets_known
    from store import queries
    from store.database import open_store

    options = current()
    mask = Masking(secrets_known(options.env_path))
    path = _database(options)
    with open_store(path, mode="read") as store:
        newest = queries.newest_ms(store) or time.time_ns() // 1_000_000
        since_ms = newest + since if since <= 0 else since
        environment = store.identity.environment if store.identity else "unknown"
        target = out or Path(f"fsm-bundle-{environment}-{shown(newest)[:16].replace(' ', '-').replace(':', '')}.zip")
        about = _about(path, environment, since_ms, newest)
        parts = _parts(options, store, since_ms, logs, about, with_doctor=with_doctor)
        written = _write(target, ((mask(name), mask.lines(lines)) for name, lines in parts))
    if options.json:
        output.document({"bundle": str(target), "since_ms": since_ms, "until_ms": newest, "files": written})
        return
    size = target.stat().st_size / 1e6
    rows = sum(entry["lines"] for entry in written if entry["name"].startswith("database/"))
    output.line(f"{target} ({size:.1f} MB): {rows:,} rows since {shown(since_ms)} UTC, {len(written)} files")
    output.line("secrets are masked; it shows your trades and your account's size, so read it before you send it")


def _database(options: Options) -> Path:
    """The database meant, also where .env is what is broken."""
    from fsm.config.environment import read_environment
    from rules.source.yaml_source import SourceError

    if options.db is not None:
        return options.db
    try:
        return read_environment(options.env_path, os.environ, needs_keys=False).database_path
    except SourceError as error:
        raise CommandError(f"which database is meant is not known: {error}", "name it with --db PATH") from error


def _parts(
    options: Options,
    store: Store,
    since_ms: int,
    logs: tuple[Path, ...],
    about: dict[str, object],
    *,
    with_doctor: bool,
) -> Iterator[tuple[str, Iterable[str]]]:
    """Every file of the bundle with its lines, one after the other."""
    from store.excerpt import excerpt

    yield "README.txt", (ABOUT,)
    yield "about.json", (_json(about),)
    for table, lines in excerpt(store, since_ms):
        yield f"database/{table}.jsonl", lines
    for file in (options.config_path, options.rules_path):
        yield f"files/{file.name}", _tail(file, TEXT_BYTES_MAX)
    for number, log in enumerate(logs, 1):
        yield f"logs/{number}-{log.name}", _tail(log, LOG_BYTES_MAX)
    if with_doctor:
        yield "doctor.json", (_json(_doctor(options)),)


def _about(path: Path, environment: str, since_ms: int, newest_ms: int) -> dict[str, object]:
    try:
        ours = version("fsm-futures-bot")
    except PackageNotFoundError:
        ours = "not installed"
    return {
        "version": ours,
        "python": sys.version,
        "platform": platform.platform(),
        "database": path.name,
        "bytes": path.stat().st_size,
        "environment": environment,
        "since_ms": since_ms,
        "until_ms": newest_ms,
        "written_ms": time.time_ns() // 1_000_000,
        "packages": dict(sorted((found.metadata["Name"], found.version) for found in distributions())),
    }


def _doctor(options: Options) -> object:
    """What `doctor` finds, or why it could not look: an incident is when things do not work."""
    from fsm.bootstrap import Run
    from fsm.cli.inputs import read_inputs
    from fsm.cli.logs import configure_logs
    from fsm.live.preflight.preflight import examine

    try:
        inputs = read_inputs(options, needs_keys=False)
        configure_logs(json=True, level="critical", environment=inputs.config.environment.mark)
        path = options.db or inputs.config.environment.database_path
        return examine(Run(config=inputs.config, rules=inputs.rules, db=path, on_step=lambda step: None))
    except Exception as error:  # whatever it is, it is part of what the reader wants to know
        return {"could not look": f"{type(error).__name__}: {error}"}


def _tail(path: Path, most: int) -> Iterator[str]:
    """The lines of a file, from the first whole one of its last so many bytes on."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            if size > most:
                yield f"[the first {size - most:,} bytes or so are left out]\n"
                file.readline()
            for line in file:
                yield line.decode("utf-8", errors="replace")
    except OSError as error:
        yield f"[cannot be read: {error.strerror}]\n"


def _json(data: object) -> str:
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"


def _write(target: Path, parts: Iterable[tuple[str, Iterable[str]]]) -> list[dict[str, Any]]:
    """Write the file whole or not at all, for its owner alone. Raises CommandError where it cannot be."""
    if target.exists():
        raise CommandError(f"{target} exists already", "name another file with --out; a bundle is never overwritten")
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    written: list[dict[str, Any]] = []
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, lines in parts:
                    written.append(_add(archive, name, lines))
                archive.writestr("manifest.json", _json(written))
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, target)
    except FileExistsError as error:
        raise CommandError(f"{target} exists already", "name another file with --out") from error
    except OSError as error:
        raise CommandError(f"{target} cannot be written: {error.strerror}", "name another file with --out") from error
    finally:
        draft.unlink(missing_ok=True)
    return written


def _add(archive: zipfile.ZipFile, name: str, lines: Iterable[str]) -> dict[str, Any]:
    digest, size, count = hashlib.sha256(), 0, 0
    with archive.open(name, "w", force_zip64=True) as entry:
        for line in lines:
            raw = line.encode("utf-8", errors="replace")
            digest.update(raw)
            size, count = size + len(raw), count + 1
            entry.write(raw)
    return {"name": name, "bytes": size, "lines": count, "sha256": digest.hexdigest()}
