"""Writes the page of a study: one file that asks nobody for anything, without a script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fsm.backtest.report.html import Part, panel, table, tag, together
from fsm.backtest.report.page import STATIC
from fsm.optimise.report.pictures import curves, heat_maps, parallel
from fsm.optimise.results import daily_outside
from fsm.optimise.study import AS_IT_IS, Study
from fsm.optimise.telling import told_of_luck

ROWS_MAX = 5_000
"""Rows of the table; of more variants the best. The study has all."""

PLACES = (
    ("outside", "Out of sample"), ("luck", "Luck"), ("inside", "In sample"), ("maps", "Heat maps"),
    ("parallel", "Parallel coordinates"), ("variants", "Variants"),
)  # fmt: skip
NAMED = (
    ("Return", "return_pct", " %"), ("Net", "net_pnl_usdt", " USDT"), ("Trades", "trades", ""),
    ("Sharpe", "sharpe", ""), ("Drawdown", "max_drawdown_pct", " %"), ("Expectancy", "expectancy_r", " R"),
)  # fmt: skip
STYLE = ".maps { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); }"
"""Beside that of backtests' reports."""

SEARCHED, UNCHANGED = "#1a7f5a", "#8b6f00"


def write_study_report(study: Study, found: dict[str, Any], path: Path, name: str) -> None:
    """``found`` is the document of the study. An existing file is replaced."""
    path.write_text(page(study, found, name), encoding="utf-8")


def page(study: Study, found: dict[str, Any], name: str) -> str:
    style = (STATIC / "report.css").read_text("utf-8") + STYLE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = f"Search {name}"
    head = together(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        Part(f"<style>{style}</style>"),
    )
    body = together(
        tag("a", "Skip to the figures", class_="skip", href="#outside"),
        tag("header", tag("h1", title), *(tag("p", text) for text in _subtitle(found))),
        tag("nav", *(tag("a", text, href=f"#{place}") for place, text in PLACES), aria_label="Parts of the page"),
        tag("main", *_parts(study, found)),
        tag("footer", "What was, is no promise of what will be; what was searched for, still less."),
    )
    return f'<!doctype html>\n<html lang="en"><head>{head.html}</head><body>{body.html}</body></html>\n'


def _subtitle(found: dict[str, Any]) -> list[str]:
    return [
        f"{', '.join(found['symbols'])}, {found['from']} to {found['to']}",
        f"{found['trials']:,} variants ({found['sampler']}), for the {found['goal']}",
        "; ".join(found["parameters"]),
    ]


def _parts(study: Study, found: dict[str, Any]) -> list[Part]:
    scores, points = _scores(study), {each.number: each.point for each in study.trials() if each.point}
    parameters, objective = study.plan.parameters, study.plan.goal.objectives[0]
    best = found["order"][0] if found["order"] else None
    parts = [_outside(study, found), _luck(found), _inside(found)]
    if best is not None:
        words = (
            f"The median {objective.figure} of all variants in a cell, the brighter the better; the best one is framed."
        )
        maps = heat_maps(parameters, points, scores, objective, best)
        told = tag("p", words, class_="quiet")
        parts.append(panel("maps", "Heat maps", told, tag("div", *maps, class_="maps"), wide=True))
        parts.append(
            panel(
                "parallel",
                "Parallel coordinates",
                parallel(parameters, points, scores, objective, best),
                tag("p", "Each line is a variant, the brighter the better; the best in sample is red.", class_="quiet"),
                wide=True,
            )
        )
    return [*parts, _variants(study, found)]


def _scores(study: Study) -> dict[int, float]:
    objective = study.plan.goal.objectives[0]
    figures = study.figures(study.plan.whole.name)
    return {trial: objective.score(each) for trial, each in figures.items() if trial != AS_IT_IS}


