"""`audit`: the list with its filters, one transition in full, verification, export; `replay`."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import apsw
import pytest


def change(path: Path, sql: str) -> None:
    """Change a row as somebody would who wants to hide something: the triggers are put back afterwards."""
    connection = apsw.Connection(str(path))
    triggers = list(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(sql)
    assert connection.changes() == 1
    for _, text in triggers:
        connection.execute(text)
    connection.close()


class TestList:
    def test_the_newest_transitions_come_last(self, fsm, journal) -> None:
        found = fsm("audit", "--limit", "5", "--json", "--db", journal).document["transitions"]
        ids = [row["id"] for row in found]
        everything = fsm("audit", "--limit", "10000", "--json", "--db", journal).document["transitions"]
        assert ids == [row["id"] for row in everything][-5:]
        assert ids == sorted(ids)

    def test_the_table_names_time_symbol_trade_states_trigger_and_reason(self, fsm, journal) -> None:
        lines = fsm("audit", "--limit", "10000", "--db", journal).stdout.splitlines()
        assert lines[0].split() == ["id", "time", "UTC", "symbol", "trade", "states", "trigger", "reason"]
        first = r" *1  2024-\d\d-\d\d \d\d:00 +BTCUSDT  BTCUSDT-1 +IDLE → SIGNALLED +signal +\w+ (LONG|SHORT)"
        assert re.fullmatch(first, lines[1])
        assert not any(line.endswith(" ") for line in lines)

    def test_each_filter_leaves_what_it_names(self, fsm, journal) -> None:
        def ids(*args: str) -> list[int]:
            ended = fsm("audit", *args, "--limit", "10000", "--json", "--db", journal)
            assert ended.code == 0, ended.stderr
            return [row["id"] for row in ended.document["transitions"]]

        rows = fsm("audit", "--limit", "10000", "--json", "--db", journal).document["transitions"]
        middle = rows[len(rows) // 2]

        def expected(test) -> list[int]:
            return [row["id"] for row in rows if test(row)]

        assert ids("--symbol", "btcusdt") == expected(lambda row: True)
        assert ids("--symbol", "ETHUSDT") == []
        assert ids("--state", "protected") == expected(lambda row: row["dest"] == "PROTECTED")
        assert ids("--trigger", "signal") == expected(lambda row: row["trigger"] == "signal")
        assert ids("--trade", "BTCUSDT-2") == expected(lambda row: row["trade_id"] == "BTCUSDT-2")
        assert ids("--since", str(middle["at_ms"])) == expected(lambda row: row["at_ms"] >= middle["at_ms"])
        assert ids("--until", str(middle["at_ms"])) == expected(lambda row: row["at_ms"] < middle["at_ms"])
        assert ids("--since", "2024-08-01", "--until", "2024-10-31") == expected(lambda row: True)
        assert 0 < len(ids("--trade", "BTCUSDT-2", "--trigger", "fill")) < len(ids("--trade", "BTCUSDT-2"))

    def test_nothing_found_is_said(self, fsm, journal) -> None:
        ended = fsm("audit", "--symbol", "ETHUSDT", "--db", journal)
        assert (ended.code, ended.stdout) == (
            0,
            "no transition matches: ETHUSDT is not among the symbols; there are BTCUSDT\n",
        )

    @pytest.mark.parametrize(
        "args",
        [["--state", "HAPPY"], ["--trigger", "x"], ["--limit", "0"], ["--since", "soon"], ["--symbol", "X", "verify"]],
    )
    def test_a_filter_that_means_nothing_is_bad_usage(self, fsm, journal, args) -> None:
        assert fsm("audit", *args, "--db", journal).code == 2


class TestShow:
    def test_everything_behind_a_transition_is_there(self, fsm, journal) -> None:
        found = fsm("audit", "show", "1", "--json", "--db", journal).document
        assert (found["id"], found["trigger"], found["source"], found["dest"]) == (1, "signal", "IDLE", "SIGNALLED")
        assert found["event"]["facts"]
        assert found["event"]["regime"]["regime"] == found["effect"]["record"]["trade"]["regime"]
        assert all(guard["passed"] for guard in found["guards"])
        assert {"MAX_OPEN_POSITIONS", "STOP_BEYOND_LIQ"} <= {guard["name"] for guard in found["guards"]}
        assert [intent["kind"] for intent in found["intents"]] == ["EnsureSetup"]
        assert found["intents"][0]["status"] == "CONFIRMED"
        assert len(found["hash"]) == len(found["prev_hash"]) == 64

    def test_the_text_has_the_same_parts(self, fsm, journal) -> None:
        text = fsm("audit", "show", "1", "--db", journal).stdout
        for title in ("Guards", "Intents", "Facts", "Event CandleClosed", "Record afterwards", "Hashes"):
            assert f"\n{title}\n" in text
        assert re.search(r"(?m)^yes +MAX_OPEN_POSITIONS +1 +<= 3$", text)
        assert re.search(r"(?m)^candle_ms +\d{13} \(2024-", text)

    def test_a_transition_that_ends_a_trade_shows_the_trade(self, fsm, journal) -> None:
        flat = fsm("audit", "--trigger", "flat", "--json", "--db", journal).document["transitions"][0]
        assert "Trade as it ended" in fsm("audit", "show", flat["id"], "--db", journal).stdout

    def test_an_id_that_is_not_there_is_said(self, fsm, journal) -> None:
        ended = fsm("audit", "show", "999999", "--db", journal)
        assert ended.code == 2
        assert "no transition 999999" in ended.stderr
        assert fsm("audit", "show", "first", "--db", journal).code == 2


class TestVerify:
    def test_an_untouched_database_is_fine(self, fsm, journal) -> None:
        ended = fsm("audit", "verify", "--db", journal)
        assert ended.code == 0, ended.stdout
        assert re.search(r"fine; \d+ rows in \d+ tables checked\n$", ended.stdout)
        found = fsm("audit", "verify", "--json", "--db", journal).document
        assert found["problems"] == []
        assert found["checked"]["transitions"] > 10

    @pytest.mark.parametrize(
        ("sql", "table", "row"),
        [
            ("UPDATE transitions SET reason = 'X' || substr(reason, 2) WHERE id = 7", "transitions", "7"),
            ("UPDATE decisions SET facts_json = replace(facts_json, '1', '2') WHERE id = 3", "decisions", "3"),
            ("UPDATE equity_snapshots SET balance = '1' WHERE id = 2", "equity_snapshots", "2"),
            ("UPDATE rule_versions SET text = text || ' ' WHERE id = 1", "rule_versions", "1"),
            ("UPDATE trades SET net_pnl = '1000' WHERE id = 'BTCUSDT-2'", "trades", "BTCUSDT-2"),
            ("UPDATE symbols SET state = 'HALT' WHERE symbol = 'BTCUSDT'", "symbols", "BTCUSDT"),
            ("DELETE FROM transitions WHERE id = (SELECT max(id) FROM transitions)", "transitions", None),
        ],
    )
    def test_a_changed_row_is_named_with_exit_code_4(self, fsm, journal_copy, sql, table, row) -> None:
        change(journal_copy, sql)
        ended = fsm("audit", "verify", "--db", journal_copy)
        assert ended.code == 4
        assert re.search(rf"(?m)^{table} {row or ''}", ended.stdout)
        found = fsm("audit", "verify", "--json", "--db", journal_copy)
        assert found.code == 4
        assert any(
            problem["table"] == table and row in (None, problem["row"]) for problem in found.document["problems"]
        )

    def test_r74_a_head_that_was_kept_must_be_in_the_journal(self, fsm, journal) -> None:
        rows = fsm("audit", "--json", "--db", journal).document["transitions"]
        assert fsm("audit", "verify", "--head", rows[-1]["hash"], "--db", journal).code == 0
        ended = fsm("audit", "verify", "--head", "0" * 63 + "1", "--db", journal)
        assert ended.code == 4
        assert "is nowhere in it: it was cut off" in ended.stdout

    def test_r74_candles_that_were_multiplied_are_named_with_exit_code_4(self, fsm, journal_copy) -> None:
        """Eleven of them, times 1.25: it was fine."""
        connection = apsw.Connection(str(journal_copy))
        chosen = "SELECT open_time_ms FROM candles WHERE timeframe = '1h' ORDER BY open_time_ms LIMIT 11 OFFSET 50"
        connection.execute(f"UPDATE candles SET close = CAST(close * 1.25 AS TEXT) WHERE open_time_ms IN ({chosen})")
        connection.close()
        ended = fsm("audit", "verify", "--db", journal_copy)
        assert ended.code == 4
        assert re.search(r"(?m)^candles BTCUSDT 1h 20\d\d-\d\d-\d\d\.\.20\d\d-\d\d-\d\d: one or more of", ended.stdout)


class TestExport:
    def test_csv_has_every_column_and_row(self, fsm, journal) -> None:
        everything = fsm("audit", "--limit", "10000", "--json", "--db", journal).document["transitions"]
        rows = list(csv.DictReader(io.StringIO(fsm("audit", "export", "--format", "csv", "--db", journal).stdout)))
        assert [int(row["id"]) for row in rows] == [row["id"] for row in everything]
        assert {"facts_json", "guards_json", "event_json", "effect_json", "prev_hash", "hash"} <= set(rows[0])

    def test_json_lines_hold_one_row_each_and_keep_to_the_filters(self, fsm, journal) -> None:
        text = fsm("audit", "export", "--format", "jsonl", "--trade", "BTCUSDT-2", "--db", journal).stdout
        rows = [json.loads(line) for line in text.splitlines()]
        assert {row["trade_id"] for row in rows} == {"BTCUSDT-2"}
        assert isinstance(rows[0]["facts_json"], dict)
        assert fsm("audit", "export", "--trade", "BTCUSDT-2", "--json", "--db", journal).document == rows


class TestReplay:
    def test_every_decision_comes_out_the_same(self, fsm, journal) -> None:
        ended = fsm("replay", journal)
        assert re.fullmatch(r"identical: \d{2,}, different: 0\n", ended.stdout), ended.stdout
        assert ended.code == 0
        assert fsm("replay", "--json", "--db", journal).document["different"] == 0

    def test_a_decision_that_comes_out_differently_is_named_with_exit_code_4(self, fsm, journal_copy) -> None:
        change(journal_copy, "UPDATE decisions SET reason = 'NOT_ACCEPTED' WHERE id = 1")
        ended = fsm("replay", journal_copy)
        assert ended.code == 4
        assert "different: 1\n" in ended.stdout
        assert "decisions 1: reason was NOT_ACCEPTED, now " in ended.stdout
        assert fsm("replay", journal_copy, "--json").document["different"] == 1

    def test_a_journal_without_the_rules_it_names_cannot_be_replayed(self, fsm, journal_copy) -> None:
        change(journal_copy, "DELETE FROM rule_versions")
        ended = fsm("replay", journal_copy)
        assert ended.code == 4
        assert "cannot be replayed" in ended.stderr

    @pytest.mark.parametrize("column", ["facts_json", "guards_json"])
    def test_a_row_that_cannot_be_read_fails_verification(self, fsm, journal_copy, column) -> None:
        change(journal_copy, f"UPDATE decisions SET {column} = '{{' WHERE id = 1")
        assert fsm("audit", "verify", "--db", journal_copy).code == 4
        explained = fsm("why", "BTCUSDT", "--at", "2024-08-01T01:00", "--db", journal_copy)
        assert explained.code == 4
        assert "find the row with `audit verify`" in explained.stderr
        if column == "facts_json":
            again = fsm("replay", journal_copy, "--json")
            assert (again.code, again.document["error"]["code"]) == (4, "DatabaseDamaged")

    def test_stored_rules_that_cannot_be_read_fail_verification(self, fsm, journal_copy) -> None:
        change(journal_copy, "UPDATE rule_versions SET text = replace(text, 'version: 1', 'version: one')")
        for args in (["why", "BTCUSDT", "--db", journal_copy], ["replay", journal_copy]):
            ended = fsm(*args)
            assert ended.code == 4
            assert "cannot be read: rules " in ended.stderr
