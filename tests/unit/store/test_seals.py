"""What a decision reads is covered by the audit: changed with its hash, removed, invented or exchanged, it shows."""

from __future__ import annotations

import lzma
import re
import tracemalloc
from pathlib import Path
from typing import Any

import apsw
import pytest

from store import models
from store.batch import Batch
from store.canonical import digest
from store.database import open_store
from store.inbox import Inbox
from store.journal import Journal
from store.migrations import upgrade
from store.rows import AnchorRow, DocumentRow
from store.seals import BLOCK_MS, SEALED, altered_candles
from store.tables import TABLES
from store.verify import Report, verify
from tests.effort import sampled

ROOT = Path(__file__).parents[3]
NOT_COVERED = {"alerts", "schema_version"}
"""Argued in docs/audit-coverage.md."""

COVERED = sorted({table.name for table in TABLES.values()} - NOT_COVERED)


def named(report: Report) -> set[str]:
    return {problem.table for problem in report.problems}


def names(report: Report, table: str) -> bool:
    """A head and the rows of its chain speak of each other."""
    spoken_of = {"chain_heads": models.CHAINED, "seals": SEALED}.get(table, ())
    return bool(named(report) & {table, "chain_heads", *(TABLES[model].name for model in spoken_of)})


@pytest.fixture
def written(path: Path, image: bytes) -> Path:
    """A closed database with two rows or more in each table that can have them."""
    path.write_bytes(image)
    return path


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, story: Any) -> bytes:
    """It is written once, and each test has a copy of its own."""
    path = tmp_path_factory.mktemp("written") / "bot.sqlite"
    with open_store(path, mode="write") as store:
        store.bind(environment="testnet", account="main", at_ms=story.start)
        journal = Journal(store, "run-1")
        for number in (1, 2):
            journal.commit(story.versions(story.start, number))
        for batch in story.day(symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"), trades=3):
            journal.commit(batch)
        for number, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
            opening = story.round_trip(symbol, 9, story.start + 90 * story.hour)[:4]
            account = story.account_event(story.start, halt="LIMIT_DAY")
            hours = [story.candle(symbol, story.start + hour * story.hour, 42_000 + hour) for hour in range(24)]
            journal.commit(
                Batch(
                    transitions=opening,
                    regimes=[story.regime(symbol, story.start)],
                    decisions=[story.decision(symbol, story.start + (95 + number) * story.hour)],
                    errors=[story.error(story.start + number)],
                    system_events=[account],
                    fills=[story.fill(symbol, 77, story.start)],
                    equity=[story.equity(story.start + number)],
                    documents=[DocumentRow(name=f"wallet {number}", at_ms=story.start, body_json="{}")],
                    candles=hours,
                    anchors=[AnchorRow(symbol=symbol, timeframe="1h", first_ms=story.start + number)],
                )
            )
        inbox = Inbox(store)
        for symbol in ("BTCUSDT", "ETHUSDT"):
            inbox.post("pause", symbol, "cli", story.start)
        inbox.take(story.start)
        inbox.finish(1, "done", at_ms=story.start)
    assert verify(path).problems == ()
    wal = path.with_name("bot.sqlite-wal")
    assert not wal.exists() or wal.stat().st_size == 0, "the one file is all of it"
    return path.read_bytes()


class Attacker:
    """Changes a closed database and makes each row's own hash fit; knows no seal and no chain."""

    def __init__(self, path: Path, table: str) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.pragma("foreign_keys", 0)
        self.spec = next(spec for spec in TABLES.values() if spec.name == table)
        self._triggers = list(self._connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
        for name, _ in self._triggers:
            self._connection.execute(f"DROP TRIGGER {name}")

    def __enter__(self) -> Attacker:
        return self

    def __exit__(self, *error: object) -> None:
        for _, sql in self._triggers:
            self._connection.execute(sql)
        self._connection.close()

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        columns, key = ", ".join(self.spec.columns), ", ".join(self.spec.key)
        return self._connection.execute(f"SELECT {columns} FROM {self.spec.name} ORDER BY {key}").fetchall()

    def fit(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.spec.hash_column not in self.spec.columns:
            return row
        place = self.spec.columns.index(self.spec.hash_column)
        values = [value for number, value in enumerate(row) if number != place]
        return (*row[:place], digest(self.spec.hashed, values), *row[place + 1 :])

    def cut(self) -> None:
        self._connection.execute(f"DELETE FROM {self.spec.name} WHERE id = (SELECT max(id) FROM {self.spec.name})")

    def rewrite(self, rows: list[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(self.spec.columns))
        with self._connection as connection:
            connection.execute(f"DELETE FROM {self.spec.name}")
            connection.executemany(f"INSERT INTO {self.spec.name} VALUES ({marks})", [self.fit(row) for row in rows])


def _key_places(attacker: Attacker) -> list[int]:
    return [attacker.spec.columns.index(name) for name in attacker.spec.key]


def _changed(value: Any) -> Any:
    if isinstance(value, str):
        return value[:-1] + chr(ord(value[-1]) ^ 1) if value else "0"
    return (value or 0) + 1_000_000


_CONSTRAINED = {("commands", "state"), ("meta", "id"), ("account", "id")}


@pytest.mark.parametrize("table", sampled(COVERED, often=8))
def test_r74_any_column_changed_with_the_rows_hash_made_to_fit_is_named(written: Path, table: str) -> None:
    pristine = written.read_bytes()
    with Attacker(written, table) as attacker:
        columns, hash_column = attacker.spec.columns, attacker.spec.hash_column
    for place, column in enumerate(columns):
        if column == hash_column or (table, column) in _CONSTRAINED | {("chain_heads", "verified_id")}:
            continue
        written.write_bytes(pristine)
        with Attacker(written, table) as attacker:
            first, *others = attacker.rows
            attacker.rewrite([(*first[:place], _changed(first[place]), *first[place + 1 :]), *others])
        assert names(verify(written), table), column


@pytest.mark.parametrize("table", COVERED)
def test_r74_a_row_that_is_removed_is_named(written: Path, table: str) -> None:
    with Attacker(written, table) as attacker:
        assert attacker.rows
        attacker.rewrite(attacker.rows[1:])
    assert names(verify(written), table)


@pytest.mark.parametrize("table", sorted({*COVERED} - {"meta", "account"}))
def test_r74_a_row_that_is_invented_is_named(written: Path, table: str) -> None:
    with Attacker(written, table) as attacker:
        rows, keys = attacker.rows, _key_places(attacker)
        invented = list(rows[-1])
        for place in keys:
            invented[place] = invented[place] + ("X" if isinstance(invented[place], str) else 1)
        for name in ("fill_id", "rules_hash", "config_hash"):
            if name in attacker.spec.columns and table in ("fills", "rule_versions", "config_versions"):
                place = attacker.spec.columns.index(name)
                invented[place] = invented[place] + ("X" if isinstance(invented[place], str) else 1)
        attacker.rewrite([*rows, tuple(invented)])
    assert names(verify(written), table)


@pytest.mark.parametrize("table", sorted({*COVERED} - {"meta", "account"}))
def test_r74_two_rows_that_have_exchanged_their_contents_are_named(written: Path, table: str) -> None:
    with Attacker(written, table) as attacker:
        rows, keys = attacker.rows, _key_places(attacker)

        def contents(row: tuple[Any, ...]) -> list[Any]:
            hashes = {
                attacker.spec.columns.index(name) for name in ("hash", "row_hash") if name in attacker.spec.columns
            }
            return [value for place, value in enumerate(row) if place not in {*keys, *hashes}]

        first = 0
        second = next(place for place, row in enumerate(rows) if contents(row) != contents(rows[first]))
        swapped = list(rows)
        for to, out in ((first, second), (second, first)):
            swapped[to] = tuple(rows[to if place in keys else out][place] for place in range(len(rows[to])))
        try:
            attacker.rewrite(swapped)
        except apsw.ConstraintError:  # in the order of writing one is twice there for a moment
            attacker.rewrite([swapped[second], *[row for place, row in enumerate(swapped) if place != second]])
    assert names(verify(written), table)


def test_r74_stored_candles_that_were_multiplied_are_named_with_their_stretch(written: Path, story: Any) -> None:
    with Attacker(written, "candles") as attacker:
        candles = attacker.rows
        for number in range(5, 16):
            row = candles[number]
            candles[number] = (*row[:3], *(repr(float(price) * 1.25) for price in row[3:7]), row[7])
        attacker.rewrite(candles)
    (problem,) = verify(written).problems
    assert problem.table == "candles"
    assert problem.row_id.startswith("BTCUSDT 1h 20")
    with open_store(written, mode="read") as store:
        assert len(altered_candles(store.connection, "BTCUSDT", "1h")) == 1
        assert altered_candles(store.connection, "ETHUSDT", "1h") == []


def test_r74_a_candle_that_is_written_twice_stays_and_counts_once(path: Path, story: Any) -> None:
    with open_store(path, mode="write") as store:
        journal = Journal(store, "run-1")
        journal.commit(Batch(candles=[story.candle("BTCUSDT", story.start), story.candle("BTCUSDT", story.start)]))
        journal.commit(Batch(candles=[story.candle("BTCUSDT", story.start + n * story.hour) for n in (0, 1)]))
        far_ms = story.start + 3 * BLOCK_MS
        journal.commit(Batch(candles=[story.candle("BTCUSDT", far_ms), story.candle("BTCUSDT", far_ms)]))
        sealed = store.connection.execute(
            "SELECT count FROM seals WHERE name GLOB 'candles *' ORDER BY name"
        ).fetchall()
    assert sealed == [(2,), (1,)]
    assert verify(path).fine


def test_r74_what_was_undone_is_not_sealed(path: Path, story: Any) -> None:
    """An inner transaction that is undone, an outer one that goes on, and one that is undone whole."""
    with open_store(path, mode="write") as store:
        store.bind(environment="testnet", account=None, at_ms=1)
        inbox = Inbox(store)

        def undone(kind: str) -> None:
            with store.transaction():
                inbox.post(kind, None, "cli", 2)
                raise RuntimeError

        with store.transaction():
            inbox.post("pause", None, "cli", 1)
            with pytest.raises(RuntimeError):
                undone("halt")
            inbox.post("resume", None, "cli", 3)
        with pytest.raises(RuntimeError):
            undone("flatten")
        assert [row.kind for row in inbox.recent()] == ["resume", "pause"]
    assert verify(path).problems == ()


def test_r74_letters_posted_by_another_process_are_sealed_as_well(path: Path, story: Any) -> None:
    with open_store(path, mode="write") as store, open_store(path, mode="post") as poster:
        Inbox(poster).post("pause", "BTCUSDT", "web", 5)
        Inbox(store).take(6)
        Inbox(poster).post("resume", "BTCUSDT", "web", 7)
        assert verify(path).fine
        with pytest.raises(Exception, match=r"not authorized|prohibited"):
            poster.connection.execute("DELETE FROM commands")


def test_r74_seals_that_are_gone_or_invented_are_named(written: Path) -> None:
    with Attacker(written, "seals") as attacker:
        rows = attacker.rows
        attacker.rewrite([row for row in rows if row[0] != "intents"])
    assert named(verify(written)) == {"intents"}
    with Attacker(written, "seals") as attacker:
        attacker.rewrite([*rows, ("candles XRPUSDT 1h 3", 1, "1" * 64)])
    assert named(verify(written)) == {"candles"}


def test_r74_every_table_is_covered_or_argued_in_the_docs(written: Path) -> None:
    connection = apsw.Connection(str(written), flags=apsw.SQLITE_OPEN_READONLY)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    text = (ROOT / "docs" / "audit-coverage.md").read_text("utf-8")
    covered, argued = text.split("## What is not covered")
    assert set(re.findall(r"`(\w+)`", argued)) & tables >= NOT_COVERED
    ways = {"chained": models.CHAINED, "sealed": SEALED}
    for way, chosen in ways.items():
        line = next(line for line in covered.splitlines() if line.startswith(f"| {way}"))
        assert {TABLES[model].name for model in chosen} <= set(re.findall(r"`(\w+)`", line)), way
    told = set(re.findall(r"`(\w+)`", covered))
    assert tables - {"sqlite_sequence"} - told == NOT_COVERED


@pytest.mark.parametrize("table", [TABLES[model].name for model in models.CHAINED])
def test_r74_a_head_that_was_kept_elsewhere_names_a_cut_that_was_made_to_fit(written: Path, table: str) -> None:
    """The newest row goes with its head, so that everything fits; whoever kept its hash knows."""
    with Attacker(written, table) as attacker:
        place = attacker.spec.columns.index("hash")
        kept, newest = attacker.rows[-1][place], attacker.rows[-2]
    assert verify(written, head=kept).fine
    with Attacker(written, table) as attacker:
        attacker.cut()
    with Attacker(written, "chain_heads") as attacker:
        heads = {row[0]: row for row in attacker.rows}
        heads[table] = (table, newest[0], newest[place], *heads[table][3:])
        attacker.rewrite(list(heads.values()))
    found = verify(written, head=kept).problems
    assert ("journal", "-") in {(problem.table, problem.row_id) for problem in found}
    assert all(kept not in problem.what for problem in verify(written).problems)


def test_r74_a_head_that_never_was_in_this_journal_is_named(written: Path) -> None:
    (problem,) = verify(written, head="ab" * 32).problems
    assert problem.table == "journal"
    assert "cut off" in problem.what


@pytest.mark.slow
def test_r74_memory_does_not_grow_with_what_is_found(path: Path, story: Any) -> None:
    """Every candle of another symbol, a seal for each, and heads of chains that do not exist: 30,000 of everything."""
    with open_store(path, mode="write") as store:
        Journal(store, "run-1").commit(Batch(candles=[story.candle("BTCUSDT", story.start)]))
    connection = apsw.Connection(str(path))
    many = range(30_000)
    with connection:
        candle = "INSERT INTO candles VALUES (?, '1h', 0, '1', '1', '1', '1', '1')"
        connection.executemany(candle, [(f"COIN{number}",) for number in many])
        connection.executemany("INSERT INTO seals VALUES (?, 1, 'no')", [(f"candles COIN 1h {n}",) for n in many])
        connection.executemany("INSERT INTO seals VALUES (?, 1, 'no')", [(f"nothing {n}",) for n in many])
        connection.executemany("INSERT INTO chain_heads VALUES (?, 1, '', 0, '')", [(f"chain {n}",) for n in many])
    connection.close()
    tracemalloc.start()
    try:
        report = verify(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(report.problems) + report.omitted >= 5 * len(many)
    assert peak < 12_000_000


SHIPPED = ROOT / "tests" / "data" / "journals" / "daemon-0.1.0.sqlite.xz"


def test_r74_candles_of_an_older_version_are_covered_from_the_upgrade_on(tmp_path: Path) -> None:
    path = tmp_path / "bot.sqlite"
    path.write_bytes(lzma.decompress(SHIPPED.read_bytes()))
    assert upgrade(path, at_ms=0).backup is not None
    assert verify(path).fine
    with Attacker(path, "candles") as attacker:
        candles = attacker.rows
        row = candles[100]
        attacker.rewrite([*candles[:100], (*row[:6], repr(float(row[6]) * 1.25), row[7]), *candles[101:]])
    assert named(verify(path)) == {"candles"}
