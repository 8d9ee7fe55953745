"""Lists of conditions: all of them, one of several, and the trace with the distance to each threshold."""

from __future__ import annotations

import msgspec
import numpy as np

from rules.conditions import ComparisonTrace, Condition, Conditions, ConditionTrace
from rules.language.syntax import Number, fill, parse
from rules.language.truth import Truth


def condition(name: str, text: str) -> Condition:
    return Condition.of(name, text, fill(parse(text), {"limit": Number(25.0, "limit")}))


LIST = Conditions(
    (
        (condition("strong", "adx >= limit"),),
        (condition("low", "rsi <= 30"), condition("flag", "engulfing")),
    )
)


def test_every_entry_must_hold_and_of_alternatives_one() -> None:
    assert LIST.truth({"adx": 25.0, "rsi": 31.0, "engulfing": 1.0}) is Truth.TRUE
    assert LIST.truth({"adx": 25.0, "rsi": 30.0, "engulfing": 0.0}) is Truth.TRUE
    assert LIST.truth({"adx": 25.0, "rsi": 31.0, "engulfing": 0.0}) is Truth.FALSE
    assert LIST.truth({"adx": 24.9, "rsi": 30.0, "engulfing": 1.0}) is Truth.FALSE
    assert LIST.truth({"adx": 25.0, "rsi": 31.0, "engulfing": None}) is Truth.UNKNOWN
    assert LIST.truth({"adx": None, "rsi": 31.0, "engulfing": 0.0}) is Truth.FALSE


def test_whole_columns_say_the_same() -> None:
    columns = {
        "adx": np.array([25.0, 25.0, 25.0, 24.9, 25.0, np.nan]),
        "rsi": np.array([31.0, 30.0, 31.0, 30.0, 31.0, 31.0]),
        "engulfing": np.array([1.0, 0.0, 0.0, 1.0, np.nan, 0.0]),
    }
    assert LIST.truths(columns.__getitem__).tolist() == [1, 1, -1, -1, 0, -1]


def test_the_trace_has_both_numbers_and_the_distance_for_each_comparison() -> None:
    first, second, third = LIST.trace({"adx": 27.5, "rsi": 31.0, "engulfing": 1.0})
    assert first == ConditionTrace(
        "strong", "adx >= limit", Truth.TRUE, 0, (ComparisonTrace("adx >= limit", 27.5, 25.0, 2.5, Truth.TRUE),)
    )
    assert second.comparisons == (ComparisonTrace("rsi <= 30", 31.0, 30.0, -1.0, Truth.FALSE),)
    assert third.comparisons == (ComparisonTrace("engulfing", 1.0, None, None, Truth.TRUE),)
    assert (second.group, third.group) == (1, 1)


def test_what_is_unknown_has_no_distance() -> None:
    (first, *_) = LIST.trace({"rsi": 31.0})
    assert first.comparisons == (ComparisonTrace("adx >= limit", None, 25.0, None, Truth.UNKNOWN),)


def test_a_chain_and_a_negation_are_traced_comparison_by_comparison() -> None:
    (trace,) = Conditions(((condition("c", "20 < adx <= limit and not engulfing"),),)).trace(
        {"adx": 22.0, "engulfing": 0.0}
    )
    assert [(one.text, one.distance, one.result) for one in trace.comparisons] == [
        ("20 < adx", 2.0, Truth.TRUE),
        ("adx <= limit", 3.0, Truth.TRUE),
        ("engulfing", None, Truth.FALSE),
    ]
    assert trace.result is Truth.TRUE


def test_it_knows_what_it_reads() -> None:
    assert Conditions(((condition("c", "a[2] > max(a, b) or c"),),)).fact_keys() == {"a[2]", "a", "b", "c"}


def test_a_trace_travels_as_json_without_loss() -> None:
    traces = LIST.trace({"adx": 0.1 + 0.2, "rsi": None, "engulfing": 1.0})
    written = msgspec.json.encode(traces)
    assert msgspec.json.decode(written, type=tuple[ConditionTrace, ...]) == traces
    assert b'"UNKNOWN"' in written
