"""`init` begins a folder of one's own: three files that pass `check`, and never over what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
NAMES = ("config.yaml", "rules.yaml", ".env.example")


def below_the_first_line(path: Path) -> str:
    return path.read_text("utf-8").partition("\n")[2]


def test_three_files_are_written_that_pass_the_check(fsm, project, monkeypatch) -> None:
    ended = fsm("init", "mine/bot")
    assert ended.code == 0
    folder = project / "mine" / "bot"
    assert {path.name for path in folder.iterdir()} == set(NAMES)
    assert "cd mine/bot" in ended.stdout
    monkeypatch.chdir(folder)
    assert fsm("check").code == 0
    assert fsm("rules", "check").code == 0


def test_they_are_the_files_of_this_repository_and_editors_find_their_schemas(fsm, project) -> None:
    assert fsm("init", "bot", "--json").document == {"folder": "bot", "written": list(NAMES)}
    assert (project / "bot" / ".env.example").read_text("utf-8") == (ROOT / ".env.example").read_text("utf-8")
    for name in ("config.yaml", "rules.yaml"):
        written = project / "bot" / name
        assert below_the_first_line(written) == below_the_first_line(ROOT / name)
        schema = written.read_text("utf-8").partition("\n")[0].partition("$schema=file://")[2]
        assert Path(schema).is_file(), schema


def test_here_is_the_folder_where_none_is_named(fsm, project, monkeypatch) -> None:
    (project / "empty").mkdir()
    monkeypatch.chdir(project / "empty")
    assert "cd " not in fsm("init").stdout
    assert {path.name for path in (project / "empty").iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_written_where_one_of_them_is_there(fsm, project, name) -> None:
    folder = project / "bot"
    folder.mkdir()
    (folder / name).write_text("mine")
    ended = fsm("init", "bot")
    assert ended.code == 3
    assert ended.stderr.startswith(f"error: bot/{name} is there already: nothing was written\nhint: ")
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "mine"
    assert fsm("init", "bot", "--json").document["error"]["code"] == "FILE_EXISTS"


def test_a_link_that_leads_nowhere_is_there_too(fsm, project) -> None:
    (project / "bot").mkdir()
    (project / "bot" / "rules.yaml").symlink_to(project / "elsewhere.yaml")
    assert fsm("init", "bot").code == 3
    assert not (project / "elsewhere.yaml").exists()
