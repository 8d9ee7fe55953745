"""docs/rules.md: its files pass the check the first time, its expressions are expressions, and it names every key."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rules.language.syntax import FUNCTIONS
from rules.load import parse_rules
from rules.moments import CLOCK, SESSIONS
from rules.source.schema import SCHEMA

PAGE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
FILES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
TABLE = PAGE[PAGE.index("| function |") : PAGE.index("What looks back counts")]
EXAMPLES = [text for text in re.findall(r"`([^`]+)`", TABLE.partition("|---|---|\n")[2]) if "…" not in text]
FRAME = """\
version: 1
timeframes: {entry: 1h}
features:
  close_1h: {indicator: close, timeframe: 1h}
  high_1h: {indicator: high, timeframe: 1h}
  low_1h: {indicator: low, timeframe: 1h}
  ema_1h: {indicator: ema, timeframe: 1h, period: 20}
  rsi_1h: {indicator: rsi, timeframe: 1h, period: 14}
define:
  shown: EXPRESSION
strategies:
  all:
    long:
      setup: [{id: it, when: close_1h > ema_1h}]
      stop: low_1h
"""


@pytest.mark.parametrize("text", FILES, ids=range(len(FILES)))
def test_a_file_of_the_page_passes_the_check_the_first_time(text: str) -> None:
    assert parse_rules(text, "rules.yaml").warnings == ()


def test_there_are_files_on_it() -> None:
    assert len(FILES) == 2


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_expression_of_the_page_is_one(text: str) -> None:
    parse_rules(FRAME.replace("EXPRESSION", f'"{text}"'), "rules.yaml")


def test_every_function_and_every_word_of_the_clock_is_on_the_page() -> None:
    missing = [name for name in (*FUNCTIONS, *CLOCK, *SESSIONS) if f"`{name}" not in PAGE]
    assert missing == []


def test_every_key_of_a_strategy_is_on_the_page() -> None:
    keys = [*SCHEMA["properties"], *SCHEMA["$defs"]["strategy"]["properties"], *SCHEMA["$defs"]["manage"]["properties"]]
    assert [key for key in keys if key not in PAGE] == []
    assert json.dumps(SCHEMA).count('"description"') > 80
