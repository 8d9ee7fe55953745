"""Rules of symbols out of files beside the candles: they add to the shipped ones, win, and have their day."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.candle_columns import CandleFileError
from exchange.sim.playback.rulebook import Rulebook
from exchange.sim.playback.symbols import shipped_exchange_info, shipped_folder, symbol_rows

DAY_MS = 86_400_000
MAY = 1_714_521_600_000  # 2024-05-01
ROWS = {str(row["symbol"]): row for row in symbol_rows(shipped_exchange_info())}
BRACKETS = {row["symbol"]: row for row in json.loads((shipped_folder() / "brackets.json").read_text())}


def row(symbol: str, tick: str = "0.0001", like: str = "DOGEUSDT") -> dict[str, object]:
    filters = [
        {**rule, "tickSize": tick} if rule["filterType"] == "PRICE_FILTER" else rule
        for rule in ROWS[like]["filters"]  # type: ignore[attr-defined]
    ]
    return {**ROWS[like], "symbol": symbol, "filters": filters}


def write(folder: Path, name: str, *rows: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps({"symbols": rows} if name.startswith("symbols") else rows))


def brackets(symbol: str) -> dict[str, object]:
    return {**BRACKETS["DOGEUSDT"], "symbol": symbol}


def test_an_own_coin_adds_to_the_shipped_ones(tmp_path: Path) -> None:
    write(tmp_path, "symbols.json", row("OWNUSDT"))
    write(tmp_path, "brackets.json", brackets("OWNUSDT"))
    book = Rulebook.read([shipped_folder(), tmp_path])
    assert book.filters["OWNUSDT"].tick_size == Decimal("0.0001")
    assert book.brackets["OWNUSDT"] == book.brackets["DOGEUSDT"]
    assert book.missing(["OWNUSDT", "BTCUSDT"]) == ""
    assert "OWNUSDT" in {entry["symbol"] for entry in symbol_rows(book.exchange_info)}
    assert (book.dated["OWNUSDT"].filters, book.dated["BTCUSDT"].filters) == (None, "2025-12-24")


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "symbols.json", row("OWNUSDT"))
    book = Rulebook.read([tmp_path])
    told = book.missing(["OWNUSDT", "OTHERUSDT"])
    assert "no filters are known of OTHERUSDT: `data download --symbols OTHERUSDT` fetches them" in told
    assert "no leverage brackets are known of OWNUSDT, OTHERUSDT: `" in told
    assert "--like WIFUSDT` takes the table of a similar coin" in told


def test_rules_are_those_of_the_time(tmp_path: Path) -> None:
    write(tmp_path, "symbols-2024-03-01.json", row("SOLUSDT", "0.001"))
    write(tmp_path, "symbols-2024-06-01.json", row("SOLUSDT", "0.01"))
    write(tmp_path, "funding-info-2024-06-01.json", {"symbol": "SOLUSDT", "fundingIntervalHours": 4})

    def found(at_ms: int | None) -> tuple[str, str | None, int]:
        book = Rulebook.read([tmp_path], at_ms)
        filters = book.filters["SOLUSDT"]
        return str(filters.tick_size), book.dated["SOLUSDT"].filters, filters.funding_interval_hours

    assert found(MAY) == ("0.001", "2024-03-01", 4)
    assert found(MAY + 40 * DAY_MS) == ("0.01", "2024-06-01", 4)
    assert found(None) == ("0.01", "2024-06-01", 4)
    assert found(MAY - 200 * DAY_MS) == ("0.001", "2024-03-01", 4)
    dated = Rulebook.read([tmp_path], MAY - 200 * DAY_MS).dated["SOLUSDT"]
    assert not dated.is_known("2023-10-01")
    assert dated.changes == ("2024-03-01", "2024-06-01")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("symbols.json", "[]", "exchangeInfo, an object with a list of symbols"),
        ("symbols.json", "{", "exchangeInfo"),
        ("brackets.json", '{"symbols": []}', "leverageBracket, a list"),
        ("symbols.json", '{"symbols": [{}]}', "entry 1 has no symbol"),
        ("symbols-2024-13-01.json", '{"symbols": []}', "2024-13-01 is no day"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CandleFileError, match=message) as error:
        Rulebook.read([tmp_path])
    assert str(error.value).startswith(f"{tmp_path / name}:1: ")


def test_an_entry_that_cannot_be_read_concerns_its_symbol_alone(tmp_path: Path) -> None:
    """The whole answer of an exchange may lie there, with contracts of other kinds."""
    write(tmp_path, "symbols.json", row("OWNUSDT"), {"symbol": "ODDUSDT", "filters": []})
    write(tmp_path, "brackets.json", brackets("OWNUSDT"), {"symbol": "ODDUSDT", "brackets": []})
    book = Rulebook.read([tmp_path])
    assert book.missing(["OWNUSDT"]) == ""
    assert book.missing(["ODDUSDT"]).startswith(f"{tmp_path}")
    assert "copy its entry of GET /fapi/v1" in book.missing(["ODDUSDT"])
