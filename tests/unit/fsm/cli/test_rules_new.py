"""`rules new` begins a file of rules that passes the check as it is, and never writes over one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fsm.cli.rules import BEGINNINGS

every_beginning = pytest.mark.parametrize("beginning", BEGINNINGS)


@every_beginning
def test_what_is_written_passes_every_check_the_first_time(fsm, project, beginning) -> None:
    ended = fsm("rules", "new", "mine.yaml", "--from", beginning)
    assert ended.code == 0
    assert "mine.yaml is written" in ended.stdout
    checked = fsm("rules", "check", "--rules", "mine.yaml", "--json").document
    assert checked["warnings"] == []
    assert fsm("check", "--rules", "mine.yaml").code == 0


@every_beginning
def test_what_is_written_explains_itself(fsm, project, beginning) -> None:
    fsm("rules", "new", "mine.yaml", "--from", beginning)
    text = (project / "mine.yaml").read_text("utf-8")
    assert "rules check --rules mine.yaml" in text
    assert "THIS_FILE" not in text
    assert text.count("#") > 8
    schema = text.partition("\n")[0].partition("$schema=file://")[2]
    assert Path(schema).is_file()


@every_beginning
def test_what_is_written_trades(fsm, project, beginning) -> None:
    fsm("rules", "new", "mine.yaml", "--from", beginning)
    span = ("--symbols", "ETHUSDT,SOLUSDT", "--from", "2024-06-01", "--to", "2024-12-31")
    summary = fsm("backtest", "--rules", "mine.yaml", *span, "--db", "mine.sqlite", "--json").document
    assert summary["trades"] >= 3


def test_the_beginning_without_a_word_is_one_to_write_over(fsm, project) -> None:
    assert fsm("rules", "new", "mine.yaml", "--json").document == {"file": "mine.yaml", "from": "blank"}
    assert list(yaml.safe_load((project / "mine.yaml").read_text("utf-8"))["strategies"]) == ["my_strategy"]


def test_nothing_is_written_over_a_file(fsm, project) -> None:
    before = (project / "rules.yaml").read_text("utf-8")
    ended = fsm("rules", "new", "rules.yaml", "--from", "trend")
    assert ended.code == 3
    assert ended.stderr.startswith("error: rules.yaml is there already: nothing was written\nhint: ")
    assert (project / "rules.yaml").read_text("utf-8") == before


def test_an_unknown_beginning_names_those_that_there_are(fsm, project) -> None:
    ended = fsm("rules", "new", "mine.yaml", "--from", "trnd")
    assert ended.code == 2
    assert "trend" in ended.stderr
    assert not (project / "mine.yaml").exists()


def test_a_folder_that_is_not_there_is_told(fsm, project) -> None:
    ended = fsm("rules", "new", "none/mine.yaml")
    assert ended.code == 1
    assert "none/mine.yaml" in ended.stderr
