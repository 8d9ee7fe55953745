"""Random expressions, and an evaluator of its own for them: row by row, straight from what the language promises.

``python -m tests.unit.rules.expressions 500`` compares so many of them at every row; a test does so for fewer. 4,200
are a million pairs of expression and row, in which every function and indicator is there at least a thousand times.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from indicators.candle import Candle, Timeframe
from indicators.catalog import CATALOG, Unit, example
from indicators.series import Series, aggregate
from rules.compiled_rules import CompiledRules
from rules.facts import FactStream, FactTable
from rules.language.arrays import truths
from rules.language.syntax import FUNCTIONS, Call, Name, Node, children, parse, walk
from rules.language.truth import Truth
from rules.load import stored_rules

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
MONDAY_MS = 1_704_067_200_000
LOOK_BACK = 500
PER_FILE = 25
PRICES = {"1h": ("open_1h", "high_1h", "low_1h", "close_1h", "ema_1h"), "4h": ("close_4h", "low_4h", "sma_4h")}
INDICES = {"1h": ("rsi_1h",), "4h": ("rsi_4h",)}
FLAGS = {"1h": ("up_1h", "engulfs_1h"), "4h": ("up_4h",)}
CLOCK = ("hour", "weekday")
EVERY = {f"x_{name}": example(entry) for name, entry in CATALOG.items()}
"""Each indicator of the catalog, with the parameters of its example, on 1h."""
SESSIONS = ("london", "early")
HEAD = """\
version: 1
timeframes: {entry: 1h}
thresholds: {three: 3, half: 0.5}
features:
  open_1h: {indicator: open, timeframe: 1h}
  high_1h: {indicator: high, timeframe: 1h}
  low_1h: {indicator: low, timeframe: 1h}
  close_1h: {indicator: close, timeframe: 1h}
  ema_1h: {indicator: ema, timeframe: 1h, period: 4}
  rsi_1h: {indicator: rsi, timeframe: 1h, period: 5}
  up_1h: {indicator: strong_close_up, timeframe: 1h}
  engulfs_1h: {indicator: bullish_engulfing, timeframe: 1h}
  close_4h: {indicator: close, timeframe: 4h}
  low_4h: {indicator: low, timeframe: 4h}
  sma_4h: {indicator: sma, timeframe: 4h, period: 3}
  rsi_4h: {indicator: rsi, timeframe: 4h, period: 3}
  up_4h: {indicator: strong_close_up, timeframe: 4h}
sessions: {early: {from: "22:00", to: "03:30", days: [1, 2, 5]}}
define:
  body_1h: abs(close_1h - open_1h)
  rises_1h: close_1h > close_1h[1]
  thrust_1h: "rises_1h and body_1h > half * (high_1h - low_1h)"
strategies:
  fuzz:
    long:
      stop: low_1h - body_1h
      setup:
