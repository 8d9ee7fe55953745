"""`check`: what can never be meant is refused, and what is unusual is warned of and taken all the same."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from fsm.config import Settings, read_settings, stored_settings
from rules.source.yaml_source import SourceError, parse_source
from store.batch import Batch
from store.database import open_store
from store.journal import Journal
from store.rows import SystemEventRow
from tests.effort import sampled

# what stands in config.yaml, what takes its place, a part of the warning
UNUSUAL: dict[str, tuple[str, str, str]] = {
    "leverage over 20": ("  leverage: 2 ", "  leverage: «25 ", "leverage 25 is above 20"),
    "a symbol's leverage over 20": (
        "  BTCUSDT: {enabled: true}",
        "  BTCUSDT: {enabled: true, leverage: «50}",
        "leverage 50 is above 20",
    ),
    "a loss limit over 20 %": ("  monthly_loss_pct: 10.0", "  monthly_loss_pct: «21", "21 % of equity may be lost"),
    "a drawdown over 30 %": ("  drawdown_pct: 25.0", "  drawdown_pct: «60", "60 % of equity may be lost"),
    "open risk above the daily limit": ("  max_open_risk_pct: 2.0", "  max_open_risk_pct: «3.5", "open risk 3.5 % is"),
    "stops that a fast fall takes below the daily limit": (
        "  max_open_positions: 3 ",
        "  max_open_positions: «4 ",
        "limits.daily_loss_pct 3.0 is less than 3.6 %, which the stops of as many positions lose in a fast fall",
    ),
    "a risk that looks like a fraction": (
        "  risk_per_trade_pct: 0.5 ",
        "  risk_per_trade_pct: «0.005 ",
        "this is 0.005 %, where 0.5 % is usual",
    ),
    "a symbol's risk that looks like a fraction": (
        "  BTCUSDT: {enabled: true}",
        "  BTCUSDT: {enabled: true, risk_per_trade_pct: «0.01}",
        "this is 0.01 %",
    ),
    "an exposure that looks like a fraction": (
        "  max_symbol_exposure_pct: 75 ",
        "  max_symbol_exposure_pct: «0.75 ",
        "this is 0.75 %, where 75 % is usual",
    ),
    "a fee of 0": (
        "  taker_fee_pct: 0.05            # assumed",
        "  taker_fee_pct: «0            # assumed",
        "for nothing",
    ),
    "slippage of 0": ("  slippage_pct: 0.05 ", "  slippage_pct: «0 ", "for nothing"),
    "a simulated fee of 0": ("  maker_fee_pct: 0.02", "  maker_fee_pct: «0", "for nothing"),
    "simulated slippage of 0": ("  slippage_pct: 0.02 ", "  slippage_pct: «0 ", "for nothing"),
    "slippage that no liquid market has": ("  slippage_pct: 0.05 ", "  slippage_pct: «2 ", "2 % of the price"),
    "simulated slippage that no liquid market has": (
        "  slippage_pct: 0.02 ",
        "  slippage_pct: «5 ",
        "5 % of the price",
    ),
    "fees that nobody pays": (
        "  taker_fee_pct: 0.05            # assumed",
        "  taker_fee_pct: «0.9            # assumed",
        "0.9 % of the price",
    ),
    "a limit order far away": ("  limit_offset_pct: 0.05 ", "  limit_offset_pct: «5 ", "waits 5 % away"),
    "a command that is a week old": ("  command_age_ms_max: 600000 ", "  command_age_ms_max: «604800000 ", "168 hours"),
    "candles that are read at once": ("  settle_delay_ms: 2000 ", "  settle_delay_ms: «0 ", "0 ms after its close"),
    "a symbol that no list knows": (
        "  XRPUSDT: {enabled: true}",
        "  XRPUSDT: {enabled: true}\n  «XRPUSDC: {enabled: true}",
        "XRPUSDC is in no list of symbols",
    ),
}

REFUSED: dict[str, tuple[str, str, str]] = {
    "a deadline above 30 s": ("  deadline_ms: 5000", "  deadline_ms: «30001", "at most 30000"),
    "a risk above 100 %": ("  max_open_risk_pct: 2.0", "  max_open_risk_pct: «101", "at most"),
    "a loss limit above 100 %": ("  drawdown_pct: 25.0", "  drawdown_pct: «101", "at most 100"),
    "a loss limit below 0": ("  daily_loss_pct: 3.0", "  daily_loss_pct: «-1", "greater than 0"),
}


def edited(project: Path, old: str, new: str) -> str:
    """Replaces ``old`` in config.yaml; the place of the mark, as problems give it."""
    path = project / "config.yaml"
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    before, _, after = text.replace(old, new).partition("«")
    path.write_text(before + after, "utf-8")
    return f"config.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: "


def test_the_shipped_files_give_no_warning(fsm) -> None:
    ended = fsm("check")
    assert (ended.code, ended.stderr) == (0, "")
    assert fsm("check", "--json").document["warnings"] == []


@pytest.mark.parametrize(("old", "new", "message"), sampled(UNUSUAL.values(), often=7), ids=UNUSUAL)
def test_what_is_unusual_is_warned_of_at_its_place_and_taken(fsm, project, old, new, message) -> None:
    place = edited(project, old, new)
    ended = fsm("check")
    assert ended.code == 0
    (warning,) = ended.stderr.splitlines()
    assert warning.startswith(place)
    assert message in warning


def test_the_document_has_the_warnings_that_are_told(fsm, project) -> None:
    for name in ("leverage over 20", "a fee of 0", "a command that is a week old"):
        edited(project, *UNUSUAL[name][:2])
    told = fsm("check").stderr.splitlines()
    warnings = fsm("check", "--json").document["warnings"]
    assert len(warnings) == 3
    places = [f"{each['file']}:{each['line']}:{each['column']}" for each in warnings]
    assert [f"{at}: {each['message']} (a warning)" for at, each in zip(places, warnings, strict=True)] == told


@pytest.mark.parametrize(("old", "new", "message"), REFUSED.values(), ids=REFUSED)
def test_what_can_never_be_meant_is_refused_at_its_place(fsm, project, old, new, message) -> None:
    place = edited(project, old, new)
    ended = fsm("check")
    assert ended.code == 2
    assert [line for line in ended.stderr.splitlines() if line.startswith(place) and message in line], ended.stderr


# what stands in rules.yaml, what takes its place, where the warning is, what it says
NEVER_ENTERED: dict[str, tuple[str, str, str, str]] = {
    "a regime": (
        '- {id: adx_weak, when: "adx_4h <= adx_range"}',
        '- {id: adx_weak, when: "adx_4h <= adx_range / 40"}',
        "  RANGE:\n    enter",
        "RANGE was entered 0 times in 18 months of BTCUSDT, DOGEUSDT, SOLUSDT, ETHUSDT, XRPUSDT",
    ),
    "a strategy": (
        "\n  squeeze_expansion: ",
        "\n  squeeze_expansion: 9",
        "  squeeze_breakout:\n    reward",
        "squeeze_breakout signalled 0 times in 18 months of",
    ),
    "a regime, by a symbol's own values": (
        "    thresholds: {bandwidth_range: 6, bandwidth_range_stay: 8}",
        "    thresholds: {bandwidth_range: 0.06, bandwidth_range_stay: 0.08}",
        "  BTCUSDT:\n    thresholds",
        "RANGE was entered 0 times in 18 months of BTCUSDT, by these values",
    ),
    "a strategy, by a symbol's own values": (
        "    thresholds: {bandwidth_range: 11,",
        "    thresholds: {squeeze_expansion: 900, bandwidth_range: 11,",
        "  DOGEUSDT:\n    thresholds",
        "squeeze_breakout signalled 0 times in 18 months of DOGEUSDT, by these values",
    ),
}


@pytest.mark.parametrize(
    ("old", "new", "where", "message"), sampled(NEVER_ENTERED.values(), often=2), ids=NEVER_ENTERED
)
def test_what_the_candles_at_hand_never_enter_is_warned_of(fsm, project, old, new, where, message) -> None:
    path = project / "rules.yaml"
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    text = text.replace(old, new)
    path.write_text(text, "utf-8")
    ended = fsm("check")
    line = text[: text.index(where)].count("\n") + 1
    (told,) = ended.stderr.splitlines()
    assert told.startswith(f"rules.yaml:{line}:3: {message}")
    assert ended.code == 0
    (warning,) = fsm("check", "--json").document["warnings"]
    assert message in warning["message"]


def test_candles_of_your_own_are_tried_and_where_there_are_none_nothing_is_said(fsm, project) -> None:
    days = project / "candles"
    days.mkdir()
    rows = "".join(f"{1_704_067_200_000 + n * 3_600_000},100,101,99,100,1\n" for n in range(70 * 24))
    header = "open_time_ms,open,high,low,close,volume\n"
    (days / "BTCUSDT-1h.csv.gz").write_bytes(gzip.compress((header + rows).encode()))
    warned = fsm("check", "--data", days).stderr
    assert "TREND was entered 0 times in 2 months of BTCUSDT (a warning)" in warned
    (days / "BTCUSDT-1h.csv.gz").unlink()
    ended = fsm("check", "--data", days)
    assert (ended.code, ended.stderr) == (0, "")
    assert "the rules were tried on none: --data names a folder" in ended.stdout
    assert fsm("check", "--data", days / "nowhere").code == 2


def test_candle_files_that_cannot_be_used_are_named(fsm, project) -> None:
    """Before, it said that the rules were tried on none, as where there is no file at all."""
    days = project / "candles"
    days.mkdir()
    header = "open_time_ms,open,high,low,close,volume\n"
    rows = "1704067200000,100,101,99,100,1\n1704070800000,100,ninety,99,100,1\n"
    broken, cut = days / "BTCUSDT-1h.csv.gz", days / "ETHUSDT-1h.csv.gz"
    broken.write_bytes(gzip.compress((header + rows).encode()))
    cut.write_bytes(gzip.compress((header + rows).encode())[:-12])
    ended = fsm("check", "--data", days)
    assert ended.code == 0
    told = [line for line in ended.stderr.splitlines() if line.endswith("(a warning)")]
    assert [line.partition(": ")[0] for line in told] == [f"{broken}:3:1", f"{cut}:1:1"], ended.stderr
    assert "the rules were tried on none: no candle file of your symbols can be used" in ended.stdout
    found = fsm("check", "--data", days, "--json").document["warnings"]
    assert [(each["file"], each["line"]) for each in found] == [(str(broken), 3), (str(cut), 1)]


def test_exposure_may_exceed_100_percent(fsm, project) -> None:
    edited(project, "  max_exposure_pct: 150", "  max_exposure_pct: «300")
    assert (fsm("check").code, fsm("check").stderr) == (0, "")


def test_a_symbol_that_the_exchange_told_the_last_bot_of_is_known(fsm, project) -> None:
    edited(project, "  XRPUSDT: {enabled: true}", "  XRPUSDT: {enabled: true}\n  «XRPUSDC: {enabled: true}")
    database = project / "own.sqlite"
    with open_store(database, mode="write") as store:
        facts = '{"filters": {"XRPUSDC": {}}}'
        Journal(store, "run-1").commit(Batch(system_events=[SystemEventRow(at_ms=1, kind="START", facts_json=facts)]))
    assert "XRPUSDC" in fsm("check").stderr
    assert "XRPUSDC" not in fsm("check", "--db", database).stderr


def test_settings_that_a_journal_keeps_are_not_asked_for_todays_checks() -> None:
    text = "version: 1\nsymbols: {BTCUSDT: {}}\nprotection: {deadline_ms: 60000}\n"
    with pytest.raises(SourceError):
        read_settings(parse_source(text, "config.yaml"))
    stored = stored_settings(text, "config of a journal")
    assert stored.protection.deadline_ms == 60_000
    assert stored == Settings(version=1, symbols=stored.symbols, protection=stored.protection)
    with pytest.raises(SourceError, match="config of a journal:1:1"):
        stored_settings("version: none\n", "config of a journal")
