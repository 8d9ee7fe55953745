"""A yes of the quick check is always jsonschema's yes, too, for the shipped files and whatever becomes of them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from rules.source.schema import SCHEMA
from rules.source.schema_errors import explain_errors
from rules.source.schema_fit import fits
from rules.source.yaml_source import read_source
from tests.effort import FULL

ROOT = Path(__file__).parents[4]
CONFIG = json.loads((ROOT / "fsm" / "config.schema.json").read_text())
FILES = [("rules.yaml", SCHEMA), ("config.yaml", CONFIG)]

ODD: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    1.0,
    0.5,
    1e13,
    -1e13,
    "",
    "1h",
    "no_name Ü",
    "1",
    [],
    {},
    ["1h", "1h"],
]


def changed(data: Any, chance: random.Random) -> Any:
    """The data with one node exchanged, removed, doubled or added."""
    copy = json.loads(json.dumps(data))
    nodes = [copy]
    for node in nodes:
        inner = node.values() if isinstance(node, dict) else node
        nodes += [each for each in inner if isinstance(each, (dict, list))]
    node = chance.choice([node for node in nodes if node])
    value = chance.choice([*ODD, chance.choice(nodes)])
    value = json.loads(json.dumps(value))
    if isinstance(node, list):
        chance.choice(
            (
                lambda: node.append(value),
                lambda: node.pop(),
                lambda: node.__setitem__(0, value),
                lambda: node.extend(node[:]),
            )
        )()
    else:
        name = chance.choice(list(node))
        chance.choice(
            (
                lambda: node.__setitem__(name, value),
                lambda: node.pop(name),
                lambda: node.__setitem__(f"{name}x", value),
                lambda: node.__setitem__("Ü", node.pop(name)),
            )
        )()
    return copy


@pytest.mark.parametrize(("name", "schema"), FILES)
def test_the_shipped_files_fit_without_jsonschema(name: str, schema: dict[str, Any]) -> None:
    data = read_source(ROOT / name).data
    assert fits(data, schema)
    assert list(explain_errors(data, schema)) == []


@pytest.mark.parametrize(("name", "schema"), FILES)
def test_whatever_fits_has_no_errors_and_what_is_right_mostly_fits(name: str, schema: dict[str, Any]) -> None:
    chance, data = random.Random(name), read_source(ROOT / name).data
    right, fitting, tries = 0, 0, 600 if FULL else 150
    for _ in range(tries):
        wrong = list(explain_errors(one := changed(data, chance), schema))
        right += not wrong
        fitting += (fit := fits(one, schema))
        assert not (fit and wrong), (one, wrong)
    assert fitting > tries // 30
    assert fitting >= right * 0.9
    assert tries - right > tries // 6


def test_a_keyword_that_is_not_known_is_left_to_jsonschema() -> None:
    assert fits({"a": 1}, {"properties": {"a": {"type": "integer"}}})
    assert not fits({"a": 1}, {"properties": {"a": {"multipleOf": 1}}})
    assert not fits([1, 2], {"uniqueItems": True})
    assert not fits(1, {"$ref": "other.json"})
    assert not fits(1.0, {"const": 1})