"""
HEAD = HEAD.replace(
    "features:\n",
    "features:\n"
    + "".join(
        f"  {name}: {{indicator: {each.name}, timeframe: 1h"
        + "".join(f", {key}: {value:g}" for key, value in each.params.items())
        + "}\n"
        for name, each in EVERY.items()
    ),
)


class Drawn:
    """Draws conditions that pass every check of units, with functions of all kinds."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._undrawn: list[str] = []

    def condition(self, depth: int, frame: str = "") -> str:
        """One that reads the one timeframe, or any where none is named."""
        frame_here = frame or self._chance.choice(("1h", "1h", "4h"))
        kind = self._chance.randrange(15) if depth else self._chance.choice((11, 12))
        price, inner = self.price(depth - 1, frame_here), depth - 1
        match kind:
            case 0:
                return f"({self.condition(inner, frame)} and {self.condition(inner, frame)})"
            case 1:
                return f"({self.condition(inner, frame)} or {self.condition(inner, frame)})"
            case 2:
                return f"not {self.condition(inner, frame)}"
            case 3:
                return f"crosses_{self._pick('above', 'below')}({price}, {self.price(inner, frame_here)}){self.back()}"
            case 4:
                return f"between({price}, {self.price(inner, frame_here)}, {self.price(inner, frame_here)})"
            case 5:
                size = self._pick("1", "2", "three", "7", "40")
                return f"count({self.condition(inner, frame_here)}, {size}){self.back()} >= {self._pick('1', '2', '5')}"
            case 6:
                ago = f"{self._pick('<=', '>')} {self._pick('0', '3', '90')}"
                return f"since({self.condition(inner, frame_here)}){self.back()} {ago}"
            case 7:
                index = self._chance.choice(INDICES[frame_here])
                return f"30 < {index}{self.back()} <= {self._pick('50', '60')}"
            case 8:
                return self._pick(f"{self._pick(*CLOCK)} < {self._pick('3', '5', '12')}", *SESSIONS)
            case 9:
                return "thrust_1h" + self.back() if frame_here == "1h" else "up_4h"
            case 10:
                return self._chance.choice(FLAGS[frame_here]) + self.back()
            case 12 | 13 | 14 if frame_here == "1h":
                return self._indicator()
        return f"{price} {self._pick('<', '<=', '>', '>=')} {self.price(max(inner, 0), frame_here)}"

    def price(self, depth: int, frame: str) -> str:
        plain = self._chance.choice(PRICES[frame]) + self.back()
        if depth <= 0:
            return plain
        inner = depth - 1
        match self._chance.randrange(9):
            case 0:
                size = self._pick("2", "three", "20")
                return f"{self._pick('highest', 'lowest')}({self.price(inner, frame)}, {size}){self.back()}"
            case 1:
                return f"value_when({self.condition(inner, frame)}, {self.price(inner, frame)}){self.back()}"
            case 2:
                return f"{self._pick('min', 'max')}({plain}, {self.price(inner, frame)})"
            case 3:
                return f"({self.price(inner, frame)} + {self._pick('half', '0.1', '2')} * {self.price(inner, frame)})"
            case 4:
                return f"({plain} - {self.price(inner, frame)})"
            case 5:
                return f"abs({self.price(inner, frame)} - {plain}) / {self._pick('2', 'three')}"
            case 6:
                return f"{plain} * ({plain} / ({plain} - {self.price(inner, frame)}))"
        return plain

    def _indicator(self) -> str:
        if not self._undrawn:  # all before any again, so that none is rare
            self._undrawn = self._chance.sample(list(EVERY), len(EVERY))
        name = self._undrawn.pop()
        if EVERY[name].unit is Unit.FLAG:
            return name + self.back()
        other = self._pick("0", "0.5", "50", "100", f"{name}[1]", f"{name}[2]")
        return f"{name}{self.back()} {self._pick('<', '<=', '>', '>=')} {other}"

    def back(self) -> str:
        return self._chance.choice(("", "", "", "[1]", "[3]"))

    def _pick(self, *words: str) -> str:
        return self._chance.choice(words)


