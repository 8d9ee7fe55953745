"""R73 as a user meets it: the walk of docs/editing.md, bot and exchange as processes of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.integration.walking import CONFIG, Walk, walk

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
        for _ in range(600):
            _, text = await walking.type("reload")
            if "No edit waits" not in text:
                break
            await asyncio.sleep(0.1)
        assert "risk.max_open_positions 1 → not in the file: 3" in text, "a start does not take it either"
        code, text = await walking.type("reload", "confirm")
        assert (code, "config.yaml is in force" in text) == (0, True), text
        _, text = await walking.type("reload")
        assert "No edit waits" in text

    walk(tmp_path, story, config=STRICT)
