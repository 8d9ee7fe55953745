"""The JSON Schema of config.yaml, and what it says of each kind of alert: the one place where a kind is described."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from enum import StrEnum
from importlib import resources
from typing import Any, Literal

import msgspec


class AlertLevel(StrEnum):
    """What happens to an alert: sent with sound, sent without, or only journalled."""

    ON = "on"
    SILENT = "silent"
    OFF = "off"


Severity = Literal["info", "warning", "critical"]


class AlertKind(msgspec.Struct, frozen=True):
    """What a kind of alert tells, how loud it is where config.yaml does not say, and how grave."""

    description: str
    default: AlertLevel
    severity: Severity = "info"


@functools.cache
def config_schema() -> Mapping[str, Any]:
    """The JSON Schema of config.yaml; editors use the same file."""
    schema: Mapping[str, Any] = json.loads(resources.files("fsm").joinpath("config.schema.json").read_text("utf-8"))
    return schema


@functools.cache
def alert_kinds() -> Mapping[str, AlertKind]:
    """Every kind of alert by its key of config.yaml, in the order in which they are shown."""
    return msgspec.convert(config_schema()["properties"]["alerts"]["properties"], dict[str, AlertKind])
