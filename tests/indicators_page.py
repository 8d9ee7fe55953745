"""Writes docs/indicators.md and its pictures from the catalog: ``python -m tests.indicators_page``.

The pictures show 90 real candles of four hours, out of those that are shipped, with the indicator as one would first
try it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from indicators import catalog
from indicators.candle import Timeframe
from indicators.catalog import CATALOG, Indicator, ResolvedIndicator, Unit, describe, example
from indicators.series import FloatArray, Series, aggregate

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "indicators.md"
PICTURES = ROOT / "docs" / "indicators"
CANDLES = ROOT / "exchange" / "sim" / "data" / "ETHUSDT-1h.csv.gz"
END_MS = 1_731_715_200_000  # 2024-11-16: a calm, a rise, a top
COUNT = 90

HEADINGS = {
    "fields": "The candle itself",
    "averages": "Averages: ema and sma",
    "smoothing": "Other averages of the close",
    "extremes": "Highs, lows, swings",
    "levels": "Levels",
    "bands": "Bollinger Bands",
    "dispersion": "Spread, and channels as wide as that",
    "volatility": "Volatility",
    "direction": "Directional movement",
    "trends": "Trends and their stops",
    "momentum": "Relative strength",
    "convergence": "Averages against one another, rates of change",
    "oscillators": "Oscillators",
    "flows": "Volume",
    "patterns": "Shapes of candles",
}

DIFFERENCES: tuple[tuple[str, str], ...] = (
    (
        "`atr`, `adx`, `plus_di`, `minus_di`, `keltner_*`, `supertrend`",
        "TA-Lib weighs the first candles of a Wilder average otherwise. The difference shrinks by (period - "
        "1)/period a candle and is below 1e-12 after a few hundred.",
    ),
    (
        "`macd_*`, `ppo_*`",
        "TA-Lib begins the fast average together with the slow one, ours begins as soon as it can; the same after "
        "some hundred candles. TA-Lib's PPO is of plain means unless it is told otherwise.",
    ),
    (
        "`rsi`, `stoch_rsi_*`",
        "talipp seeds its RSI from one change too few. Where nothing moves TA-Lib says 0, talipp 100, and we say 50.",
    ),
    (
        "`stoch_*`, `williams_r`, `cci`, `cmo`, `uo`, `mfi`",
        "Where there is no range or no flow we say the middle; TA-Lib says 0, talipp 100, its last value, or nothing.",
    ),
    (
        "`cmo`",
        "TA-Lib smooths rises and falls as Wilder does; ours adds up the last `period`, as Chande wrote. Its "
        "first value is the same.",
    ),
    (
        "`trix`",
        "In percent, as TA-Lib's. talipp's is a hundred times that.",
    ),
    (
        "`kama`",
        "TA-Lib takes a market that has not moved yet for one that goes straight. The same once it has moved for "
        "a while.",
    ),
    (
        "`mcginley`",
        "As talipp's, but its step never goes beyond the close: after a crash the formula would leap below zero.",
    ),
    (
        "`hma`",
        "talipp's first value comes √period - 1 candles later; the values are the same.",
    ),
    (
        "`stc`",
        "talipp calls a scale without width 100, also at the bottom; ours stays where it was.",
    ),
    (
        "`supertrend`",
        "talipp's begins with 0. The same after the first turn.",
    ),
    (
        "`psar`",
        "As TA-Lib's, from its first value. talipp begins with five candles and always upwards.",
    ),
    (
        "`ichimoku_span_b`",
        "talipp draws it one candle later than span A; here both are `displacement` candles old. The lagging span "
        "is left out: it is the close, and drawn in the past.",
    ),
    (
        "`vwap_day`",
        "Begins anew at each midnight UTC. talipp's VWAP never does: use `vwap` for one over the last candles.",
    ),
    (
        "`kvo`, `chaikin_oscillator`",
        "As talipp's and TA-Lib's once their first candles are forgotten.",
    ),
    (
        "`obv`, `accumulation_distribution`",
        "Their level depends on where the history begins, which is another one live than in a backtest: compare "
        "them with their own past, never with a number.",
    ),
    (
        "`zigzag_*`, `swing_*`",
        "talipp's ZigZag and pivots change their mind about the last turn. Ours are known late and never change.",
    ),
    (
        "`dpo`",
        "Charts move it half a period back, where it would know the future. Here it is what can be known at the "
        "candle.",
    ),
    (
        "`chop`",
        "Never above 100: a jump from before the window counts as way within it, and could lead above.",
    ),
    (
        "IBS, NATR, SOBV, SFX, Chande Kroll",
        "talipp's IBS is `close_location`, its NATR `atr_pct`, its SOBV `obv_average`; its SFX is `atr` beside "
        "`std_dev` and `std_dev_average`.",
    ),
)

INTRODUCTION = f"""# Indicators

