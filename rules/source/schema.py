"""The JSON Schema of rules files, as shipped beside this module; editors use the same file."""

from __future__ import annotations

from importlib import resources
from typing import Any

import msgspec

FILE = "rules.schema.json"


def text() -> str:
    """The schema as it is shipped."""
    return resources.files("rules").joinpath(FILE).read_text(encoding="utf-8")


SCHEMA: dict[str, Any] = msgspec.json.decode(text().encode(), type=dict[str, Any])
