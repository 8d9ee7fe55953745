"""The parts of the JSON Schema that are written out: which indicators there are, and an example for every key.

``python -m rules.indicator_schema`` writes it into rules.schema.json. What it says of each indicator's parameters is
for editors, which offer and explain them; whoever checks a file asks the catalog itself, which answers in better words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from indicators.catalog import CATALOG, Indicator, Parameter
from rules.features import CANDLE_CLOSED
from rules.schema_examples import with_examples
from rules.source import schema

_CLOSED = "1 when a candle of this timeframe closed together with the entry candle, else 0."


def indicator_names() -> dict[str, Any]:
    """What ``indicator`` may be, each with a sentence."""
    return {
        "enum": [CANDLE_CLOSED, *CATALOG],
        "enumDescriptions": [_CLOSED, *(f"{entry.summary} ({entry.unit.value})" for entry in CATALOG.values())],
    }


def parameters_by_indicator() -> list[dict[str, Any]]:
    """For each indicator that has some: its parameters, with their limits and defaults."""
    return [
        {
            "if": {"properties": {"indicator": {"const": entry.name}}, "required": ["indicator"]},
            "then": {"properties": {each.name: _described(each) for each in entry.parameters}, **_needed(entry)},
        }
        for entry in CATALOG.values()
        if entry.parameters
    ]


def _described(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "type": "integer" if parameter.kind is int else "number",
        "minimum": parameter.kind(parameter.minimum),
        "maximum": parameter.kind(parameter.maximum),
        "description": f"{parameter.doc[0].upper()}{parameter.doc[1:]}: {parameter.allowed}.",
    }
    if parameter.default is None:
        return described | {"examples": [parameter.kind(max(parameter.minimum, 20))]}
    default = parameter.kind(parameter.default)
    return described | {"default": default, "examples": [default]}


def _needed(entry: Indicator) -> dict[str, Any]:
    needed = [each.name for each in entry.parameters if each.default is None]
    return {"required": needed} if needed else {}


def text() -> str:
    """The whole schema, with this part as the catalog has it now."""
    whole: dict[str, Any] = msgspec.json.decode(schema.text().encode())
    feature = whole["$defs"]["feature"]
    feature["properties"]["indicator"]["anyOf"][0] = indicator_names()
    feature.pop("allOf", None)
    whole = with_examples(whole)
    whole["$defs"]["feature"]["allOf"] = parameters_by_indicator()
    return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n"


if __name__ == "__main__":
    Path("rules", schema.FILE).write_text(text(), "utf-8")
