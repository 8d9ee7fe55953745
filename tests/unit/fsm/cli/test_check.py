"""`check`: every way to break a file is answered with its place, all problems at once, and exit code 2."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.effort import sampled

MARK = "«"
"""Stands in front of the character that a problem must point at; it is not written to the file."""

SHORT = "version: 1\nsymbols: {BTCUSDT: {}}\n"
ADX = "  adx_4h: {indicator: adx, timeframe: 4h, period: 14}"
STRONG = 'when: "adx_4h >= adx_trend"'

# file, what is replaced (None: the whole file), what takes its place, a part of the message
BROKEN: dict[str, tuple[str, str | None, str, str]] = {
    "another symbol that nobody knows": (
        "rules.yaml",
        'id: adx_strong, when: "adx_4h >= adx_trend"',
        'id: adx_strong, when: "adx_4h >= adx_trend and «BTCUDST.adx_4h > 20"',
        "did you mean BTCUSDT?",
    ),
    "another symbol's name of nothing": (
        "rules.yaml",
        'id: adx_strong, when: "adx_4h >= adx_trend"',
        'id: adx_strong, when: "adx_4h >= adx_trend and «BTCUSDT.adx_5h > 20"',
        "did you mean adx_4h?",
    ),
    "unknown key": ("config.yaml", "  max_open_positions: 3", "  «max_open_position: 3", "did you mean max_open_pos"),
    "text for a number": ("config.yaml", "  leverage: 2 ", "  leverage: «two ", "expected a whole number"),
    "number too large": ("config.yaml", "  leverage: 2 ", "  leverage: «200 ", "at most 125"),
    "fraction for a whole number": ("config.yaml", "  leverage: 2 ", "  leverage: «2.5 ", "expected a whole number"),
    "number too small": ("config.yaml", "  candles_min: 200", "  candles_min: «100", "at least 200"),
    "duplicate key": (
        "config.yaml",
        "  risk_per_trade_pct: 0.5",
        "  risk_per_trade_pct: 0.5\n  «risk_per_trade_pct: 1",
        "written twice",
    ),
    "value that is not offered": (
        "config.yaml",
        "  margin_type: ISOLATED",
        "  margin_type: «CROSSED",
        "must be ISOLATED",
    ),
    "week below day": ("config.yaml", "  weekly_loss_pct: 5.0", "  weekly_loss_pct: «1.0", "below daily_loss_pct"),
    "stop distances the wrong way round": (
        "config.yaml",
        "  stop_distance_pct_min: 0.3",
        "  stop_distance_pct_min: «12",
        "not below stop_distance_pct_max",
    ),
    "YAML 1.1: on": ("config.yaml", '  trade_opened: "on"', "  trade_opened: «on", "truth value to some"),
    "YAML 1.1: yes": ("config.yaml", "BTCUSDT: {enabled: true}", "BTCUSDT: {enabled: «yes}", "truth value to some"),
    "YAML 1.1: exponent": (
        "config.yaml",
        "  heartbeat_interval_ms: 3600000",
        "  heartbeat_interval_ms: «1e6",
        "write 1000000",
    ),
    "timeframe that is not offered": ("config.yaml", "  setup: 4h  ", "  setup: «7h  ", "must be one of"),
    "version of another program": ("config.yaml", "version: 1", "version: «2", "version"),
    "symbol in small letters": ("config.yaml", "  BTCUSDT: {", "  «btcusdt: {", "capital letters"),
    "no symbol enabled": ("config.yaml", None, "version: 1\nsymbols: «{BTCUSDT: {enabled: false}}\n", "no symbol is"),
    "empty file": ("config.yaml", None, "«", "the file is empty"),
    "bracket left open": ("config.yaml", None, "version: 1\nsymbols: {BTCUSDT: {}\n«", "a bracket is not closed"),
    "tab": ("config.yaml", None, f"{SHORT}«\trisk: {{}}\n", "a tab"),
    "alias bomb": ("config.yaml", None, "a: «&a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchors (&a) are not"),
    "line of 1 MB": ("config.yaml", None, f"«{SHORT}note: {'x' * 1_000_000}\n", "larger than 256 kB"),
    "line too long": ("config.yaml", None, f"{SHORT}note: {'x' * 1_994}«{'x' * 10}\n", "longer than 2000"),
    "threshold that is named nowhere": (
        "rules.yaml",
        STRONG,
        'when: "adx_4h >= «adx_trennd"',
        "did you mean adx_trend",
    ),
    "units that do not match": ("rules.yaml", STRONG, 'when: «"adx_4h >= close_1d"', "cannot be compared"),
    "half an expression": ("rules.yaml", STRONG, 'when: "adx_4h >«="', "cannot be read"),
    "Python in an expression": ("rules.yaml", STRONG, "when: \"__import__(«'os')\"", "has no meaning"),
    "indicator that is not there": ("rules.yaml", ADX, ADX.replace(": adx,", ": «adxx,"), "did you mean adx"),
    "parameter that is not there": ("rules.yaml", ADX, ADX.replace("period: ", "«length: "), "no parameter 'length'"),
    "timeframe that is not there": ("rules.yaml", ADX, ADX.replace("4h,", "«3h,"), "3h is no timeframe"),
    "strategy that is not there": (
        "rules.yaml",
        "strategy: trend_pullback,",
        "strategy: «trend_pullbak,",
        "did you mean trend_pullback",
    ),
    "strategy that nothing leads to": (
        "rules.yaml",
        "\n  squeeze_breakout:\n",
        "\n  «squeeze_breakout:\n",
        "no regime leads to squeeze_breakout",
    ),
    "text for a count": ("rules.yaml", "  confirmations: 3", "  confirmations: «three", "no threshold is called three"),
    "count of nothing": ("rules.yaml", "  confirmations: 3", "  confirmations: «0", "at least 1"),
    "YAML 1.1: base 60": ("rules.yaml", "  dwell_candles: 3", "  dwell_candles: «12:30:45", "base 60"),
    "YAML 1.1: hexadecimal": ("rules.yaml", "  dwell_candles: 3", "  dwell_candles: «0x10", "hexadecimal"),
    "key twice at the top": ("rules.yaml", "\nversion: 1", "\nversion: 1\n«version: 1", "written twice"),
    "environment that is not offered": (".env", None, "BINANCE_ENV=«production\n", "sim, paper, testnet or mainnet"),
    "keys missing": (".env", None, "«BINANCE_ENV=testnet\n", "BINANCE_API_KEY is missing"),
    "key misspelt": (".env", None, "BINANCE_ENV=sim\n«DASHBORD_TOKEN=0123456789abcdef\n", "did you mean DASHBOARD_"),
    "token too short": (".env", None, "BINANCE_ENV=sim\nDASHBOARD_TOKEN=«short\n", "at least 16"),
    "half of Telegram": (".env", None, "BINANCE_ENV=sim\nTG_BOT_TOKEN=«12:abcdefghijk\n", "TG_CHAT_ID is missing"),
    "emulator on another machine": (
        ".env",
        None,
        "BINANCE_ENV=sim\nBINANCE_API_KEY=k1\nBINANCE_API_SECRET=s1\nSIM_REST_URL=«http://10.0.0.1:80\n",
        "loopback",
    ),
}


def break_file(project: Path, name: str, old: str | None, new: str) -> str:
    """Write the broken file; returns ``file:line:col`` of the mark."""
    path = project / name
    if old is None:
        text = new
    else:
        text = path.read_text("utf-8")
        assert old in text, "the case no longer fits the shipped file"
        text = text.replace(old, new, 1)
    before = text[: text.index(MARK)]
    path.write_text(text.replace(MARK, ""), "utf-8")
    return f"{name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: "


def unroute_breakout(project: Path) -> None:
    path = project / "rules.yaml"
    path.write_text(path.read_text("utf-8").replace("{strategy: squeeze_breakout,", "{strategy: trend_pullback,"))


def test_there_are_at_least_thirty_broken_files() -> None:
    assert len(BROKEN) >= 30


def told(stderr: str) -> list[str]:
    """The problems, without the excerpts that show their places."""
    return [line for line in stderr.splitlines() if not line.startswith("    ")]


@pytest.mark.parametrize(("name", "old", "new", "message"), sampled(BROKEN.values(), often=30), ids=BROKEN)
def test_a_broken_file_is_refused_with_the_place_and_the_reason(fsm, project, name, old, new, message) -> None:
    place = break_file(project, name, old, new)
    if "no regime leads" in message:
        unroute_breakout(project)
    ended = fsm("check")
    assert ended.code == 2
    assert ended.stdout == ""
    lines = told(ended.stderr)
    assert all(re.match(r"[\w.]+:\d+:\d+: .", line) for line in lines), ended.stderr
    assert [line for line in lines if line.startswith(place) and message in line], f"{place} not in {ended.stderr}"


def test_overlapping_thresholds_are_refused_where_they_can_be_mended(fsm, project) -> None:
    path = project / "rules.yaml"
    text = path.read_text("utf-8")
    path.write_text(re.sub(r"(?m)^  adx_range: \d+", "  adx_range: 26", text), "utf-8")
    ended = fsm("check")
    assert ended.code == 2
    assert re.search(r"^rules\.yaml:\d+:\d+: TREND and RANGE are declared exclusive", ended.stderr, re.MULTILINE)


def test_problems_of_all_files_come_at_once(fsm, project) -> None:
    break_file(project, "config.yaml", "  leverage: 2 ", "  leverage: «two ")
    break_file(project, "rules.yaml", "  confirmations: 3", "  confirmations: «0")
    break_file(project, ".env", None, "«BINANCE_ENV=production\n")
    ended = fsm("check")
    assert ended.code == 2
    assert {line.split(":")[0] for line in told(ended.stderr)} == {"config.yaml", "rules.yaml", ".env"}


def test_files_that_are_missing_are_problems_too(fsm, project) -> None:
    (project / "config.yaml").unlink()
    ended = fsm("check", "--rules", "other.yaml", "--env-file", "other.env")
    assert ended.code == 2
    *problems, hint = told(ended.stderr)
    assert {line.split(":")[0] for line in problems} == {"config.yaml", "other.yaml", "other.env"}
    assert hint.startswith("hint: ")
    assert "init` writes config.yaml and rules.yaml" in hint


def test_a_misspelt_path_is_no_reason_to_begin_anew(fsm) -> None:
    ended = fsm("check", "--rules", "other.yaml")
    assert told(ended.stderr) == ["other.yaml:1:1: there is no such file"]


def test_with_json_the_problems_are_one_document_on_stdout(fsm_process, project) -> None:
    place = break_file(project, "config.yaml", "  leverage: 2 ", "  leverage: «two ")
    ended = fsm_process("check", "--json")
    assert ended.code == 2
    (problem,) = ended.document["problems"]
    assert f"{problem['file']}:{problem['line']}:{problem['column']}: " == place
    assert "whole number" in problem["message"]
    assert ended.stderr.startswith(place)


def test_files_that_differ_about_the_entry_timeframe_contradict_each_other(fsm, project) -> None:
    break_file(project, "config.yaml", "  entry: 1h ", "  entry: «4h ")
    ended = fsm("check")
    assert ended.code == 2
    assert re.search(r"^rules\.yaml:\d+:\d+: the entry timeframe is 1h here and 4h in config\.yaml", ended.stderr)


def test_candles_that_the_rules_read_and_config_does_not_name_are_a_contradiction(fsm, project) -> None:
    """Before, another trend timeframe in config.yaml was taken without a word and changed nothing."""
    break_file(project, "config.yaml", "  trend: 1d ", "  trend: «4h ")
    ended = fsm("check")
    assert ended.code == 2
    assert re.search(r"^config\.yaml:\d+:\d+: rules\.yaml reads candles of 1d, which are not among", ended.stderr)


def test_a_timeframe_that_no_rule_reads_is_a_warning(fsm, project) -> None:
    text = (project / "rules.yaml").read_text("utf-8")
    for line in re.findall(r"(?m)^.*timeframe: 1d.*\n", text):
        text = text.replace(line, line.replace("timeframe: 1d", "timeframe: 4h"))
    text = re.sub(r"\b(\w+)_1d\b", r"\1_slow", text)
    (project / "rules.yaml").write_text(text, "utf-8")
    ended = fsm("check")
    assert ended.code == 0
    assert "no feature of rules.yaml reads candles of 1d" in ended.stderr


def test_a_limit_of_a_strategy_that_is_looser_than_the_accounts_is_a_warning(fsm, project) -> None:
    """It is never in force, which nobody was told."""
    text = (project / "rules.yaml").read_text("utf-8")
    (name,) = re.findall(r"(?m)^strategies:\n(?: *#.*\n|\n)*  (\w+):\n", text)
    limits = "    limits: {max_open_positions: 99, max_open_risk_pct: 0.5}\n"
    (project / "rules.yaml").write_text(text.replace(f"\n  {name}:\n", f"\n  {name}:\n{limits}", 1), "utf-8")
    ended = fsm("check")
    assert ended.code == 0, ended.stderr
    said = f"max_open_positions of {name} allows more than config.yaml, whose 3 stays in force (a warning)"
    assert said in ended.stderr
    assert "max_open_risk_pct of" not in ended.stderr


def test_what_is_fine_is_said_of_each_file(fsm) -> None:
    ended = fsm("check")
    assert ended.code == 0
    assert [line.split(":")[0] for line in ended.stdout.splitlines()] == [
        "environment",
        "config.yaml",
        "rules.yaml",
        "candles",
    ]
    assert "BINANCE_ENV=sim" in ended.stdout


def test_values_for_a_symbol_that_is_not_traded_are_a_warning(fsm, project) -> None:
    path = project / "config.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("  BTCUSDT: {enabled: true}\n", ""), "utf-8")
    ended = fsm("check")
    assert ended.code == 0
    assert re.search(r"^rules\.yaml:\d+:\d+: BTCUSDT has values of its own here.*\(a warning\)$", ended.stderr, re.M)
    found = fsm("check", "--json").document
    assert found["problems"] == []
    assert any("BTCUSDT" in warning["message"] for warning in found["warnings"])


def test_a_process_ends_with_the_same_code_and_prints_the_same(fsm_process, project) -> None:
    assert fsm_process("check").code == 0
    place = break_file(project, "rules.yaml", "  confirmations: 3", "  confirmations: «0")
    ended = fsm_process("check")
    assert ended.code == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(place)


def test_secrets_are_never_repeated_in_a_problem(fsm, project) -> None:
    (project / ".env").write_text("BINANCE_ENV=testnet\nBINANCE_API_KEY=abc def ghi\nBINANCE_API_SECRET=klmnop\n")
    ended = fsm("check")
    assert ended.code == 2
    assert "abc" not in ended.stderr
    assert "klmnop" not in ended.stderr


def folder(path: Path) -> None:
    path.mkdir()


def emptied(path: Path) -> None:
    path.touch()


def notes(path: Path) -> None:
    path.write_text("these are notes of somebody else, not a database\n" * 100)


@pytest.mark.parametrize("make", [folder, emptied, notes])
def test_a_database_that_no_command_would_take_is_refused_as_the_others_refuse_it(fsm, project, make) -> None:
    make(project / "bot.sqlite")
    checked, asked = fsm("check", "--db", "bot.sqlite"), fsm("status", "--db", "bot.sqlite")
    assert checked.code == asked.code != 0
    assert (checked.stdout, checked.stderr) == ("", asked.stderr)


@pytest.mark.parametrize("name", ["config.yaml", "rules.yaml"])
def test_a_pipe_in_place_of_a_file_is_refused_unread(fsm_process, project, name) -> None:
    """Before, whoever started the bot waited for ever for somebody to write into it."""
    (project / name).unlink()
    os.mkfifo(project / name)
    ended = fsm_process("check")
    assert (ended.code, ended.stderr) == (2, f"{name}:1:1: cannot be read: it is not a file\n")
