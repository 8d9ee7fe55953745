"""Verification names every row that is not as it was written, and blames no other."""

from __future__ import annotations

import json
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import apsw
import pytest

from store import models
from store.batch import Batch
from store.canonical import digest
from store.database import open_store
from store.errors import DatabaseMissing, SchemaMismatch
from store.inbox import Inbox
from store.journal import Journal
from store.seals import SEALED
from store.tables import TABLES, Table
from store.verify import Report, verify
from tests.effort import sampled

CHAINED = [model._meta.table_name for model in models.CHAINED]
COVERED = [TABLES[model].name for model in dict.fromkeys((*models.CHAINED, *models.PROJECTIONS, *SEALED))]


class Tamperer:
    """Changes a closed database behind the program's back: triggers off, statements through, triggers as before."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.pragma("foreign_keys", 0)
        self._triggers = list(self._connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
        for name, _ in self._triggers:
            self._connection.execute(f"DROP TRIGGER {name}")

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        return self._connection.execute(sql, values).fetchall()

    def __enter__(self) -> Tamperer:
        return self

    def __exit__(self, *error: object) -> None:
        for _, sql in self._triggers:
            self._connection.execute(sql)
        self._connection.close()


@pytest.fixture
def tamperer(path: Path) -> Any:
    return lambda: Tamperer(path)


@pytest.fixture
def written(path: Path, image: bytes) -> Path:
    """A closed database with rows in every table."""
    path.write_bytes(image)
    return path


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, story: Any) -> bytes:
    """It is written once, and each test has a copy of its own."""
    path = tmp_path_factory.mktemp("written") / "bot.sqlite"
    with open_store(path, mode="write") as store:
        store.bind(environment="testnet", account="main", at_ms=story.start)
        with Journal(store, "run-1", flush_every=20) as journal:
            for batch in story.day(symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"), trades=3):
                journal.commit(batch)
        Inbox(store).post("pause", None, "cli", story.start)
    wal = path.with_name("bot.sqlite-wal")
    assert not wal.exists() or wal.stat().st_size == 0, "the one file is all of it"
    return path.read_bytes()


def named(report: Report) -> set[tuple[str, str]]:
    return {(problem.table, problem.row_id) for problem in report.problems}


def test_an_untouched_database_verifies_and_every_row_was_looked_at(written: Path, dump: Any) -> None:
    report = verify(written)
    assert report.problems == ()
    assert report.fine
    assert report.checked == {name: len(rows) for name, rows in dump(written).items() if name in COVERED}
    assert all(report.checked[name] for name in COVERED)


@pytest.mark.parametrize("table", CHAINED)
def test_a_changed_row_is_named_even_when_its_own_hash_was_made_to_fit(
    written: Path, tamperer: Any, table: str
) -> None:
    columns = next(TABLES[model].hashed for model in models.CHAINED if TABLES[model].name == table)
    with tamperer() as raw:
        raw.execute(f"UPDATE {table} SET at_ms = at_ms + 1 WHERE id = 1")
        row = raw.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE id = 1")[0]
        raw.execute(f"UPDATE {table} SET hash = ? WHERE id = 1", (digest(columns, row),))
        last = raw.execute(f"SELECT max(id) FROM {table}")[0][0]
    problems = [problem for problem in verify(written).problems if problem.table in (table, "chain_heads")]
    if last == 1:
        assert [(problem.table, problem.row_id) for problem in problems] == [("chain_heads", table)]
    else:
        assert [(problem.table, problem.row_id) for problem in problems] == [(table, "2")]
        assert "row 1" in problems[0].what


@pytest.mark.parametrize("table", CHAINED)
def test_removed_rows_are_named_wherever_they_were(written: Path, tamperer: Any, table: str) -> None:
    with tamperer() as raw:
        last = raw.execute(f"SELECT max(id) FROM {table}")[0][0]
        raw.execute(f"DELETE FROM {table} WHERE id = ?", (last,))
    assert (table, str(last)) in named(verify(written))
    with tamperer() as raw:
        raw.execute(f"DELETE FROM {table}")
    assert (table, "1" if last == 1 else f"1..{last}") in named(verify(written))


def test_a_hole_in_the_middle_is_named_and_the_row_after_it_is_not_blamed(written: Path, tamperer: Any) -> None:
    with tamperer() as raw:
        raw.execute("DELETE FROM decisions WHERE id IN (2, 3)")
    assert named(verify(written)) == {("decisions", "2..3")}


def test_a_chain_rewritten_to_its_end_is_caught_by_the_recorded_head(written: Path, tamperer: Any) -> None:
    table = TABLES[models.EquitySnapshot]
    with tamperer() as raw:
        raw.execute("UPDATE equity_snapshots SET equity = '99999' WHERE id = 2")
        before = raw.execute("SELECT hash FROM equity_snapshots WHERE id = 1")[0][0]
        for (row_id,) in raw.execute("SELECT id FROM equity_snapshots WHERE id > 1 ORDER BY id"):
            raw.execute("UPDATE equity_snapshots SET prev_hash = ? WHERE id = ?", (before, row_id))
            row = raw.execute(f"SELECT {', '.join(table.hashed)} FROM equity_snapshots WHERE id = ?", (row_id,))[0]
            before = digest(table.hashed, row)
            raw.execute("UPDATE equity_snapshots SET hash = ? WHERE id = ?", (before, row_id))
    assert named(verify(written)) == {("chain_heads", "equity_snapshots")}


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("symbols", "state", "HALT"),
        ("symbols", "record_json", "{}"),
        ("account", "equity_high", "0"),
        ("trades", "net_pnl", "1000000"),
        ("trades", "flagged", "no"),
        ("orders", "quantity", "12"),
        ("positions", "size", "0.001"),
        ("intents", "payload_json", "{}"),
        ("intents", "client_id", None),
    ],
)
def test_a_projection_that_differs_from_its_rebuild_is_named_even_with_a_fitting_hash(
    written: Path, tamperer: Any, table: str, column: str, value: Any
) -> None:
    spec = next(spec for spec in TABLES.values() if spec.name == table)
    with tamperer() as raw:
        key = raw.execute(f"SELECT {spec.key[0]} FROM {table} WHERE {column} IS NOT ? LIMIT 1", (value,))[0][0]
        raw.execute(f"UPDATE {table} SET {column} = ? WHERE {spec.key[0]} = ?", (value, key))
        row = raw.execute(f"SELECT {', '.join(spec.hashed)} FROM {table} WHERE {spec.key[0]} = ?", (key,))[0]
        raw.execute(f"UPDATE {table} SET row_hash = ? WHERE {spec.key[0]} = ?", (digest(spec.hashed, row), key))
    (problem,) = verify(written).problems
    assert (problem.table, problem.row_id) == (table, str(key))
    assert column in problem.what


@pytest.mark.parametrize("table", ["symbols", "account", "trades", "orders", "positions", "intents"])
def test_projection_rows_that_are_missing_or_invented_are_named(written: Path, tamperer: Any, table: str) -> None:
    spec = next(spec for spec in TABLES.values() if spec.name == table)
    with tamperer() as raw:
        row = list(raw.execute(f"SELECT * FROM {table} LIMIT 1")[0])
        raw.execute(f"DELETE FROM {table} WHERE {spec.key[0]} = ?", (row[0],))
    missing = verify(written)
    assert named(missing) == {(table, str(row[0]))}
    assert "not in the table" in missing.problems[0].what
    if table == "account":
        return
    with tamperer() as raw:
        invented = ["INVENTED", *row[1:-1]]
        for values in (row, [*invented, digest(spec.hashed, invented)]):
            raw.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", tuple(values))
    extra = verify(written)
    assert named(extra) == {(table, "INVENTED")}
    assert extra.problems[0].what == "is not in the journal"


def test_a_missing_trigger_an_added_one_and_a_changed_table_are_named(written: Path) -> None:
    raw = apsw.Connection(str(written))
    raw.execute("DROP TRIGGER transitions_delete")
    raw.execute("CREATE TRIGGER sneaky AFTER INSERT ON fills BEGIN DELETE FROM alerts; END")
    raw.execute("ALTER TABLE commands ADD COLUMN extra TEXT")
    raw.close()
    assert [problem.what for problem in verify(written).problems] == [
        "trigger transitions_delete is missing",
        "trigger sneaky is not part of the schema",
        "table commands was changed",
    ]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, story: Any) -> Path:
    """A closed database with a dozen rows or more in each table that can have them."""
    path: Path = tmp_path_factory.mktemp("crowded") / "bot.sqlite"
    symbols = tuple(f"COIN{number:02}USDT" for number in range(12))
    with open_store(path, mode="write") as store:
        store.bind(environment="testnet", account="main", at_ms=story.start)
        with Journal(store, "run-1", flush_every=50) as journal:
            for batch in story.day(symbols=symbols, trades=1):
                journal.commit(batch)
            for number in range(12):
                opening = story.round_trip(symbols[number], 3, story.start + 90 * story.hour)[:4]
                journal.commit(story.versions(story.start, number))
                journal.commit(Batch(transitions=opening, equity=[story.equity(story.start + number)]))
    return path


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory, story: Any) -> Path:
    """A closed database with little in it, for the tables that have a single row anyway."""
    path: Path = tmp_path_factory.mktemp("sparse") / "bot.sqlite"
    with open_store(path, mode="write") as store:
        store.bind(environment="testnet", account="main", at_ms=story.start)
        Journal(store, "run-1").commit(Batch(system_events=[story.account_event(story.start, halt="LIMIT_DAY")]))
    return path


@pytest.mark.parametrize(
    "model", sampled([*models.CHAINED, *models.PROJECTIONS], often=3), ids=lambda model: model._meta.table_name
)
def test_every_flipped_byte_of_every_column_is_found_and_its_row_named(
    crowded: Path, sparse: Path, tmp_path: Path, model: Any
) -> None:
    """Each row gets one byte flipped, another one every round, until every byte of every column had its turn."""
    table, copy = TABLES[model], tmp_path / "flipped.sqlite"
    source = sparse if model in (models.AccountState, models.Identity) else crowded
    waiting = _flips(source, table)
    assert sum(len(flips) for flips in waiting.values()) > 80
    while any(waiting.values()):
        shutil.copyfile(source, copy)
        keys, columns = _flip(copy, table, {rowid: flips.pop() for rowid, flips in waiting.items() if flips})
        found = named(verify(copy))
        assert {(table.name, key) for key in keys} <= found, columns
        if not columns & {*SPEAKS_OF_OTHERS.get(table.name, ()), *table.key, "hash"}:
            assert found == {(table.name, key) for key in keys}, columns


SPEAKS_OF_OTHERS = {
    "transitions": ("effect_json", "at_ms", "symbol", "trade_id"),
    "system_events": ("facts_json", "at_ms"),
    "chain_heads": ("last_id",),
}
"""What follows from a change in these may be named as well: projections, rows that seem to be missing."""

Flip = tuple[str, int]


def _flips(path: Path, table: Table) -> dict[int, list[Flip]]:
    """Every (column, place of a byte), dealt out to the rows."""
    raw = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = raw.execute(f"SELECT rowid, {', '.join(table.columns)} FROM {table.name}").fetchall()
    raw.close()
    dealt: dict[int, list[Flip]] = {row[0]: [] for row in rows}
    for number, column in enumerate(table.columns, start=1):
        integer_key = column == "id" and isinstance(rows[0][number], int)
        lengths = {row[0]: 0 if integer_key else _length(row[number]) for row in rows}
        for place in range(max(lengths.values())):
            able = [rowid for rowid, length in lengths.items() if length > place]
            dealt[min(able, key=lambda rowid: len(dealt[rowid]))].append((column, place))
    return dealt


def _length(value: Any) -> int:
    return len(value.encode()) if isinstance(value, str) else 1 if value is None else 8


def _flip(path: Path, table: Table, flips: dict[int, Flip]) -> tuple[set[str], set[str]]:
    """Flip a byte in each of the given rows; returns their keys and the columns in which it was done."""
    raw = apsw.Connection(str(path))
    raw.pragma("synchronous", 0)
    triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table.name,))
    done: dict[int, str] = {}
    with raw:
        dropped = triggers.fetchall()
        for name, _ in dropped:
            raw.execute(f"DROP TRIGGER {name}")
        for rowid, (column, place) in flips.items():
            value = raw.execute(f"SELECT {column} FROM {table.name} WHERE rowid = ?", (rowid,)).get
            changed, stored_as = _flipped(column, value, place)
            try:
                raw.execute(f"UPDATE {table.name} SET {column} = {stored_as} WHERE rowid = ?", (changed, rowid))
            except apsw.ConstraintError:
                continue  # one key became another's: the index would not have it
            done[rowid] = column
        keys = dict(raw.execute(f"SELECT rowid, hex({table.key[0]}) FROM {table.name}"))
        for _, sql in dropped:
            raw.execute(sql)
    raw.close()
    return {bytes.fromhex(keys[rowid]).decode(errors="replace") for rowid in done}, set(done.values())


def _flipped(column: str, value: Any, place: int) -> tuple[Any, str]:
    if isinstance(value, str):
        text = bytearray(value.encode())
        text[place] ^= 0x80 if place % 5 == 4 else 0x01  # now and then text that is not UTF-8 any more
        return bytes(text), "CAST(? AS TEXT)"
    if isinstance(value, float):
        packed = bytearray(struct.pack(">d", value))
        packed[place] ^= 0x01
        return struct.unpack(">d", packed)[0], "?"
    if isinstance(value, int):
        return int.from_bytes(struct.pack(">q", value ^ (1 << (8 * place))), "big", signed=True), "?"
    return (0 if column.endswith("_ms") or column == "order_id" else "0"), "?"


def test_flipping_any_byte_of_the_file_is_noticed_or_changes_nothing(written: Path, tmp_path: Path, dump: Any) -> None:
    """A damaged file is a report, never a crash: a seeded sample over the whole file, both a low and a high bit."""
    content = written.read_bytes()
    copy = tmp_path / "flipped.sqlite"
    before = {name: rows for name, rows in dump(written).items() if name in COVERED}
    chance = random.Random(7)
    noticed = 0
    for place in [*range(0, 100, 3), *(chance.randrange(len(content)) for _ in range(250))]:
        bit = chance.choice((0x01, 0x80))
        copy.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
        try:
            problems = len(verify(copy).problems)
        except SchemaMismatch:
            problems = 1
        if problems:
            noticed += 1
            continue
        after = {name: rows for name, rows in dump(copy).items() if name in COVERED}
        assert after == before, place
    assert noticed > 60


@pytest.mark.parametrize("kept", [0, 50, 100, 8_192, 20_000, 100_000])
def test_a_file_cut_short_is_a_problem_and_not_a_crash(written: Path, kept: int) -> None:
    written.write_bytes(written.read_bytes()[:kept])
    assert not verify(written).fine


def test_a_file_that_is_no_database_is_a_problem_and_a_missing_one_an_error(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(b"dear diary\n" * 2_000)
    assert [problem.table for problem in verify(path).problems] == ["database"]
    with pytest.raises(DatabaseMissing):
        verify(tmp_path / "nowhere.sqlite")
    assert not (tmp_path / "nowhere.sqlite").exists()


def test_after_a_full_verification_a_start_only_looks_at_the_tail(path: Path, story: Any, tamperer: Any) -> None:
    with open_store(path, mode="write") as store:
        journal = Journal(store, "run-1")
        for number in (1, 2):
            journal.commit(Batch(transitions=story.round_trip("BTCUSDT", number, story.start + number)))
        journal.mark_verified(verify(path).verified)
        journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 3, story.start + 3)))
    tail = verify(path, tail_only=True)
    assert (tail.problems, tail.checked["transitions"], tail.checked["symbols"]) == ((), 6, 1)
    assert verify(path).checked["transitions"] == 18
    with tamperer() as raw:
        raw.execute("UPDATE transitions SET reason = 'X' WHERE id IN (4, 15)")
        raw.execute("UPDATE symbols SET paused = 1")
    assert named(verify(path, tail_only=True)) == {("transitions", "15"), ("symbols", "BTCUSDT")}


def test_a_database_is_verified_while_it_is_being_written_to(path: Path, story: Any) -> None:
    with open_store(path, mode="write") as store:
        journal = Journal(store, "run-1")
        for number in range(1, 6):
            journal.commit(Batch(transitions=story.round_trip("BTCUSDT", number, story.start + number)))
            report = verify(path, progress=lambda table, count: None)
            assert (report.problems, report.checked["transitions"]) == ((), 6 * number)


def test_progress_is_told_for_long_tables(path: Path, story: Any) -> None:
    with open_store(path, mode="write") as store, Journal(store, "run-1", flush_every=100) as journal:
        for number in range(100):
            rows = [story.equity(story.start + 200 * number + k) for k in range(201)]
            journal.commit(Batch(equity=rows))
    told: list[tuple[str, int]] = []
    verify(path, progress=lambda table, count: told.append((table, count)))
    assert told == [("equity_snapshots", 10_000), ("equity_snapshots", 20_000)]


def test_of_countless_problems_only_so_many_are_listed(path: Path, story: Any, tamperer: Any) -> None:
    with open_store(path, mode="write") as store, Journal(store, "run-1", flush_every=100) as journal:
        for _ in range(11):
            journal.commit(Batch(equity=[story.equity(story.start + k) for k in range(1_000)]))
    with tamperer() as raw:
        raw.execute("UPDATE equity_snapshots SET balance = '1'")
    report = verify(path)
    assert (len(report.problems), report.omitted, report.fine) == (10_000, 1_000, False)
    assert report.verified == {}


def test_an_effect_that_no_longer_reads_is_named_once(written: Path, tamperer: Any) -> None:
    with tamperer() as raw:
        effect = json.loads(raw.execute("SELECT effect_json FROM transitions WHERE id = 2")[0][0])
        effect["record"]["symbol"] = "XRPUSDT"
        raw.execute("UPDATE transitions SET effect_json = ? WHERE id = 2", (json.dumps(effect),))
    found = [problem for problem in verify(written).problems if problem.table == "transitions"]
    assert [problem.row_id for problem in found] == ["2", "2"]
    assert "its record of XRPUSDT" in found[1].what
