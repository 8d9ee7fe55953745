"""Fault plans in YAML."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from exchange.sim.server.fault_file import plan_of, read
from exchange.sim.server.faults import About, FaultError, When

PLAN = """
seed: 3
settings:
  depth_usdt: "5000"
  strict_user_stream: true
rules:
  - name: the entry is answered late
    match: {method: POST, path: /fapi/v1/order, nth: 1}
    when: before
    effect: {preset: unknown_503, late_ms: 3000}
  - about: event
    match: {event: ORDER_TRADE_UPDATE, nth: [1, 2]}
    effect: missing
"""


def test_a_plan_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(PLAN)
    plan = read(path)
    assert (plan.seed, plan.settings.depth_usdt, plan.settings.strict_user_stream) == (3, Decimal(5_000), True)
    assert [(rule.about, rule.when, rule.match.nth) for rule in plan.rules] == [
        (About.REQUEST, When.BEFORE, 1),
        (About.EVENT, When.INSTEAD, [1, 2]),
    ]


def test_one_rule_and_a_list_of_rules_are_plans_too() -> None:
    assert len(plan_of({"effect": "disconnect"}).rules) == 1
    assert len(plan_of([{"effect": "disconnect"}, {"effect": "not_found"}]).rules) == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rules: [", "not YAML"),
        ("rules: 5", "Expected `array`"),
        ("rules:\n  - {effect: disconnect}\n  - {effect: nonsense}", r"rules\[1\].effect: there is no preset"),
        ("colour: red", "unknown field `colour`"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_a_wrong_file_says_where_and_why(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(FaultError, match=complaint) as error:
        read(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match=r"nowhere\.yaml: cannot be read"):
        read(tmp_path / "nowhere.yaml")