class Plainly:
    """What an expression is at one candle of one timeframe, computed anew from the columns for every question."""

    def __init__(self, rules: CompiledRules, series: Mapping[Timeframe, Series], text: Mapping[str, str]) -> None:
        self._series = series
        self._define = {name: parse(each) for name, each in text.items()}
        self._frame = {name: feature.timeframe for name, feature in rules.features.items()}
        used = {
            name.partition("[")[0] for feature in (*rules.fact_keys, *rules.features) for name in _NAME.findall(feature)
        }
        self._columns = {
            name: feature.indicator.batch(series[feature.timeframe]).tolist()
            for name, feature in rules.features.items()
            if feature.indicator is not None and "(" not in name and name not in (*CLOCK, *SESSIONS) and name in used
        }
        self._needs = {name: feature.warmup for name, feature in rules.features.items() if "(" not in name}
        self._numbers = {"three": 3.0, "half": 0.5}

    def holds(self, node: Node, row: int) -> bool | None:
        """At the close of an entry candle: each name counts candles of its own timeframe."""
        return self._truth(node, row, None)

    def _place(self, frame: Timeframe, row: int, of: Timeframe | None) -> int:
        """Index of the frame's newest candle that has closed by then; ``row`` counts candles of ``of``."""
        if of is not None:
            return row
        closed_ms = int(self._series[Timeframe.H1].open_time_ms[row]) + Timeframe.H1.ms
        return (closed_ms - int(self._series[frame].open_time_ms[0])) // frame.ms - 1

    def _frame_of(self, node: Node) -> Timeframe:
        found = {self._frame_named(part.name) for part in walk(node) if isinstance(part, Name)} - {None}
        assert len(found) <= 1
        return next((frame for frame in found if frame is not None), Timeframe.H1)

    def _frame_named(self, name: str) -> Timeframe | None:
        if name in self._define:
            return self._frame_of(self._define[name])
        return self._frame[name] if name in self._columns else None

    def _truth(self, node: Node, row: int, of: Timeframe | None, back: int = 0) -> bool | None:
        kind = type(node).__name__
        if kind == "Not":
            held = self._truth(node.operand, row, of, back)  # type: ignore[union-attr]
            return None if held is None else not held
        if kind in ("And", "Or"):
            found = [self._truth(part, row, of, back) for part in node.operands]  # type: ignore[union-attr]
            deciding = kind == "Or"
            return deciding if deciding in found else None if None in found else not deciding
        if kind == "Comparison":
            left = self._number(node.left, row, of, back)  # type: ignore[union-attr]
            right = self._number(node.right, row, of, back)  # type: ignore[union-attr]
            sign = node.operator  # type: ignore[union-attr]
            return None if left is None or right is None else _compared(left, sign, right)
        if isinstance(node, Call):
            back += node.offset
            if node.function == "between":
                value, low, high = (self._number(part, row, of, back) for part in node.arguments)
                over = None if value is None or low is None else value >= low
                under = None if value is None or high is None else value <= high
                return False if over is False or under is False else None if over is None or under is None else True
            return self._crossed(node, row, of, back)
        assert isinstance(node, Name)
        if node.name in self._define:
            return self._truth(self._define[node.name], row, of, back + node.offset)
        value = self._named(node.name, row, of, back + node.offset)
        return None if value is None else value != 0

    def _crossed(self, call: Call, row: int, of: Timeframe | None, back: int) -> bool | None:
        now = [self._number(part, row, of, back) for part in call.arguments]
        before = [self._number(part, row, of, back + 1) for part in call.arguments]
        above = call.function == "crosses_above"
        beyond = None if None in now else _compared(now[0], ">" if above else "<", now[1])  # type: ignore[arg-type]
        was = None if None in before else _compared(before[0], "<=" if above else ">=", before[1])  # type: ignore[arg-type]
        return False if beyond is False or was is False else None if beyond is None or was is None else True

    def _number(self, node: Node, row: int, of: Timeframe | None, back: int = 0) -> float | None:
        kind = type(node).__name__
        if kind == "Number":
            return float(node.value)  # type: ignore[union-attr]
        if kind == "Negative":
            value = self._number(node.operand, row, of, back)  # type: ignore[union-attr]
            return None if value is None else -value
        if kind == "Arithmetic":
            left = self._number(node.left, row, of, back)  # type: ignore[union-attr]
            right = self._number(node.right, row, of, back)  # type: ignore[union-attr]
            return None if left is None or right is None else _calculated(left, node.operator, right)  # type: ignore[union-attr]
        if isinstance(node, Name):
            if node.name in self._numbers:
                return self._numbers[node.name]
            if node.name in self._define:
                return self._number(self._define[node.name], row, of, back + node.offset)
            return self._named(node.name, row, of, back + node.offset)
        assert isinstance(node, Call)
        if node.function in ("min", "max", "abs"):
            values = [self._number(part, row, of, back + node.offset) for part in node.arguments]
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                return None
            return abs(known[0]) if node.function == "abs" else min(known) if node.function == "min" else max(known)
        return self._looked_back(node, row, of, back + node.offset)

    def _looked_back(self, call: Call, row: int, of: Timeframe | None, back: int) -> float | None:
        looked_at = call.arguments[:1] if call.function in ("highest", "lowest", "count") else call.arguments
        frames = {
            self._frame_of(part)
            for part in looked_at
            if any(self._frame_named(n.name) for n in walk(part) if isinstance(n, Name))
        }
        frame = next(iter(frames), Timeframe.H1)
        last = self._place(frame, row, of) - back
        if last + 1 < self._warm(replace(call, offset=0)):
            return None
        if call.function in ("highest", "lowest", "count"):
            size = int(self._number(call.arguments[1], row, of) or 0)
            places = range(last - size + 1, last + 1)
            if call.function == "count":
                held = [self._truth(call.arguments[0], place, frame) for place in places]
                return None if None in held else float(held.count(True))
            values = [self._number(call.arguments[0], place, frame) for place in places]
            known = [value for value in values if value is not None]
            if len(known) < size:
                return None
            return max(known) if call.function == "highest" else min(known)
        for ago in range(LOOK_BACK):
            place = last - ago
            truth = self._truth(call.arguments[0], place, frame) if place >= 0 else None
            if truth is None:
                return None
            if truth:
                return float(ago) if call.function == "since" else self._number(call.arguments[1], place, frame)
        return float(LOOK_BACK) if call.function == "since" else None

    def _warm(self, node: Node) -> int:
        """Candles that must have closed before what looks back says anything."""
        if isinstance(node, Name):
            if node.name in self._define:
                return node.offset + self._warm(self._define[node.name])
            return 0 if node.name in self._numbers else node.offset + self._needs.get(node.name, 1)
        own = node.offset if isinstance(node, Call) else 0
        if not isinstance(node, Call) or node.function not in ("highest", "lowest", "count"):
            crosses = isinstance(node, Call) and node.function.startswith("crosses")
            return own + crosses + max(map(self._warm, children(node)), default=0)
        return own + max(1, self._warm(node.arguments[0])) + int(self._number(node.arguments[1], 0, None) or 0) - 1

    def _named(self, name: str, row: int, of: Timeframe | None, back: int) -> float | None:
        frame = self._frame[name] if name in self._columns else of or Timeframe.H1
        place = self._place(frame, row, of) - back
        if place < 0:
            return None
        if name in self._columns:
            value = self._columns[name][place]
            return None if value != value else float(value)
        closed_ms = int(self._series[frame].open_time_ms[place]) + frame.ms
        minutes, day = closed_ms // 60_000 % 1440, (closed_ms // 86_400_000 + 3) % 7 + 1
        match name:
            case "hour":
                return float(minutes // 60)
            case "weekday":
                return float(day)
            case "london":
                return float(7 * 60 <= minutes < 16 * 60)
        began = day if minutes >= 22 * 60 else (day - 2) % 7 + 1
        return float((minutes >= 22 * 60 or minutes < 3 * 60 + 30) and began in (1, 2, 5))


def _compared(left: float, sign: str, right: float) -> bool:
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign]


