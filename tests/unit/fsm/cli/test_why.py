"""`why`: the text that a person reads and the document that a program reads."""

from __future__ import annotations

import re


def test_the_newest_decision_is_explained_down_to_the_numbers(fsm, journal) -> None:
    ended = fsm("why", "btcusdt", "--db", journal)
    assert ended.code == 0
    assert re.match(r"BTCUSDT  (NO_SIGNAL|NO_TRADE|BLOCKED)  [A-Z_]+: [a-z ]+\n\S", ended.stdout)
    assert re.search(r"(?m)^candle +2024-09-30 22:00 to 2024-09-30 23:00 UTC$", ended.stdout)
    for regime in ("TREND", "RANGE", "BREAKOUT"):
        assert re.search(rf"(?m)^Regime {regime}: confidence \d\.\d\d, enter \w+, stay \w+$", ended.stdout)
    assert re.search(
        r"(?m)^adx_strong +(yes|no) +adx_4h >= adx_trend +[\d.]+ against 25 +[+-][\d.]+ points$", ended.stdout
    )


def test_alternatives_stand_below_what_they_are_alternatives_of(fsm, journal) -> None:
    text = fsm("why", "BTCUSDT", "--db", journal).stdout
    assert re.search(r"(?m)^any of +(yes|no) +2 alternatives\n  bands_expand .*\n  volatility_spikes ", text)
    found = fsm("why", "BTCUSDT", "--json", "--db", journal).document
    scopes = {each["scope"]: each for each in found["conditions"]}
    (group,) = [node for node in scopes["BREAKOUT enter"]["nodes"] if node["id"] == "any of"]
    assert [child["id"] for child in group["children"]] == ["bands_expand", "volatility_spikes"]
    assert group["result"] == ("TRUE" if any(child["result"] == "TRUE" for child in group["children"]) else "FALSE")


def test_without_a_symbol_all_are_listed_the_nearest_to_a_trade_first(fsm, journal) -> None:
    found = fsm("why", "--json", "--db", journal).document["symbols"]
    assert [row["symbol"] for row in found] == ["BTCUSDT"]
    near = found[0]["nearest"]
    text = fsm("why", "--db", journal).stdout
    assert "nearest" in text
    if near is not None and near["lacking"]:
        assert f"{near['lacking']} of {near['groups']}" in text


def test_reasons_are_counted_over_a_period_and_each_candle_once(fsm, journal) -> None:
    period = ("--since", "2024-09-01", "--until", "2024-09-10")
    found = fsm("why", "BTCUSDT", *period, "--json", "--db", journal).document["reasons"]
    assert sum(row["candles"] for row in found) == 240
    assert all(1_725_148_800_000 <= row["last_candle_ms"] < 1_726_012_800_000 for row in found)
    text = fsm("why", *period, "--db", journal).stdout
    assert f"{found[0]['candles']}  {100 * found[0]['candles'] / 240:.1f} %" in text
    assert (
        fsm("why", "BTCUSDT", "--since", "2031-01-01", "--db", journal).stdout == "nothing was decided in that time\n"
    )


def test_what_cannot_be_meant_is_refused(fsm, journal) -> None:
    assert fsm("why", "--at", "2024-09-10", "--db", journal).code == 2
    assert fsm("why", "BTCUSDT", "--until", "2024-09-10", "--db", journal).code == 2


def test_a_signal_is_explained_with_its_guards(fsm, journal) -> None:
    signal = fsm("audit", "--trigger", "signal", "--json", "--db", journal).document["transitions"][0]
    ended = fsm("why", "BTCUSDT", "--at", signal["at_ms"], "--db", journal)
    assert ended.stdout.startswith(f"BTCUSDT  SIGNAL  {signal['reason']}\n")
    assert "numbers  as journalled" in ended.stdout
    assert re.search(r"(?m)^yes +MAX_OPEN_POSITIONS +1 +<= 3$", ended.stdout)
    assert re.search(r"(?m)^\w+ (LONG|SHORT): setup yes$", ended.stdout)


def test_the_document_has_the_same(fsm, journal) -> None:
    found = fsm("why", "BTCUSDT", "--at", "2024-09-10T12:30", "--json", "--db", journal).document
    assert found["symbol"] == "BTCUSDT"
    assert found["candle_ms"] == 1_725_966_000_000  # 11:00, which had closed at 12:00
    assert found["numbers"] in ("recorded", "recomputed")
    assert {regime["regime"] for regime in found["rules"]["regimes"]} == {"TREND", "RANGE", "BREAKOUT"}
    condition = found["rules"]["regimes"][0]["enter_conditions"][0]["comparisons"][0]
    assert {"text", "left", "right", "distance", "result"} == set(condition)


def test_what_was_never_decided_is_said_with_what_to_ask_instead(fsm, journal) -> None:
    unknown = fsm("why", "ETHUSDT", "--db", journal)
    assert unknown.code == 2
    assert unknown.stderr == ("error: nothing was decided about ETHUSDT\nhint: there are decisions about BTCUSDT\n")
    early = fsm("why", "BTCUSDT", "--at", "2024-01-01", "--json", "--db", journal)
    assert early.code == 2
    assert early.document["error"]["code"] == "NOTHING_DECIDED"
    assert "its first decision is of 2024-08-01 01:00 UTC" in early.stderr


def test_a_time_after_the_last_decision_explains_the_last_one_and_says_so(fsm, journal) -> None:
    ended = fsm("why", "BTCUSDT", "--at", "2030-01-01", "--db", journal)
    assert ended.code == 0
    told = r"(?m)^asked for +2029-12-31 23:00: nothing was decided then; this is the last decision before$"
    assert re.search(told, ended.stdout)
