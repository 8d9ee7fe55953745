"""Rules that are edited on the dashboard: on what they were made from, whole or not at all; proposed on mainnet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fsm.config.environment import Network
from fsm.live.operator.reload import Reload
from fsm.live.operator.waiting_edits import waiting
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import RULES, jump, quiet
from rules.load import parse_rules
from store import queries
from store.database import open_store
from store.inbox import Inbox
from store.rules_edits import TEXT_MAX, line_of, named, text_in

Make = Callable[..., InProcessBot]
ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "config.yaml").read_text("utf-8")
ALLOWED = SHIPPED.replace("edit_in_browser: false ", "edit_in_browser: true ")
MARKET = [jump(60_000.0), *quiet(60_600.0, 6)]
DEAF = RULES.replace("close_1h > 1.008 * open_1h", "close_1h > 1.5 * open_1h")
NOW = parse_rules(RULES, "x").hash


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {"rules": tmp_path / "rules.yaml", "config": tmp_path / "config.yaml"}
    paths["rules"].write_text(RULES)
    paths["config"].write_text(ALLOWED)
    return paths


async def watching(r: InProcessBot, files: dict[str, Path]) -> Reload:
    await r.start()
    reload = Reload(r.running, config=r.config, config_path=files["config"], rules_path=files["rules"])
    for _ in range(2):
        await reload.look()
    return reload


async def edited(r: InProcessBot, text: str, based_on: str = NOW) -> str:
    """Post an edit as the dashboard does, and give what became of it."""
    assert r.store is not None
    number = Inbox(r.store).post(line_of(based_on, text), None, "web", 0)
    await r.seconds(3)
    found = Inbox(r.store).get(number)
    assert found is not None
    assert found.kind == f"rules edit {based_on}", "who asks for a command is not sent a file"
    return f"{found.state} {found.guard or ''} {found.detail}"


def in_force(r: InProcessBot) -> str:
    return r.running.live.active.accepted.rules.hash


def test_an_edit_is_written_by_the_bot_and_in_force(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await watching(r, files)
        assert "done" in await edited(r, DEAF)
        assert in_force(r) == parse_rules(DEAF, "x").hash

    r.run(script)
    assert files["rules"].read_text("utf-8") == DEAF
    assert [path.name for path in files["rules"].parent.glob(".*")] == []


@pytest.mark.parametrize(
    ("allowed", "based_on", "text", "guard"),
    [
        (SHIPPED, NOW, DEAF, "EDITING_OFF"),
        (ALLOWED, "0" * 64, DEAF, "CHANGED"),
        (ALLOWED, NOW, "version: 1\nnonsense: [", "INVALID"),
        (ALLOWED, NOW, RULES + "# a remark\n", "SAME"),
    ],
)
def test_what_may_not_be_is_refused_and_changes_nothing(
    rehearse: Make, files: dict[str, Path], allowed: str, based_on: str, text: str, guard: str
) -> None:
    files["config"].write_text(allowed)
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await watching(r, files)
        assert f"refused {guard}" in await edited(r, text, based_on)
        assert in_force(r) == NOW

    r.run(script)
    assert files["rules"].read_text("utf-8") == RULES


def test_of_two_edits_of_one_version_the_second_is_refused(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await watching(r, files)
        assert "done" in await edited(r, DEAF)
        assert "refused CHANGED" in await edited(r, DEAF.replace("1.5 * open_1h", "1.6 * open_1h"))

    r.run(script)
    assert files["rules"].read_text("utf-8") == DEAF


def test_a_file_that_somebody_is_editing_is_not_written_over(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await watching(r, files)
        files["rules"].write_text(RULES + "# half a th")
        assert "refused FILE_CHANGED" in await edited(r, DEAF)

    r.run(script)
    assert files["rules"].read_text("utf-8") == RULES + "# half a th"


def test_an_edit_whose_tests_fail_never_reaches_the_file(rehearse: Make, files: dict[str, Path]) -> None:
    """It was written and then put back: a bot that died in between found rules that it refuses at its start."""
    files["rules"].with_name("rules.tests.yaml").write_text("tests: [")
    was = files["rules"].stat()
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await watching(r, files)
        assert "refused INVALID" in await edited(r, DEAF)
        assert in_force(r) == NOW

    r.run(script)
    assert files["rules"].read_text("utf-8") == RULES
    assert (files["rules"].stat().st_ino, files["rules"].stat().st_mtime_ns) == (was.st_ino, was.st_mtime_ns)


def test_with_real_money_an_edit_is_proposed_and_a_terminal_takes_it(rehearse: Make, files: dict[str, Path]) -> None:
    """Also the tightest one, and also where the bot was started again in between."""
    r = rehearse(BTCUSDT=MARKET)
    mainnet = replace(r.config, environment=replace(r.config.environment, name=Network.MAINNET))

    def watched() -> Reload:
        return Reload(r.running, config=mainnet, config_path=files["config"], rules_path=files["rules"])

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = watched()
        for _ in range(2):
            await reload.look()
        if in_force(r) == NOW and not r.running.live.active.settings.reload.edit_in_browser:
            (edit,) = reload.waiting
            await reload.decide("confirm", [edit.digest])
        said = await edited(r, DEAF)
        assert "done" in said
        assert "reload confirm" in said
        assert in_force(r) == NOW
        assert files["rules"].read_text("utf-8") == DEAF
        again = watched()
        for _ in range(3):
            await again.look()
        assert in_force(r) == NOW, "it waits across a start, too"
        with open_store(r.db, mode="read") as store:
            (edit,) = waiting(store)
            assert "dashboard" in edit.told
            assert queries.system_events(store, kind="RULES_PROPOSED")
        await again.decide("confirm", [edit.digest])
        assert in_force(r) == parse_rules(DEAF, "x").hash

    r.run(script)


def test_the_text_of_an_edit_comes_back_whole_and_never_too_long() -> None:
    line = line_of(NOW, RULES)
    assert text_in(line.split(" ")[3]) == RULES
    assert named(line) == f"rules edit {NOW}"
    assert named("pause") == "pause"
    with pytest.raises(ValueError, match="too long"):
        text_in(line_of(NOW, "x" * (4 * TEXT_MAX + 1)).split(" ")[3])
    with pytest.raises(ValueError, match="cannot be read"):
        text_in("bm90aGluZw==")
