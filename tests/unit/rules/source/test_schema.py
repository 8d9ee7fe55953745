"""The JSON Schema: valid itself, shipped beside the code, and in step with the catalog of indicators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from indicators.candle import Timeframe
from indicators.catalog import CATALOG
from rules import indicator_schema
from rules.features import CANDLE_CLOSED
from rules.schema_examples import EXAMPLES
from rules.source import schema

ROOT = Path(__file__).parents[4]
DEFINITIONS = schema.SCHEMA["$defs"]


def test_it_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema.SCHEMA)
    jsonschema.Draft202012Validator.check_schema(json.loads(schema.text()))


def test_the_file_that_editors_use_is_the_one_that_is_checked_with() -> None:
    header = (ROOT / "rules.yaml").read_text("utf-8").splitlines()[0]
    assert header == f"# yaml-language-server: $schema=rules/{schema.FILE}"
    assert (ROOT / "rules" / schema.FILE).read_text("utf-8") == schema.text()


def test_editors_are_offered_every_indicator_and_timeframe() -> None:
    offered = DEFINITIONS["feature"]["properties"]["indicator"]["anyOf"][0]["enum"]
    assert offered == [CANDLE_CLOSED, *CATALOG]
    assert DEFINITIONS["timeframe"]["enum"] == [timeframe.value for timeframe in Timeframe]
    assert DEFINITIONS["timeframeUse"]["anyOf"][0]["enum"] == DEFINITIONS["timeframe"]["enum"]


def test_what_it_says_of_indicators_is_what_the_catalog_says() -> None:
    assert schema.text() == indicator_schema.text(), "write it anew: python -m rules.indicator_schema"


def test_editors_are_offered_every_parameter_of_the_indicator_at_hand() -> None:
    whole = json.loads(schema.text())
    feature = {"$defs": whole["$defs"], "$ref": "#/$defs/feature"}
    editor = jsonschema.Draft202012Validator(feature)
    for name, entry in CATALOG.items():
        written = {"indicator": name, "timeframe": "1h"}
        written |= {each.name: each.kind(each.default or 20) for each in entry.parameters}
        assert editor.is_valid(written), name
        for each in entry.parameters:
            assert not editor.is_valid(written | {each.name: each.maximum + 1}), (name, each.name)


def keys_of(node: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that the schema describes, with what it says of it."""
    if isinstance(node, list):
        for index, each in enumerate(node):
            yield from keys_of(each, f"{path}[{index}]")
    elif isinstance(node, dict):
        for key, each in node.get("properties", {}).items():
            yield f"{path}.{key}", each
        for key, each in node.items():
            yield from keys_of(each, f"{path}.{key}")


def test_every_key_has_an_example_that_would_pass() -> None:
    whole = json.loads(schema.text())
    without_indicators = schema.SCHEMA
    missing = [path for path, each in keys_of(without_indicators) if not each.get("examples")]
    assert missing == [], "give it one in rules/schema_examples.py, then: python -m rules.indicator_schema"
    for path, each in keys_of(without_indicators):
        checker = jsonschema.Draft202012Validator({"$defs": whole["$defs"], "allOf": [each]})
        for example in each["examples"]:
            assert list(checker.iter_errors(example)) == [], path


def test_no_example_is_left_over() -> None:
    used = {path.rpartition(".")[2] for path, _ in keys_of(schema.SCHEMA)}
    assert {name.rpartition(".")[2] for name in EXAMPLES} <= used


def test_every_key_is_described_for_whoever_edits_the_file() -> None:
    def undescribed(node: object, path: str) -> list[str]:
        if not isinstance(node, dict):
            return []
        found = [
            f"{path}.{name}"
            for name, part in node.get("properties", {}).items()
            if "description" not in part and "description" not in DEFINITIONS.get(part.get("$ref", "")[8:], {})
        ]
        return found + [problem for name, part in node.items() for problem in undescribed(part, f"{path}.{name}")]

    assert undescribed(schema.SCHEMA, "") == []
