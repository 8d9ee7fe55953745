"""R73 as a user meets it: the walk of docs/editing.md, bot and exchange as processes of their own."""

from __future__ import annotations

from pathlib import Path

from tests.integration.walking import CONFIG, Walk, walk
from web import documents

STRICT = CONFIG + "risk:\n  max_open_positions: 1\n"


def test_a_config_that_was_cut_off_waits_across_a_restart_until_it_is_confirmed(tmp_path: Path) -> None:
    """The walk of docs/editing.md."""

    async def story(walking: Walk) -> None:
        await walking.to_noon()
        walking.config.write_text(CONFIG)
        await walking.hears("max_open_positions", "1 → not in the file: 3")
        code, text = await walking.type("reload")
        assert (code, "risk.max_open_positions 1 → not in the file: 3" in text) == (0, True), text
        await walking.stop()
        await walking.start()
        await walking.bot.until(lambda: bool(documents.waiting_edits(walking.bot.store)), "find the edit again")
        _, text = await walking.type("reload")
        assert "risk.max_open_positions 1 → not in the file: 3" in text, "a start does not take it either"
        code, text = await walking.type("reload", "confirm")
        assert (code, "config.yaml is in force" in text) == (0, True), text
        _, text = await walking.type("reload")
        assert "No edit waits" in text

    walk(tmp_path, story, config=STRICT)
