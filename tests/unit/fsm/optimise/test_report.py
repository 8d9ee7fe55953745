"""The page of a study: offline, without a script, and with what the study found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from fsm.optimise.evaluating import Kept
from fsm.optimise.goals import FIGURES, goal_of
from fsm.optimise.parameters import Parameter, grid
from fsm.optimise.report.page import page
from fsm.optimise.report.pictures import Ranks, colour, heat_maps, parallel
from fsm.optimise.results import document
from fsm.optimise.spans import DAY_MS, Fold, Span, Walk
from fsm.optimise.study import Plan, Study, packed
from store.studies import TrialRow, study_store

PARAMETERS = (
    Parameter(name="adx_trend", low=20, high=24, step=1),
    Parameter(name="spike", low=1.0, high=1.4, step=0.2),
    Parameter(name="<target>", options=("one", "other")),
)
POINTS = dict(enumerate(grid(PARAMETERS), start=1))


def kept(sharpe: float, returns: Sequence[float]) -> Kept:
    figures: dict[str, int | float | None] = dict.fromkeys(FIGURES, 1.0)
    return Kept(figures={**figures, "sharpe": sharpe, "trades": 7}, returns=[*returns], rules_hash=f"{sharpe}")


def made(folder: Path, *, folds: bool = True) -> str:
    """The page of a study in which the last points are the best."""
    train, test = Span("train-1", 0, 40 * DAY_MS), Span("test-1", 41 * DAY_MS, 60 * DAY_MS)
    plan = Plan(
        rules_text="", rules_name="rules.yaml", rules_hash="r", config_hash="c", data_hash="d", symbols=("BTCUSDT",),
        timeframe="1h", whole=Span("whole", 0, 60 * DAY_MS), folds=(Fold(1, train, test),) if folds else (),
        walk=Walk(folds=int(folds)), parameters=PARAMETERS, sampler="grid", trials=0, seed=0,
        goal=goal_of(("sharpe",), ()), luck=0,
    )  # fmt: skip
    with study_store(folder / "s.sqlite", new=True) as store:
        study = Study.begin(plan, store)
        store.add([TrialRow(0, -1, {}), *(TrialRow(number, 0, dict(point)) for number, point in POINTS.items())])
        for number in (0, *POINTS):
            outcome = kept(number / 10, [0.001 * number, -0.001] * 10)
            store.put(number, {"whole": packed(outcome), "train-1": packed(outcome)})
        for number in (0, len(POINTS)):
            store.put(number, {"test-1": packed(kept(-0.5, [0.01, -0.02]))})
        return page(study, document(study), "trend & more")


def test_it_asks_nobody_and_runs_nothing(tmp_path: Path) -> None:
    text = made(tmp_path)
    assert "<script" not in text
    assert not re.search(r"""(?:src|href)=["'](?!#)""", text)
    assert "url(" not in text
    assert "default-src &#x27;none&#x27;" in text


def test_it_says_what_the_study_found_and_escapes_what_was_named(tmp_path: Path) -> None:
    text = made(tmp_path)
    assert "<h1>Search trend &amp; more</h1>" in text
    assert "&lt;target&gt;" in text
    assert "<target>" not in text
    assert text.index('id="outside"') < text.index('id="luck"') < text.index('id="inside"'), "out of sample first"
    assert "adx_trend 24, spike 1.4, &lt;target&gt; other" in text
    assert text.count("<polyline") == len(POINTS) + 1 + 2, "a line a variant, the best one again, and two curves"
    assert text.count('aria-label="sharpe: ') == 3, "a heat map for each pair"
    assert text.count("<tr>") > len(POINTS)


def test_without_windows_it_says_that_it_says_nothing_about_tomorrow(tmp_path: Path) -> None:
    assert "say nothing about tomorrow" in made(tmp_path, folds=False)


def test_a_heat_map_shows_the_median_of_each_cell() -> None:
    scores = {number: float(point["adx_trend"]) for number, point in POINTS.items()}  # type: ignore[arg-type]
    (drawn,) = heat_maps(PARAMETERS[:1], POINTS, scores, goal_of(("sharpe",), ()).objectives[0], 30)
    assert re.findall(r"adx_trend (\d+): sharpe (\d+), (\d+) variants", drawn.html) == [
        (str(value), str(value), "6") for value in range(20, 25)
    ]
    colours = re.findall(r'fill="(#[0-9a-f]{6})"', drawn.html)
    assert len(set(colours)) == 5


def test_the_brighter_the_better() -> None:
    ranks = Ranks({1: 0.0, 2: 5.0, 3: 10.0})
    assert [ranks.of(score) for score in (0.0, 5.0, 10.0)] == [0.0, 0.5, 1.0]
    assert (colour(0.0), colour(1.0)) == ("#440154", "#fde725")


def test_thousands_of_variants_are_thinned_and_the_best_are_all_there() -> None:
    parameter = Parameter(name="a", low=0, high=9_999, step=1)
    points = {number: {"a": number} for number in range(10_000)}
    scores = {number: float(number) for number in points}
    drawn = parallel((parameter,), points, scores, goal_of(("sharpe",), ()).objectives[0], 9_999)
    assert 1_800 < drawn.html.count("<polyline") < 2_100


@pytest.mark.parametrize("count", [30, 500])
def test_many_values_are_put_together_in_ranges(count: int) -> None:
    parameter = Parameter(name="a", low=0, high=count - 1, step=1)
    points = {number: {"a": number} for number in range(count)}
    scores = {number: float(number) for number in points}
    (drawn,) = heat_maps((parameter,), points, scores, goal_of(("sharpe",), ()).objectives[0], 3)
    assert drawn.html.count("variants</title>") == 24
