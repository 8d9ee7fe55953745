"""A problem of a YAML file is shown with its line and a caret; nothing of .env ever is."""

from __future__ import annotations

import pytest

from fsm.cli.excerpt import excerpt

WRONG = [
    ("{indicator: adx,", "{indicator: adxx,", "adxx", "no indicator is called 'adxx'; did you mean adx?"),
    ("timeframe: 4h, period: 14}", "timeframe: 4h, perod: 14}", "perod", "did you mean period?"),
    ("timeframe: 4h, period: 14}", "timeframe: 4h, period: 0}", "0}", "must be a whole number from 2 to 500, not 0"),
    ("adx_4h >= adx_trend", "adx_4hh >= adx_trend", '"adx_4hh', "did you mean adx_4h?"),
]


@pytest.mark.parametrize(("old", "new", "at", "message"), WRONG, ids=[row[2] for row in WRONG])
def test_the_caret_stands_under_what_is_wrong(fsm, project, old, new, at, message) -> None:
    path = project / "rules.yaml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    ended = fsm("rules", "check")
    assert ended.code == 2
    problem, line, caret = ended.stderr.splitlines()[:3]
    assert problem.startswith("rules.yaml:")
    assert message in problem
    assert line[caret.index("^") :].startswith(at)
    assert caret.strip() == "^"


def test_a_long_line_is_cut_around_the_place(tmp_path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text("a: " + "x " * 300 + "HERE " + "y " * 300)
    line, caret = excerpt(str(path), 1, 604)
    assert line[caret.index("^") :].startswith("HERE")
    assert len(line) < 120
    assert line.startswith("    …")
    assert line.endswith("…")


def test_what_may_be_a_secret_is_not_repeated(tmp_path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("key: " + "aB3" * 20 + "\n")
    line, _ = excerpt(str(path), 1, 6)
    assert line == "    key: " + "•" * 60
    assert excerpt(".env", 1, 1) == ()


@pytest.mark.parametrize(("line", "column"), [(0, 1), (3, 1), (9, 1), (2, 1)])
def test_a_place_that_is_not_there_is_not_shown(tmp_path, line, column) -> None:
    path = tmp_path / "short.yaml"
    path.write_text("a: 1\n\n")
    assert excerpt(str(path), line, column) == ()
    assert excerpt(str(tmp_path / "none.yaml"), 1, 1) == ()


def test_a_caret_may_stand_behind_the_line(tmp_path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text("a:\tb\n")
    assert list(excerpt(str(path), 1, 99)) == ["    a: b", "        ^"]