def _outside(study: Study, found: dict[str, Any]) -> Part:
    walk = found["walk_forward"]
    if walk is None:
        words = "Nothing was kept from this search (--folds 0): its figures say nothing about tomorrow."
        return panel("outside", "Out of sample", tag("p", words, class_="warning"), wide=True)
    sums, before = walk["out_of_sample"], walk["rules_as_they_are"]
    figures = [
        tag(
            "div",
            tag("dt", name),
            tag("dd", f"{_number(sums[key])}{unit}"),
            tag("dt", f"rules as they are: {_number(before[key])}{unit}"),
        )
        for name, key, unit in NAMED
    ]
    head = ("window", "from", "to", "trial", "values", "trades", "net USDT", "return %", "Sharpe", "unchanged return %")
    stable = walk["stability"]
    told = (
        f"{stable['earned']} of {stable['windows']} windows earned. "
        + (f"{100 * stable['efficiency']:.0f} % of the yearly return that the search promised was earned afterwards. "
           if stable["efficiency"] is not None else "")
        + "; ".join(f"{name}: {', '.join(map(str, each['chosen']))}" for name, each in stable["values"].items())
    )  # fmt: skip
    searched, unchanged = daily_outside(study)
    lines = [("searched anew before each window", SEARCHED, searched), ("rules as they are", UNCHANGED, unchanged)]
    return panel(
        "outside",
        "Out of sample",
        tag("dl", *figures, class_="figures"),
        curves(lines, "Growth out of sample, window after window"),
        table("Windows", head, [_window(each) for each in walk["windows"]], words=5, titled=True),
        tag("p", told, class_="quiet"),
        wide=True,
    )


def _window(each: dict[str, Any]) -> Sequence[str]:
    test, before = each["test"] or {}, each["rules_as_they_are"] or {}
    values = "nothing fulfilled what is required" if each["values"] is None else _values(each["values"])
    return (
        str(each["window"]), each["test_from"][:10], each["test_to"][:10], str(each["trial"] or ""), values,
        *(_number(test.get(name)) for name in ("trades", "net_pnl_usdt", "return_pct", "sharpe")),
        _number(before.get("return_pct")),
    )  # fmt: skip


def _luck(found: dict[str, Any]) -> Part:
    if found["honesty"] is None:
        return panel("luck", "How much of it is luck?", tag("p", "Nothing to judge yet.", class_="quiet"), wide=True)
    rows = list(told_of_luck(found["honesty"], found["trials"]))
    title = f"How much of the best in sample (trial {found['honesty']['trial']}) is luck?"
    return panel("luck", title, table(title, ("look", "says"), rows, words=2, titled=True), wide=True)


def _inside(found: dict[str, Any]) -> Part:
    inside = found["in_sample"]
    if inside is None:
        words = "No variant fulfils what is required."
    else:
        words = f"Trial {inside['trial']} ({_values(inside['values'])}). Around it: {inside['plateau']['told']}."
    warning = "From these figures nothing was kept: never take them for a forecast."
    return panel("inside", "In sample", tag("p", words), tag("p", warning, class_="warning"), wide=True)


def _variants(study: Study, found: dict[str, Any]) -> Part:
    names = [each.name for each in study.plan.parameters]
    shown = ("trades", "net_pnl_usdt", "return_pct", "max_drawdown_pct", "sharpe", "profit_factor", "expectancy_r")
    order = {trial: place for place, trial in enumerate(found["order"])}
    rows = sorted(
        (row for row in found["table"] if row["figures"] is not None),
        key=lambda row: (row["trial"] != AS_IT_IS, order.get(row["trial"], len(order)), row["trial"]),
    )
    cells = [
        (
            "as it is" if row["trial"] == AS_IT_IS else str(row["trial"]),
            *(_number(row["values"].get(name)) for name in names),
            *(_number(row["figures"][name]) for name in shown),
        )
        for row in rows[:ROWS_MAX]
    ]
    left = f" The best {ROWS_MAX:,} of {len(rows):,}." if len(rows) > ROWS_MAX else ""
    refused = f" {found['refused']:,} would not pass `rules check` and were not run." if found["refused"] else ""
    told = tag("p", f"In sample, the best first.{left}{refused}", class_="quiet")
    return panel(
        "variants", "Variants", told, table("Variants", ("trial", *names, *shown), cells, titled=True), wide=True
    )


def _values(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:,.4g}" if abs(value) < 100 else f"{value:,.2f}"
