"""Numbers of a rules file are changed where they stand, and nothing else is."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from rules.load import parse_rules
from rules.rewriting import NoSuchSetting, rewritten
from rules.source.yaml_source import Source, parse_source

SHIPPED = Path(__file__).parents[3] / "rules.yaml"


@pytest.fixture
def source() -> Source:
    return parse_source(SHIPPED.read_text("utf-8"), "rules.yaml")


def changed_lines(before: str, after: str) -> list[str]:
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


def test_only_the_number_changes_and_its_comment_stays(source: Source) -> None:
    after = rewritten(source, {"adx_trend": 27})
    assert changed_lines(source.text, after) == [
        "-   adx_trend: 25               # ADX on 4h from which a trend may begin (half of all candles lie above)",
        "+   adx_trend: 27               # ADX on 4h from which a trend may begin (half of all candles lie above)",
    ]
    assert parse_rules(after, "rules.yaml").definition.thresholds["adx_trend"] == 27


def test_several_at_once_and_an_option_of_a_choice(source: Source) -> None:
    after = rewritten(source, {"first_target": "ema20", "spike": 1.35, "adx_trend": 25, "squeeze_rank": 0.00001})
    found = parse_rules(after, "rules.yaml").definition
    assert found.choices["first_target"].use == "ema20"
    assert (found.thresholds["spike"], found.thresholds["squeeze_rank"]) == (1.35, 0.00001)
    assert len(changed_lines(source.text, after)) == 2 * 3, "adx_trend is as it was, down to its spelling"


def test_a_threshold_with_a_range_keeps_it() -> None:
    text = SHIPPED.read_text("utf-8").replace("adx_trend: 25 ", "adx_trend: {value: 25, range: [23, 40], step: 1} ")
    after = rewritten(parse_source(text, "rules.yaml"), {"adx_trend": 30.5})
    assert "adx_trend: {value: 30.5, range: [23, 40], step: 1} " in after


def test_signs_of_other_languages_before_it_move_nothing(source: Source) -> None:
    text = source.text.replace("# TREND: the market moves one way.", "# ТРЕНД — 市场 🚀 é")
    after = rewritten(parse_source(text, "rules.yaml"), {"adx_trend": 27})
    assert len(changed_lines(text, after)) == 2
    assert parse_rules(after, "rules.yaml").definition.thresholds["adx_trend"] == 27


def test_an_unknown_name_is_told_with_those_that_there_are(source: Source) -> None:
    with pytest.raises(NoSuchSetting, match="no threshold or choice called adx_trnd; there are: adx_trend, "):
        rewritten(source, {"adx_trnd": 1})
