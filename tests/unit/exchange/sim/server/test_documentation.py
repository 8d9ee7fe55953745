"""docs/simulator.md names everything that can be asked of the simulator."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.sim.__main__ import main
from exchange.sim.server.fault_file import Conditions, plan_of
from exchange.sim.server.faults import Effect, Match, Rule
from exchange.sim.server.presets import PRESETS

TEXT = (Path(__file__).parents[5] / "docs" / "simulator.md").read_text("utf-8")


@pytest.mark.parametrize("model", [Rule, Match, Effect, Conditions])
def test_every_field_of_a_rule_is_described(model: Any) -> None:
    assert [name for name in model.__struct_fields__ if not re.search(rf"\b{name}\b", TEXT)] == []


def test_every_preset_is_on_the_menu() -> None:
    assert [name for name in PRESETS if f"`{name}`" not in TEXT] == []


def test_every_option_is_described() -> None:
    options = [option for parameter in main.params for option in parameter.opts if option.startswith("--")]
    assert [option for option in options if f"`{option}" not in TEXT and option != "--help"] == []


@pytest.mark.anyio
async def test_every_command_is_described(bench: Any) -> None:
    known = (await bench.sim("GET", "nowhere"))["known"]
    assert [command for command in known if command.split()[1] not in TEXT] == []


def test_the_example_plan_can_be_used() -> None:
    yaml = pytest.importorskip("yaml")
    example = TEXT[TEXT.index("```yaml") + 7 : TEXT.index("```\n\n| field")]
    plan = plan_of(yaml.safe_load(example))
    assert len(plan.rules) == 7
    assert msgspec.to_builtins(plan.settings)["retry_after"] is False