def _calculated(left: float, sign: str, right: float) -> float | None:
    if sign == "/" and right == 0:
        return None
    value = {"+": left.__add__, "-": left.__sub__, "*": left.__mul__, "/": left.__truediv__}[sign](right)
    return value if abs(value) < float("inf") else None


def candles(hours: int, seed: int) -> Series:
    """A market that wanders, in steps of a tenth, so that prices meet now and then."""
    chance, rows, price = random.Random(seed), [], 100.0
    for hour in range(hours):
        opened, price = price, round(price + chance.choice((-1, 1)) * chance.choice((0, 0.1, 0.3, 1.2)), 1)
        high = round(max(opened, price) + chance.choice((0, 0.2)), 1)
        low = round(min(opened, price) - chance.choice((0, 0.2)), 1)
        rows.append(Candle(MONDAY_MS + hour * 3_600_000, opened, high, low, price, 10.0))
    return Series.from_candles("BTCUSDT", Timeframe.H1, rows)


def compared(count: int, seed: int, hours: int = 240) -> Iterator[tuple[str, int, object, object, object]]:
    """(expression, row, stream, batch, plainly) of each row of so many expressions."""
    chance = random.Random(seed)
    drawn, hourly = Drawn(chance), candles(hours, seed)
    series = {Timeframe.H1: hourly, Timeframe.H4: aggregate(hourly, Timeframe.H4)}
    for first in range(0, count, PER_FILE):
        texts = [drawn.condition(4) for _ in range(min(PER_FILE, count - first))]
        texts = [text for text in texts if len(text) <= 400]
        yield from _of_file(texts, series)


