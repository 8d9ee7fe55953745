"""Fuzzing: no accepted rules file has a stop or target that is on the wrong side, or in reverse, on every candle.

Files are made of random setups, stops and targets. What they say on a candle is worked out here from the generator's
own trees, not by the parser or the interpreter of the rules, and on candles of a random walk, measured here.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from rules.load import SourceError, parse_rules
from tests.effort import sampled
from tests.unit.rules.conftest import SMALL

FILES = int(os.environ.get("SIDES_FILES", "100"))
CANDLES = 6_000
MARKETS = 60
"""As many are asked as it takes to find a candle that is right: some want a flat candle beyond its band."""
ENOUGH = 150
"""Candles at which the setup must hold for a verdict: of fewer, chance decides."""

Array = npt.NDArray[np.float64]
Scene = Mapping[str, Array]

FEATURES = """\
  open_1h: {indicator: open, timeframe: 1h}
  top_1h: {indicator: recent_high, timeframe: 1h, period: 5}
  floor_1h: {indicator: recent_low, timeframe: 1h, period: 5}
  before_high_1h: {indicator: donchian_high, timeframe: 1h, period: 5}
  before_low_1h: {indicator: donchian_low, timeframe: 1h, period: 5}
  upper_1h: {indicator: bb_upper, timeframe: 1h, period: 20, deviations: 2}
  middle_1h: {indicator: bb_middle, timeframe: 1h, period: 20}
  lower_1h: {indicator: bb_lower, timeframe: 1h, period: 20, deviations: 2}
"""


@dataclass(frozen=True)
class Written:
    """An expression as it stands in a file, and what it comes to."""

    text: str
    value: Callable[[Scene], Array]


def _name(name: str) -> Written:
    return Written(name, lambda scene: scene[name])


def _number(value: float) -> Written:
    return Written(f"{value:g}", lambda scene: np.full(CANDLES, float(f"{value:g}")))


def _two(sign: str, one: Written, other: Written) -> Written:
    apply = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}[sign]
    return Written(f"({one.text} {sign} {other.text})", lambda scene: apply(one.value(scene), other.value(scene)))


def _of(function: str, *parts: Written) -> Written:
    apply = {"min": np.minimum, "max": np.maximum}.get(function)

    def value(scene: Scene) -> Array:
        values = [part.value(scene) for part in parts]
        found: Array = np.abs(values[0]) if apply is None else apply(*values)
        return found

    return Written(f"{function}({', '.join(part.text for part in parts)})", value)


PRICES = (
    *("entry", "close_1h", "close_1h[1]", "open_1h", "high_1h", "low_1h", "low_1h[1]", "high_1h[1]", "top_1h"),
    *("floor_1h", "before_high_1h", "before_low_1h", "upper_1h", "middle_1h", "lower_1h"),
)


class Maker:
    """Random rules for one strategy's long and short."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def price(self, *, deep: int = 2, local: bool = False) -> Written:
        choice = self._random.random()
        names = [name for name in PRICES if local or name != "entry"]
        if deep == 0 or choice < 0.35:
            return _name(self._random.choice([*names, "entry"] if local else names))
        if choice < 0.75:
            sign = self._random.choice("+-")
            return _two(sign, self.price(deep=deep - 1, local=local), self._distance(deep - 1, local=local))
        function = self._random.choice(("min", "max"))
        return _of(function, self.price(deep=deep - 1, local=local), self.price(deep=deep - 1, local=local))

    def _distance(self, deep: int, *, local: bool) -> Written:
        choice = self._random.randrange(4)
        factor = _number(self._random.choice((0.1, 0.5, 1, 2, 3)))
        if choice == 0:
            return _two("*", factor, _name("atr_1h"))
        if choice == 1:
            return _of("abs", _two("-", self.price(deep=0, local=local), self.price(deep=0, local=local)))
        if choice == 2:
            return _two("*", _number(self._random.choice((0.001, 0.01))), self.price(deep=0, local=local))
        return _two("*", _two("/", _name("rsi_4h"), _number(100)), _name("atr_1h"))

    def stop(self) -> Written:
        return self.price(local=True)

    def target(self) -> Written:
        if self._random.random() < 0.5:
            times = _two("*", _number(self._random.choice((0.5, 1, 2, 3))), _name("risk"))
            return _two(self._random.choice("+-"), _name("entry"), times)
        return self.price(local=True)

    def setup(self) -> list[Written]:
        found = []
        for _ in range(self._random.randrange(1, 3)):
            one, other = self.price(deep=1), self.price(deep=1)
            is_above = self._random.random() < 0.5
            text = f"{one.text} {'>' if is_above else '<='} {other.text}"
            found.append(Written(text, _compared(one, other, is_above=is_above)))
        return found


def _compared(one: Written, other: Written, *, is_above: bool) -> Callable[[Scene], Array]:
    def value(scene: Scene) -> Array:
        left, right = one.value(scene), other.value(scene)
        return np.where(left > right, 1.0, 0.0) if is_above else np.where(left <= right, 1.0, 0.0)

    return value


