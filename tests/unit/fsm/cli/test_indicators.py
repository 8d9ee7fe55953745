"""`rules indicators` lists what rules may read, and says everything about one."""

from __future__ import annotations

import re

from indicators.catalog import CATALOG
from rules.features import CANDLE_CLOSED


def test_every_indicator_is_listed_once_with_what_it_is(fsm) -> None:
    listed = fsm("rules", "indicators").stdout
    names = re.findall(r"(?m)^([a-z][a-z0-9_]+)  ", listed)
    assert names[1:] == [CANDLE_CLOSED, *CATALOG]
    assert re.search(r"(?m)^macd_signal +price +fast 12, slow 26, signal 9 +34  Signal line of the MACD", listed)


def test_one_is_told_in_full(fsm) -> None:
    told = fsm("rules", "indicators", "stoch_k").stdout
    assert "unit         index" in told
    assert "values       0 to 100" in told
    assert "known after  16 candles" in told
    assert "reads        high, low, close" in told
    assert "my_stoch_k: {indicator: stoch_k, timeframe: 4h, period: 14, smooth: 3}" in told
    assert "must be given" in fsm("rules", "indicators", "EMA").stdout


def test_the_beginning_of_names_lists_those(fsm) -> None:
    found = fsm("rules", "indicators", "macd", "--json").document
    assert [each["name"] for each in found] == ["macd_line", "macd_signal", "macd_histogram"]


def test_programs_get_everything(fsm) -> None:
    every = fsm("rules", "indicators", "--json").document
    assert [each["name"] for each in every] == [CANDLE_CLOSED, *CATALOG]
    one = fsm("rules", "indicators", "supertrend", "--json").document
    assert one in every
    assert one["warmup_candles"] == 10
    assert one["parameters"][1]["name"] == "multiple"


def test_the_line_that_is_shown_can_be_pasted(fsm, project) -> None:
    rules = (project / "rules.yaml").read_text("utf-8")
    lines = [fsm("rules", "indicators", name).stdout.splitlines()[-1] for name in (CANDLE_CLOSED, *CATALOG)]
    (project / "rules.yaml").write_text(rules.replace("features:\n", "features:\n" + "\n".join(lines) + "\n", 1))
    ended = fsm("rules", "check")
    assert ended.code == 0, ended.stderr