def _of_file(
    texts: Sequence[str], series: Mapping[Timeframe, Series]
) -> Iterator[tuple[str, int, object, object, object]]:
    setup = "".join(f'        - {{id: c{number}, when: "{text}"}}\n' for number, text in enumerate(texts))
    ruleset = stored_rules(HEAD + setup, "fuzz.yaml")
    rules = ruleset.for_symbol("BTCUSDT")
    conditions = [group[0] for group in rules.strategies["fuzz"].side("LONG").setup.groups]
    table, stream = FactTable(rules, series, candles_min=1), FactStream(rules, candles_min=1)
    plain = Plainly(rules, series, ruleset.definition.define)
    nodes = [parse(text) for text in texts]
    batches = [np.broadcast_to(truths(condition.node, table.column), table.length) for condition in conditions]
    hourly, four = (list(_candles(series[frame])) for frame in (Timeframe.H1, Timeframe.H4))
    answers = {Truth.TRUE: True, Truth.FALSE: False, Truth.UNKNOWN: None}
    for row, candle in enumerate(hourly):
        if (row + 1) % 4 == 0:
            stream.update(Timeframe.H4, four[row // 4])
        stream.update(Timeframe.H1, candle)
        facts = stream.facts()
        assert facts == table.facts_at(row)
        for text, node, condition, batch in zip(texts, nodes, conditions, batches, strict=True):
            yield (
                text,
                row,
                answers[condition.test(facts)],
                {1: True, -1: False, 0: None}[int(batch[row])],
                plain.holds(node, row),
            )


def _candles(series: Series) -> Iterator[Candle]:
    columns = (series.open_time_ms, series.open, series.high, series.low, series.close, series.volume)
    for row in zip(*(column.tolist() for column in columns), strict=True):
        yield Candle(*row)


def main(count: int) -> None:
    pairs, functions, answers, indicators = 0, Counter[str](), Counter[object](), Counter[str]()
    last, called, named = "", Counter[str](), Counter[str]()
    for text, row, stream, batch, plainly in compared(count, seed=7):
        if text != last:
            last = text
            parts = list(walk(parse(text)))
            called = Counter({part.function for part in parts if isinstance(part, Call)})
            named = Counter({part.name[2:] for part in parts if isinstance(part, Name) and part.name in EVERY})
        functions += called
        indicators += named
        pairs += 1
        answers[plainly] += 1
        if not stream == batch == plainly:
            raise SystemExit(f"row {row} of {text}: stream {stream}, batch {batch}, plainly {plainly}")
    print(f"{pairs} pairs agree; {dict(answers)}; {dict(functions)}")
    least = min(CATALOG, key=lambda name: indicators[name])
    print(f"{len(indicators)} of {len(CATALOG)} indicators; the least often {least}, in {indicators[least]} pairs")
    print(f"never drawn: {set(FUNCTIONS) - set(functions)} {set(CATALOG) - set(indicators)}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