@cache
def market(seed: int) -> dict[str, Array]:
    """A random walk with calm and wild stretches, candles that open anywhere, and flat ones."""
    draw = np.random.default_rng(seed)
    count = CANDLES + 40
    wild = draw.choice((0.001, 0.01, 0.05, 0.2), count)
    close = 100 * np.exp(np.clip(np.cumsum(draw.normal(0, 1, count) * wild), -2, 2))
    opens = np.where(draw.random(count) < 0.5, np.roll(close, 1), close * np.exp(draw.normal(0, 1, count) * wild))
    wick = draw.choice((0.0, 0.002, 0.02, 0.2), (2, count)) * draw.random((2, count))
    flat = draw.random(count) < 0.05
    opens, wick = np.where(flat, close, opens), np.where(flat, 0.0, wick)
    high, low = np.maximum(opens, close) * (1 + wick[0]), np.minimum(opens, close) * (1 - wick[1])
    windows = np.lib.stride_tricks.sliding_window_view
    last = slice(count - CANDLES, count)

    def seen(column: Array, reduce: Callable[..., Array], back: int = 0) -> Array:
        found: Array = reduce(windows(column, 5), axis=1)
        return found[len(found) - CANDLES - back : len(found) - back]

    # where bands lie is free here: of the candles before, they may have been anywhere
    middle = close[last] * np.exp(draw.normal(0, 1, CANDLES) * draw.choice((0.001, 0.02, 0.2), CANDLES))
    width = middle * draw.random(CANDLES) * draw.choice((0.0, 0.01, 0.5), CANDLES)
    return {
        "close_1h": close[last],
        "entry": close[last],
        "close_1h[1]": np.roll(close, 1)[last],
        "open_1h": opens[last],
        "high_1h": high[last],
        "high_1h[1]": np.roll(high, 1)[last],
        "low_1h": low[last],
        "low_1h[1]": np.roll(low, 1)[last],
        "top_1h": seen(high, np.max),
        "floor_1h": seen(low, np.min),
        "before_high_1h": seen(high, np.max, 1),
        "before_low_1h": seen(low, np.min, 1),
        "upper_1h": middle + width,
        "middle_1h": middle,
        "lower_1h": middle - width,
        "atr_1h": (high - low)[last] * draw.choice((0.0, 0.3, 1.0, 3.0), CANDLES),
        "rsi_4h": draw.choice((0.0, 3.0, 50.0, 100.0), CANDLES),
    }


def file_of(side: str, setup: list[Written], stop: Written, targets: list[Written]) -> str:
    conditions = "".join(f'        - {{id: c{n}, when: "{one.text}"}}\n' for n, one in enumerate(setup))
    prices = "".join(f'        - {{price: "{one.text}", portion: {1 / len(targets):g}}}\n' for one in targets)
    start, end = SMALL.index("  revert:\n"), SMALL.index("router:\n")
    strategy = (
        f"  revert:\n    reward_risk_min: 0.1\n    {side}:\n      setup:\n{conditions}"
        f'      stop: "{stop.text}"\n      targets:\n{prices}'
    )
    return (SMALL[:start] + strategy + SMALL[end:]).replace("  atr_1h:", FEATURES + "  atr_1h:")


def right_on(side: str, scene: dict[str, Array], stop: Written, targets: list[Written]) -> tuple[Array, Array]:
    """Where the stop lies right, and where all targets do as well, in order."""
    sign = 1 if side == "long" else -1
    entry = scene["entry"]
    place = stop.value(scene)
    stop_right = (sign * (entry - place) > 1e-9 * entry) & (place > 0)
    local = {**scene, "stop": place, "risk": sign * (entry - place)}
    right, before = stop_right, entry
    for target in targets:
        price = target.value(local)
        right = right & (sign * (price - before) > 1e-9 * entry) & (price > 0)
        before = price
    return stop_right, right


def messages_of(text: str) -> list[str]:
    try:
        parse_rules(text, "r.yaml")
    except SourceError as error:
        return [problem.message for problem in error.problems]
    return []


def verdict(side: str, setup: list[Written], stop: Written, targets: list[Written]) -> tuple[int, bool, bool]:
    """At how many candles the setup holds; whether the stop is right at one of them; whether all is."""
    held, stop_right, all_right = 0, False, False
    for seed in range(MARKETS):
        scene = market(seed)
        holds = np.logical_and.reduce([one.value(scene) > 0 for one in setup])
        held += int(holds.sum())
        of_stop, of_all = right_on(side, scene, stop, targets)
        stop_right, all_right = stop_right or bool((holds & of_stop).any()), bool((holds & of_all).any())
        if all_right:
            break
    return held, stop_right, all_right


@pytest.mark.parametrize("block", sampled(range(5), often=1))
def test_no_accepted_file_is_wrong_on_every_candle_and_no_refused_one_is_right_on_any(block: int) -> None:
    slipped, mistaken, accepted, refused = [], [], 0, 0
    for seed in range(block * FILES // 5, (block + 1) * FILES // 5):
        maker = Maker(seed)
        side = "long" if seed % 2 else "short"
        setup, stop = maker.setup(), maker.stop()
        targets = [maker.target() for _ in range(1 + seed % 3 // 2)]
        messages = messages_of(file_of(side, setup, stop, targets))
        held, stop_right, all_right = verdict(side, setup, stop, targets)
        ours = [message for message in messages if "never" in message]
        accepted += not messages
        refused += bool(ours)
        told = f"{seed} {side}: {[one.text for one in setup]} stop {stop.text} targets {[one.text for one in targets]}"
        if not messages and held >= ENOUGH and not all_right:
            slipped.append(told)
        if (stop_right and any("has its stop" in message for message in ours)) or (all_right and ours):
            mistaken.append(f"{told}: {ours}")
    assert not slipped, "\n".join(slipped)
    assert not mistaken, "\n".join(mistaken)
    assert accepted > FILES // 100
    assert refused > FILES // 100
