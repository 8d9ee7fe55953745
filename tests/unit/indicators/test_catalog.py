"""The catalog is complete and consistent, and refuses what it cannot compute with a sentence that helps."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indicators.catalog import CATALOG, Indicator, IndicatorError, Unit, Workspace, describe, resolve
from indicators.series import Series

OF_0_1_0 = (  # noqa: SIM905 (forty words read better than forty literals)
    "open high low close volume ema sma rsi atr atr_pct bb_upper bb_middle bb_lower bb_bandwidth bb_bandwidth_change "
    "bandwidth_rank adx plus_di minus_di ema_slope ema_separation swing_high swing_low recent_high recent_low "
    "donchian_high donchian_low mean_reversion_score volume_ratio atr_ratio bullish_engulfing bearish_engulfing "
    "close_location body_ratio strong_close_up strong_close_down candle_range"
).split()


def test_every_indicator_of_the_first_release_is_there_and_each_under_its_own_name() -> None:
    assert set(OF_0_1_0) <= set(CATALOG)
    assert all(name == entry.name for name, entry in CATALOG.items())


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG.keys())
def test_every_form_of_an_entry_takes_just_its_declared_parameters(entry: Indicator) -> None:
    declared = [parameter.name for parameter in entry.parameters]
    written = (entry.warmup, entry.stream) if entry.formula is None else (entry.formula,)
    assert all(list(inspect.signature(form).parameters) == declared for form in written)
    assert entry.summary.endswith(".")
    assert all(parameter.doc for parameter in entry.parameters)
    for parameter in entry.parameters:
        assert parameter.default is None or parameter.checked(parameter.default) == parameter.default


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG.keys())
def test_no_allowed_parameters_need_more_candles_than_one_request_brings(entry: Indicator) -> None:
    largest = {parameter.name: parameter.kind(parameter.maximum) for parameter in entry.parameters}
    assert entry.warmup(**largest) <= 1_500


def test_defaults_fill_in_what_is_not_given() -> None:
    bands = resolve("bb_upper", {"period": 30})
    assert dict(bands.params) == {"period": 30, "deviations": 2.0}
    assert bands.unit is Unit.PRICE
    assert bands.warmup == 30
    assert str(bands) == "bb_upper(period=30, deviations=2.0)"
    assert str(resolve("close")) == "close()"


def test_a_whole_number_serves_where_any_number_is_allowed() -> None:
    deviations = resolve("bb_upper", {"deviations": 3}).params["deviations"]
    assert deviations == 3.0
    assert isinstance(deviations, float)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("emaa", {}, "no indicator is called 'emaa'; did you mean ema?"),
        ("zzz", {}, "no indicator is called 'zzz'; there are open, high"),
        ("ema", {}, "ema needs period: a whole number from 2 to 500"),
        ("ema", {"period": None}, "ema needs period"),
        ("ema", {"period": 1}, "ema: period must be a whole number from 2 to 500, not 1"),
        ("ema", {"period": 501}, "not 501"),
        ("ema", {"period": 20.0}, "must be a whole number from 2 to 500, not 20.0"),
        ("ema", {"period": "20"}, "not '20'"),
        ("ema", {"period": True}, "not True"),
        ("ema", {"period": 10**400}, "whole number from 2 to 500"),
        ("bb_upper", {"deviations": float("nan")}, "deviations must be a number from 0.1 to 10, not nan"),
        ("bb_upper", {"deviations": float("inf")}, "not inf"),
        ("ema", {"period": 20, "length": 3}, "ema has no parameter 'length'; it takes period"),
        ("macd_line", {"fats": 3}, "macd_line has no parameter 'fats'; it takes fast, slow; did you mean fast?"),
        ("supertrnd", {}, "no indicator is called 'supertrnd'; did you mean supertrend?"),
        ("close", {"period": 20}, "close has no parameter 'period'; it takes no parameters"),
        ("ema_separation", {"fast": 50, "slow": 20}, "ema_separation: fast must be below slow, not 50 and 20"),
        ("ema_separation", {"fast": 20, "slow": 20}, "fast must be below slow"),
    ],
)
def test_what_cannot_be_computed_is_refused_in_words(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(IndicatorError) as refusal:
        resolve(name, params)
    assert message in str(refusal.value)


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG.keys())
def test_the_description_of_an_entry_is_plain_data_and_its_example_can_be_used(entry: Indicator) -> None:
    described = describe(entry)
    assert json.loads(json.dumps(described)) == described
    example = described["example"]
    assert isinstance(example, dict)
    params = {name: value for name, value in example.items() if name not in ("indicator", "timeframe")}
    assert resolve(str(example["indicator"]), params).warmup == described["warmup_candles"]


def test_a_description_names_parameters_with_their_limits() -> None:
    described = describe(CATALOG["rsi"])
    assert described["unit"] == "index"
    assert described["parameters"] == [
        {"name": "period", "kind": "int", "minimum": 2, "maximum": 500, "default": 14, "doc": "changes in the average"}
    ]
    assert (described["lowest"], described["highest"]) == (0.0, 100.0)
    assert describe(CATALOG["macd_line"])["lowest"] is None


def test_a_workspace_computes_what_indicators_share_once(walk: Series) -> None:
    workspace = Workspace(walk)
    upper = resolve("bb_upper").batch(workspace)
    assert resolve("bb_upper").batch(workspace) is upper
    assert resolve("bb_middle").batch(workspace) is resolve("sma", {"period": 20}).batch(workspace)
    assert np.array_equal(upper, resolve("bb_upper").batch(walk), equal_nan=True)


def test_talipp_is_loaded_with_the_first_stream_that_stands_on_it_and_not_before(tmp_path: Path) -> None:
    asked = (
        "import sys; from indicators.catalog import CATALOG, example, resolve\n"
        "for entry in CATALOG.values(): example(entry).warmup\n"
        "resolve('macd_line').stream(); print('talipp' in sys.modules)\n"
        "resolve('atr').stream(); print('talipp' in sys.modules)\n"
    )
    root = str(Path(__file__).parents[3])
    env = {**os.environ, "PYTHONPATH": root}
    ended = subprocess.run(
        [sys.executable, "-c", asked], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("name", CATALOG)
def test_what_a_batch_gives_cannot_be_written_to(name: str, walk: Series) -> None:
    params = {parameter.name: parameter.default or 3 for parameter in CATALOG[name].parameters}
    with pytest.raises(ValueError, match="read-only"):
        resolve(name, params).batch(walk)[0] = 1.0
