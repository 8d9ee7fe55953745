"""What can never be meant is refused in a file that is offered, and read all the same where a journal keeps it."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.load import SourceError, parse_rules, stored_rules
from rules.strategy import Reason
from tests.unit.rules.conftest import SMALL

STOP = "      stop: low_1h - 0.5 * atr_1h\n"
FIRST = "price: entry + 2 * risk,"
WEAK = "when: adx_4h < weak}"

# what stands in the small file, what takes its place, a part of the message
NEVER_MEANT: dict[str, tuple[str, str, str]] = {
    "a stop above the entry": (STOP, "      stop: entry + 1 * atr_1h\n", "has its stop below its entry"),
    "a stop above the close": (STOP, "      stop: close_1h + 1 * atr_1h\n", "has its stop below its entry"),
    "a stop at the entry": (STOP, "      stop: entry\n", "has its stop below its entry"),
    "a stop at the high": (STOP, "      stop: high_1h\n", "has its stop below its entry"),
    "a stop a multiple above": (STOP, "      stop: entry * (1 + 0.02)\n", "has its stop below its entry"),
    "a stop at the entry or higher": (STOP, '      stop: "max(entry, low_1h)"\n', "has its stop below its entry"),
    "a stop where the setup has the price below": (
        '"close_1h > close_1h[1]"}\n        - {id: strong_candle, when: up_1h}\n      stop: low_1h - 0.5 * atr_1h',
        '"close_1h < close_1h[1]"}\n        - {id: strong_candle, when: up_1h}\n      stop: close_1h[1]',
        "has its stop below its entry",
    ),
    "nested": (STOP, '      stop: "max(min(entry, low_1h), entry)"\n', "has its stop below its entry"),
    "an absolute distance above": (
        STOP,
        '      stop: "entry + abs(close_1h - close_1h[1])"\n',
        "has its stop below its entry",
    ),
    "a stop that rounding hides": (
        STOP,
        '      stop: "entry + 0.1 * atr_1h + 0.2 * atr_1h - 0.3 * atr_1h"\n',
        "has its stop below its entry",
    ),
    "a stop that the setup puts above by way of another price": (
        '"close_1h > close_1h[1]"}\n        - {id: strong_candle, when: up_1h}\n      stop: low_1h - 0.5 * atr_1h',
        '"close_1h < low_1h[1]"}\n      stop: "low_1h[1] + 0.5 * atr_1h"',
        "has its stop below its entry",
    ),
    "a stop at the close before, which the setup has the low of above": (
        '"close_1h > close_1h[1]"}\n        - {id: strong_candle, when: up_1h}\n      stop: low_1h - 0.5 * atr_1h',
        '"close_1h < low_1h[1]"}\n      stop: "high_1h[1]"',
        "has its stop below its entry",
    ),
    "targets of which one is nearer by way of the stop": (
        "price: entry + 4 * risk,",
        'price: "entry + 0.5 * (entry - (low_1h - 0.5 * atr_1h))",',
        "the nearest target comes first",
    ),
    "a stop below zero": (STOP, "      stop: entry - 2 * entry\n", "has its stop below its entry"),
    "a target below the entry": (FIRST, "price: entry - 2 * risk,", "has its targets above its entry"),
    "a target at the stop": (FIRST, "price: stop,", "has its targets above its entry"),
    "a target at the entry": (FIRST, 'price: "min(entry, high_1h)",', "has its targets above its entry"),
    "targets in reverse": (FIRST, "price: entry + 9 * risk,", "the nearest target comes first"),
    "an index above 100": ("when: rsi_4h >= 95}", "when: rsi_4h >= 195}", "from 0 to 100"),
    "an index below 0": (WEAK, "when: adx_4h < weak and adx_4h > -1}", "from 0 to 100"),
    "an index scored above 100": ("full_at: 60}", "full_at: 160}", "from 0 to 100"),
    "a width below 0": ("when: width_4h >= 10}", "when: width_4h >= 10 or width_4h > -1}", "at least 0"),
    "a price below 0": ('when: "close_1h > close_1h[1]"', "when: close_1h > -5", "above 0"),
    "an index above 100 through min": (WEAK, 'when: "min(adx_4h, rsi_4h) > 100"}', "never hold"),
    "an index above 100 through max": (WEAK, 'when: "max(adx_4h, rsi_4h) > 101"}', "never hold"),
    "an index above 100 through abs": (WEAK, 'when: "abs(adx_4h - rsi_4h) > 100"}', "never hold"),
    "an index above 100 by arithmetic": (WEAK, 'when: "adx_4h + rsi_4h > 200"}', "never hold"),
    "a feature named after another timeframe": (
        "atr_1h: {indicator: atr, timeframe: entry, period: 3}",
        "atr_1h: {indicator: atr, timeframe: 4h, period: 3}",
        "atr_1h is measured on 4h",
    ),
}

MEANT: dict[str, tuple[str, str]] = {
    "a stop that may lie above": (STOP, "      stop: low_1h[1]\n"),
    "a stop on either side": (STOP, '      stop: "min(entry, low_1h[1]) - 0.1 * atr_1h"\n'),
    "a target that may lie below": (FIRST, 'price: "high_1h[1]",'),
    "an index at its end": ("when: rsi_4h >= 95}", "when: rsi_4h >= 100}"),
}


def problems_of(text: str) -> list[str]:
    try:
        parse_rules(text, "r.yaml")
    except SourceError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize(("old", "new", "message"), NEVER_MEANT.values(), ids=NEVER_MEANT)
def test_what_can_never_be_meant_is_refused_and_still_read_from_a_journal(changed, old, new, message) -> None:
    text = changed(old, new)
    assert any(message in problem for problem in problems_of(text)), problems_of(text)
    assert stored_rules(text, "rules of a journal").text == text


@pytest.mark.parametrize(("old", "new"), MEANT.values(), ids=MEANT)
def test_what_may_be_meant_is_accepted(changed, old, new) -> None:
    assert problems_of(changed(old, new)) == []


# --- any expression ---------------------------------------------------------------------------------

_PRICES = ("entry", "close_1h", "close_1h[1]", "low_1h", "high_1h", "low_1h[1]")
_DISTANCES = ("atr_1h", "0.5 * atr_1h", "abs(close_1h - low_1h[1])", "rsi_4h / 100 * atr_1h", "0.01 * entry")


def _deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    moved = st.builds(
        lambda price, sign, distance: f"({price} {sign} {distance})",
        inner,
        st.sampled_from("+-"),
        st.sampled_from(_DISTANCES),
    )
    chosen = st.builds(
        lambda name, *parts: f"{name}({', '.join(parts)})", st.sampled_from(("min", "max")), inner, inner
    )
    return moved | chosen


expressions = st.recursive(st.sampled_from(_PRICES), _deeper, max_leaves=3)


def _candles(seed: int, count: int) -> list[Mapping[str, float]]:
    """Facts within their domains: lows below closes below highs, whatever the size of the moves."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        close, before, size = draw.uniform(50, 150), draw.uniform(50, 150), draw.choice((0.0, 0.1, 5.0, 30.0))
        found.append(
            {
                "close_1h": close,
                "close_1h[1]": before,
                "low_1h": close - draw.uniform(0, size),
                "high_1h": close + draw.uniform(0, size),
                "low_1h[1]": before - draw.uniform(0, size),
                "atr_1h": draw.choice((0.0, draw.uniform(0, 20))),
                "rsi_4h": draw.choice((0.0, 100.0, draw.uniform(0, 100))),
                "up_1h": 1.0,
            }
        )
    return found


@settings(max_examples=10, deadline=None, derandomize=True)
@given(stop=expressions, seed=st.integers(0, 2**32))
def test_no_stop_that_can_be_right_is_refused_and_no_accepted_file_opens_with_a_wrong_one(stop: str, seed: int) -> None:
    text = SMALL.replace(STOP, f"      stop: {stop}\n")
    refused = any("has its stop below" in problem for problem in problems_of(text))
    strategy = stored_rules(text, "r.yaml").for_symbol("ETHUSDT").strategies["follow"]
    price = strategy.side("LONG").stop
    right = 0
    for facts in _candles(seed, 200):
        scene = {**facts, "entry": facts["close_1h"]}
        found = price.calculate(scene)
        setup = facts["close_1h"] > facts["close_1h[1]"]
        assert found is not None
        right += setup and 0 < found < facts["close_1h"] - 1e-9
        plan = strategy.seek_signal(facts)
        if plan.reason is Reason.SIGNAL and plan.side == "LONG":
            assert plan.stop is not None
            assert plan.entry is not None
            assert 0 < plan.stop < plan.entry
    assert not (refused and right), f"{stop} was refused and lies right on {right} of 200 candles"
