"""Tells which indicators rules may read: what each measures, in which unit, with which parameters, after how long."""

from __future__ import annotations

from typing import Any

from fsm.cli import output
from fsm.cli.errors import CommandError
from fsm.cli.options import current


def tell(name: str | None) -> None:
    """All of them, those whose names begin so, or one in full."""
    from rules.indicator_list import IndicatorUnknown, described

    try:
        found = described(name)
    except IndicatorUnknown as error:
        raise CommandError(str(error), "rules indicators lists them all") from None
    if current().json:
        output.document(found)
    elif isinstance(found, list):
        _list(found)
    else:
        _one(found)


def _list(found: list[dict[str, Any]]) -> None:
    rows = [
        (each["name"], each["unit"], ", ".join(map(_short, each["parameters"])), each["warmup_candles"], _first(each))
        for each in found
    ]
    output.table(("name", "unit", "parameters", "warm-up", "what it is"), rows, right=("warm-up",))
    output.line()
    output.line(
        "rules indicators NAME says more about one. The warm-up is in candles, for these parameters; "
        "and before market_data.candles_min candles (200) nothing is known."
    )


def _one(found: dict[str, Any]) -> None:
    output.line(found["summary"])
    output.heading("What it is")
    candles = output.counted(found["warmup_candles"], "candle")
    after = ", and then as soon as the market has shown it" if found["may_be_unknown_after_warmup"] else ""
    output.pairs(
        [
            ("unit", found["unit"]),
            ("values", _range(found["lowest"], found["highest"])),
            ("known after", f"{candles}{after} (for the parameters below)"),
            ("reads", ", ".join(found["reads"]) or "the clock alone"),
        ]
    )
    if found["parameters"]:
        output.heading("Parameters")
        output.table(("name", "default", "allowed", "what it is"), [_parameter(each) for each in found["parameters"]])
    output.heading("In rules.yaml, under features")
    written = ", ".join(f"{key}: {value}" for key, value in found["example"].items())
    output.line(f"  my_{found['name']}: {{{written}}}")


def _short(parameter: dict[str, Any]) -> str:
    default = parameter["default"]
    return parameter["name"] if default is None else f"{parameter['name']} {default:g}"


def _parameter(each: dict[str, Any]) -> tuple[str, ...]:
    kind = "whole numbers " if each["kind"] == "int" else ""
    default = "must be given" if each["default"] is None else f"{each['default']:g}"
    return each["name"], default, f"{kind}{each['minimum']:g} to {each['maximum']:g}", each["doc"]


def _first(each: dict[str, Any]) -> str:
    """The first sentence, or what stands before its colon."""
    summary: str = each["summary"]
    return summary.split(". ")[0].rstrip(".")


def _range(lowest: float | None, highest: float | None) -> str:
    if highest is None:
        return "any number" if lowest is None else f"{lowest:g} and more"
    return f"{highest:g} and less" if lowest is None else f"{lowest:g} to {highest:g}"
