"""The JSON Schema of rules files, as shipped beside this module; editors use the same file."""

from __future__ import annotations

from importlib import resources
from typing import Any

import msgspec

FILE = "rules.schema.json"


def text() -> str:
    """The schema as it is shipped."""
    return resources.files("rules").joinpath(FILE).read_text(encoding="utf-8")


def _checked(whole: dict[str, Any]) -> dict[str, Any]:
    """The schema without what it says of each indicator's parameters: of these the catalog itself is asked."""
    whole["$defs"]["feature"].pop("allOf", None)
    return whole


SCHEMA: dict[str, Any] = _checked(msgspec.json.decode(text().encode(), type=dict[str, Any]))
"""What files are checked with."""
