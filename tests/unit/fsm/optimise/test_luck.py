"""What luck alone gives: formulas by hand, strategies of dice that are not called significant, and edges that are."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from fsm.optimise.dice import DICE, dice, share_interval, verdict
from fsm.optimise.luck import (
    Shape,
    deflated,
    edge_found,
    expected_maximum,
    overfitting,
    probabilistic,
    shape_of,
    sharpes,
)
from tests.effort import FULL

NORMAL = NormalDist()


def test_the_shape_of_returns_by_hand() -> None:
    returns = np.array([0.01, -0.01, 0.03, 0.01] * 10)
    shape = shape_of(returns)
    assert shape is not None
    mean = 0.01
    moments = [sum((value - mean) ** power for value in (0.01, -0.01, 0.03, 0.01)) / 4 for power in (2, 3, 4)]
    assert shape.days == 40
    assert shape.sharpe == pytest.approx(mean / math.sqrt(moments[0] * 40 / 39), rel=1e-12)
    assert shape.skewness == pytest.approx(moments[1] / moments[0] ** 1.5, abs=1e-12)
    assert shape.kurtosis == pytest.approx(moments[2] / moments[0] ** 2, rel=1e-12)
    assert shape_of(np.zeros(100)) is None, "nothing ever happened"
    assert shape_of(np.arange(29.0)) is None, "too few days"


def test_the_example_of_the_paper_on_the_deflated_sharpe_ratio() -> None:
    """Bailey & López de Prado 2014: 100 trials, a variance of 1/2 of yearly ratios, 1,250 days of 250 a year, a yearly
    Sharpe ratio of 2.5, skewness -3, kurtosis 10. The best by luck has 0.1132 a day, the deflated ratio is 0.9004."""
    variance = 0.5 / 250
    shape = Shape(days=1_250, sharpe=2.5 / math.sqrt(250), skewness=-3.0, kurtosis=10.0)
    assert expected_maximum(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated(shape, 100, variance) == pytest.approx(0.9004, abs=5e-5)


def test_the_probabilistic_ratio_of_normal_returns_is_a_z_test() -> None:
    shape = Shape(days=101, sharpe=0.1, skewness=0.0, kurtosis=1.0)
    assert probabilistic(shape) == pytest.approx(NORMAL.cdf(1.0))
    assert probabilistic(shape, 0.1) == pytest.approx(0.5)
    assert expected_maximum(1, 5.0) == 0.0


def test_dice_are_not_called_significant_more_often_than_stated() -> None:
    """A small version of `python -m benchmarks.luck`, which rolls for 1,000 searches of 1,000 variants."""
    found = [verdict(dice(seed, days=400, variants=200)) for seed in range(200)]
    low, high = share_interval(sum(each.significant for each in found), len(found))
    assert low <= 0.05, f"of 200 searches without any edge {low:.1%} to {high:.1%} are called significant"


def test_an_edge_is_found_as_often_as_theory_says_and_a_small_one_is_not() -> None:
    edge = edge_found(400, 200, 1 / 399, kurtosis=DICE)
    found = dict.fromkeys((0.5, 1.0), 0)
    for part in found:
        for seed in range(200):
            told = verdict(dice(10_000 + seed, days=400, variants=200, edge=part * edge))
            found[part] += told.significant and told.best == 0
    low, high = share_interval(found[1.0], 200)
    assert high >= 0.9, f"found in {low:.1%} to {high:.1%} of 200 searches"
    assert found[0.5] < 60, "half the edge is mostly taken for luck"


def test_an_interval_is_that_of_clopper_and_pearson() -> None:
    """R: binom.test(7, 50)$conf.int and (0, 100), (100, 100)."""
    assert share_interval(7, 50) == pytest.approx((0.05819170, 0.26739600), abs=1e-6)
    assert share_interval(0, 100) == pytest.approx((0.0, 0.03621669), abs=1e-6)
    assert share_interval(100, 100) == pytest.approx((0.96378331, 1.0), abs=1e-6)


def test_what_is_best_in_noise_is_as_likely_bad_as_good_afterwards() -> None:
    chance = np.random.Generator(np.random.PCG64(5))
    found = [overfitting(chance.standard_normal((120, 20))) for _ in range(20 if FULL else 4)]
    mean = sum(each.probability for each in found if each is not None) / len(found)
    assert 0.35 < mean < 0.65
    assert {(each.blocks, each.splits) for each in found if each is not None} == {(16, 12_870)}


def test_what_is_good_all_the_time_is_not_overfitted() -> None:
    chance = np.random.Generator(np.random.PCG64(6))
    returns = chance.standard_normal((120, 20))
    returns[:, 3] += 1.0
    found = overfitting(returns)
    assert found is not None
    assert found.probability == 0.0
    assert found.loss == 0.0


def test_the_probability_of_overfitting_by_hand() -> None:
    """Six blocks of five days, two variants: one is better in the first half, the other in the second."""
    good, bad = [0.02, 0.01, 0.02, 0.01, 0.02], [-0.02, -0.01, -0.02, -0.01, -0.02]
    returns = np.array([good * 3 + bad * 3, bad * 3 + good * 3]).T
    found = overfitting(returns)
    assert found is not None
    assert (found.blocks, found.splits) == (6, 20)
    assert found.probability == 1.0, "no split into halves is without a surplus, and the other half has the opposite"
    assert overfitting(returns[:29]) is None, "too few days"
    assert overfitting(returns[:, :1]) is None, "one variant is no choice"


def test_columns_without_a_trade_have_a_ratio_of_0() -> None:
    assert sharpes(np.array([[0.0, 0.1], [0.0, 0.3]])).tolist() == [0.0, pytest.approx(math.sqrt(2.0))]