Everything that `features:` of rules.yaml can measure, drawn from the catalog by `python -m tests.indicators_page`:
{{count}} of them. `python -m fsm rules indicators NAME` tells the same on the terminal, and editors complete names
and parameters.

* Each is computed at the close of a candle of its `timeframe`, from that candle and those before it. None can look
  ahead: a test takes the future away and finds every value unchanged.
* Live trading feeds one candle at a time, a backtest computes a whole history; both give the same numbers, bit for
  bit.
* Before its warm-up an indicator is UNKNOWN, and so is everything before `market_data.candles_min` candles (200).
  UNKNOWN never lets a condition hold, nor its opposite. Some are UNKNOWN for longer, until the market has shown
  what they look for.
* What divides by nothing has an answer that is said here: a market that stands still is neither high nor low.
* Units keep apart what cannot be compared: a price is compared with a price, an index (0 to 100) with a number or
  an index.
* The pictures show {COUNT} candles of ETHUSDT on 4h up to 2024-11-16, with the parameters of the line above them.
"""


def page() -> str:
    rooms = [room.__name__.rpartition(".")[2] for room in catalog.ROOMS]
    assert set(rooms) == set(HEADINGS)
    lines = [INTRODUCTION.format(count=len(CATALOG))]
    entries = {room.__name__.rpartition(".")[2]: room.ENTRIES for room in catalog.ROOMS}
    lines += [f"* [{heading}](#{_anchor(heading)}): {_names(entries[room])}" for room, heading in HEADINGS.items()]
    lines += ["", "[Where other libraries differ](#where-other-libraries-differ) is at the end.", ""]
    for room, heading in HEADINGS.items():
        lines += [f"## {heading}", ""]
        for entry in entries[room]:
            lines += _section(entry)
    lines += [
        "## Where other libraries differ",
        "",
        "Tests compare every indicator with TA-Lib, talipp, or numbers worked out by",
    ]
    lines += ["hand. What they found, and which side we took:", "", "| indicator | difference |", "|---|---|"]
    lines += [f"| {name} | {difference} |" for name, difference in DIFFERENCES]
    return "\n".join(lines) + "\n"


def _anchor(heading: str) -> str:
    return "".join(each for each in heading.lower().replace(" ", "-") if each.isalnum() or each == "-")


def _names(entries: tuple[Indicator, ...]) -> str:
    return ", ".join(f"[{entry.name}](#{entry.name})" for entry in entries)


def _section(entry: Indicator) -> Iterator[str]:
    told = describe(entry)
    written = ", ".join(f"{key}: {value}" for key, value in dict(told["example"]).items())  # type: ignore[call-overload]
    yield from (f"### {entry.name}", "", entry.summary, "")
    yield from ("```yaml", f"my_{entry.name}: {{{written}}}", "```", "")
    yield from (f"![{entry.name}](indicators/{entry.name}.svg)", "")
    reads = ", ".join(f"`{each}`" for each in example(entry).reads)
    late = ", and then once the market has shown it" if entry.conditional else ""
    warmup = f"known after {told['warmup_candles']} candle{'' if told['warmup_candles'] == 1 else 's'}{late}"
    yield f"{_unit(example(entry))}; {warmup}; reads {reads}."
    yield ""
    if entry.parameters:
        yield from ("| parameter | default | allowed | what it is |", "|---|---|---|---|")
        for each in entry.parameters:
            default = "must be given" if each.default is None else f"{each.default:g}"
            yield f"| `{each.name}` | {default} | {each.allowed} | {each.doc} |"
        yield ""


def _unit(case: ResolvedIndicator) -> str:
    lower, upper = case.domain.lower, case.domain.upper
    if case.unit is Unit.FLAG:
        return "A flag: a condition that holds or not"
    reach = f", from {lower:g}" if lower > -np.inf else ""
    reach += f" to {upper:g}" if upper < np.inf else " upwards" if reach else ", any number"
    return f"A{'n' if case.unit.value[0] in 'aeiou' else ''} {case.unit.value}{reach}"


# --- pictures ---------------------------------------------------------------------------------------------------------

WIDTH, PRICE_HEIGHT, PANEL_HEIGHT, MARGIN = 540, 130, 70, 4


def shown() -> tuple[Series, slice]:
    """The history up to the end of the pictures, and which of its candles they show."""
    table = np.loadtxt(CANDLES, delimiter=",", skiprows=1)
    columns = {name: table[:, place] for place, name in enumerate(("open", "high", "low", "close", "volume"), start=1)}
    hours = Series(symbol="ETHUSDT", timeframe=Timeframe.H1, open_time_ms=table[:, 0].astype(np.int64), **columns)
    first_ms, step = END_MS - 900 * Timeframe.H4.ms, Timeframe.H4
    series = aggregate(hours.since(first_ms), step)
    count = int(np.searchsorted(series.open_time_ms, END_MS))
    return series.until(count), slice(count - COUNT, count)


def picture(entry: Indicator, series: Series, part: slice) -> str:
    case = example(entry)
    values = case.batch(series)[part]
    low, high = float(series.low[part].min()), float(series.high[part].max())
    known = values[~np.isnan(values)]
    over = (
        case.unit is Unit.PRICE
        and bool(known.size)
        and known.min() > low - (high - low)
        and known.max() < 2 * high - low
    )
    if over:
        low, high = min(low, float(known.min())), max(high, float(known.max()))
    height = PRICE_HEIGHT if over else PRICE_HEIGHT + PANEL_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>{entry.name}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *_candles(series, part, low, high),
        _line(values, low, high, 0, PRICE_HEIGHT) if over else _panel(case, values),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(index: int) -> float:
    return (index + 0.5) * WIDTH / COUNT


def _y(value: float, low: float, high: float, top: int, height: int) -> float:
    room = height - 2 * MARGIN
    return top + MARGIN + room * (1.0 - (value - low) / (high - low)) if high > low else top + height / 2


def _candles(series: Series, part: slice, low: float, high: float) -> Iterator[str]:
    rows = list(zip(*(getattr(series, name)[part].tolist() for name in ("open", "high", "low", "close")), strict=True))
    for rises, colour in ((True, "#7aa98b"), (False, "#c98a86")):
        wicks, bodies = [], []
        for index, (opened, top, bottom, closed) in enumerate(rows):
            if (closed >= opened) == rises:
                y = [round(_y(each, low, high, 0, PRICE_HEIGHT), 1) for each in (top, bottom, opened, closed)]
                wicks.append(f"M{_x(index):g} {y[0]:g}V{y[1]:g}")
                bodies.append(f"M{_x(index):g} {y[2]:g}V{y[3] if y[3] != y[2] else y[3] + 0.4:g}")
        yield f'<path d="{"".join(wicks)}" stroke="{colour}"/>'
        yield f'<path d="{"".join(bodies)}" stroke="{colour}" stroke-width="4"/>'


def _line(values: FloatArray, low: float, high: float, top: int, height: int) -> str:
    drawn, pen = [], "M"
    for index, value in enumerate(values.tolist()):
        if value != value:
            pen = "M"
            continue
        drawn.append(f"{pen}{_x(index):g} {round(_y(value, low, high, top, height), 1):g}")
        pen = "L"
    return f'<path d="{"".join(drawn)}" fill="none" stroke="#2b5fae" stroke-width="1.6"/>'


def _panel(case: ResolvedIndicator, values: FloatArray) -> str:
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if case.unit in (Unit.FLAG, Unit.COUNT, Unit.VOLUME) and low >= 0:
        low = 0.0
    high = high if high > low else low + 1.0
    frame = [f'<path d="M0 {PRICE_HEIGHT}H{WIDTH}" stroke="#ddd"/>']
    if low < 0 < high:
        zero = round(_y(0.0, low, high, PRICE_HEIGHT, PANEL_HEIGHT), 1)
        frame.append(f'<path d="M0 {zero:g}H{WIDTH}" stroke="#999" stroke-dasharray="3 3"/>')
    text = 'font-family="sans-serif" font-size="9" fill="#666"'
    frame.append(f'<text x="2" y="{PRICE_HEIGHT + 10}" {text}>{high:.4g}</text>')
    frame.append(f'<text x="2" y="{PRICE_HEIGHT + PANEL_HEIGHT - 2}" {text}>{low:.4g}</text>')
    return "\n".join([*frame, _line(values, low, high, PRICE_HEIGHT, PANEL_HEIGHT)])


def pictures() -> dict[str, str]:
    series, part = shown()
    return {f"{name}.svg": picture(entry, series, part) for name, entry in CATALOG.items()}


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    PICTURES.mkdir(exist_ok=True)
    drawn = pictures()
    for old in PICTURES.glob("*.svg"):
        if old.name not in drawn:
            old.unlink()
    for name, text in drawn.items():
        (PICTURES / name).write_text(text, "utf-8")
