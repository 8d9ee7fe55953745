"""Cursors over ten thousand rows: nothing is lost, nothing comes twice, whatever is written meanwhile."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from store import queries
from store.batch import Batch

TO_MS = 1_733_011_200_000
ROWS = 10_000


def fill_up(daemon: Any) -> int:
    """Journal the symbols' last steps again and again, several at the same instant; how many rows there are."""
    made = [daemon.newest("BTCUSDT", "PROTECTED"), daemon.newest("DOGEUSDT", "IDLE")]
    fresh = [
        replace(made[number % 2], id=0, at_ms=TO_MS + number // 5, prev_hash="", hash="", run_id="")
        for number in range(ROWS)
    ]
    for start in range(0, ROWS, 1_000):
        daemon.journal.commit(Batch(transitions=fresh[start : start + 1_000]))
    return queries.newest_ids(daemon.store).transition


def walk(browser: Any, daemon: Any, **wanted: Any) -> list[int]:
    seen: list[int] = []
    cursor = None
    while True:
        page = browser.get("/api/transitions", params={**wanted, **({"cursor": cursor} if cursor else {})}).json()
        seen += [row["id"] for row in page["transitions"]]
        cursor = page["cursor"]
        if cursor is None:
            return seen
        daemon.again(daemon.newest("DOGEUSDT", "IDLE"), TO_MS + ROWS)  # the journal goes on growing


def test_ten_thousand_rows_come_once_each_in_order(browser: Any, daemon: Any) -> None:
    total = fill_up(daemon)
    seen = walk(browser, daemon, limit=997)
    assert seen == sorted(seen, reverse=True)
    assert seen == list(range(total, 0, -1))


def test_the_same_under_a_filter(browser: Any, daemon: Any) -> None:
    fill_up(daemon)
    expected = [row.id for row in queries.each_transition(daemon.store, queries.TransitionFilter(symbol="BTCUSDT"))]
    assert walk(browser, daemon, limit=1_000, symbol="BTCUSDT") == sorted(expected, reverse=True)


def test_a_cursor_of_somebody_else_is_422(browser: Any) -> None:
    for cursor in ("x", "1", "1.2.3", "-1.2", "1.x", "9" * 30 + ".1", "٣.٣", "1.2; DROP TABLE transitions"):
        assert browser.get("/api/transitions", params={"cursor": cursor}).status_code == 422, cursor
