"""docs/rules-workshop.md shows tests that hold for the shipped rules, and command lines that work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

PAGE = (Path(__file__).parents[4] / "docs" / "rules-workshop.md").read_text("utf-8")
COMMAND = ".venv/bin/python -m fsm "


def test_the_examples_of_the_page_hold(fsm, project) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (project / "rules.tests.yaml").write_text(example, "utf-8")
    ended = fsm("rules", "test")
    assert ended.code == 0, ended.stdout
    text = (project / "rules.yaml").read_text("utf-8")
    (project / "new.yaml").write_text(text.replace("adx_trend: 25 ", "adx_trend: 30 "), "utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith(f"{COMMAND}rules ")]
    assert len(lines) == 2
    for line in lines:
        assert fsm(*shlex.split(line.removeprefix(COMMAND))).code == 0
    (project / "rules.tests.yaml").write_text(example.replace("24.9", "25"), "utf-8")
    assert fsm("rules", "test").code == 4
