// Draws equity and candles with Lightweight Charts (vendor/README.txt); says the same in words below each chart.

import { byId, money, price, signed, when } from "./dom.js";

const library = () => window.LightweightCharts;
const seconds = (ms) => Math.floor(ms / 1000);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const charts = [];
const PLANS_SHOWN = 20;

function looks() {
  return {
    layout: { background: { color: color("--panel") }, textColor: color("--quiet") },
    grid: { vertLines: { color: color("--line") }, horzLines: { color: color("--line") } },
  };
}

function chart(id) {
  const made = library().createChart(byId(id), {
    autoSize: true, ...looks(), rightPriceScale: { borderVisible: false },
    timeScale: { timeVisible: true, borderVisible: false },
  });
  charts.push(made);
  return made;
}

export function repaint() {
  for (const made of charts) made.applyOptions(looks());
}

// One point a second at most, ascending, as the library wants them.
function series(points, value) {
  const bySecond = new Map(points.map((point) => [seconds(point.at_ms), value(point)]));
  return [...bySecond].sort(([a], [b]) => a - b).map(([time, amount]) => ({ time, value: amount }));
}

let equityChart, equityLine, drawdownLine, floorLines = [], floorsInView = [];

// The scale reaches down to the limits that are to be seen, so that the room above them is seen too.
function withFloors(original) {
  const found = original();
  if (found && floorsInView.length) found.priceRange.minValue = Math.min(found.priceRange.minValue, ...floorsInView);
  return found;
}

function equityParts() {
  equityChart = chart("equity-chart");
  equityChart.priceScale("right").applyOptions({ scaleMargins: { top: 0.06, bottom: 0.26 } });
  equityLine = equityChart.addAreaSeries({
    lineColor: "#3b74e8", topColor: "rgba(59,116,232,.28)", bottomColor: "rgba(59,116,232,.02)", lineWidth: 2,
    autoscaleInfoProvider: withFloors,
  });
  drawdownLine = equityChart.addBaselineSeries({
    priceScaleId: "drawdown", baseValue: { type: "price", price: 0 }, lineWidth: 1, priceLineVisible: false, lastValueVisible: false,
    topLineColor: "#d64550", bottomLineColor: "#d64550", bottomFillColor1: "rgba(214,69,80,.15)", bottomFillColor2: "rgba(214,69,80,.45)",
    priceFormat: { type: "custom", formatter: (value) => `${value.toFixed(1)} %` },
  });
  equityChart.priceScale("drawdown").applyOptions({ scaleMargins: { top: 0.8, bottom: 0.02 } });
}

export function drawEquity(found, limitsInView) {
  if (!equityChart) equityParts();
  const floors = Object.entries(found.floors).map(([cause, floor]) => [cause, Number(floor)]);
  const nearest = floors.length ? Math.max(...floors.map(([, floor]) => floor)) : null;
  floorsInView = floors.map(([, floor]) => floor).filter((floor) => limitsInView === "all" || floor === nearest);
  equityLine.setData(series(found.points, (point) => Number(point.equity)));
  drawdownLine.setData(series(found.points, (point) => -point.drawdown_pct));
  for (const line of floorLines) equityLine.removePriceLine(line);
  floorLines = floors.map(([cause, floor]) =>
    equityLine.createPriceLine({ price: floor, color: "#d64550", lineStyle: 2, lineWidth: 1, title: cause.replace("LIMIT_", "").toLowerCase() }));
  equityChart.timeScale().fitContent();
  byId("equity-words").textContent = equityWords(found);
}

function equityWords({ points, floors, max_drawdown_pct: worst }) {
  if (points.length === 0) return "No equity has been read yet.";
  const [first, last] = [points[0], points.at(-1)];
  const limits = Object.entries(floors).map(([cause, floor]) => `${cause.replace("LIMIT_", "").toLowerCase()} at ${money(floor)}`).join(", ");
  return `Equity (blue) from ${money(first.equity)} USDT (${when(first.at_ms)}) to ${money(last.equity)} USDT (${when(last.at_ms)}); `
    + `below it the drawdown (red), ${worst.toFixed(2)} % at most. ${limits ? `Limits (dashed) act at: ${limits}.` : "No limits have been told."}`;
}

let candleChart, candleBars, tradeLines = [], plans = [], shownFor = null;

// With ``whole`` all candles are in view at first, otherwise the newest.
export function drawCandles(symbol, timeframe, candles, trades, position, whole = false) {
  if (!candleChart) {
    candleChart = chart("candle-chart");
    candleBars = candleChart.addCandlestickSeries({
      upColor: "#1f9d63", downColor: "#d64550", wickUpColor: "#1f9d63", wickDownColor: "#d64550", borderVisible: false,
    });
  }
  candleBars.setData(candles.map(({ time_ms, open, high, low, close }) => ({ time: seconds(time_ms), open, high, low, close })));
  const top = candles.reduce((most, candle) => Math.max(most, candle.high), 0);
  const decimals = top >= 1000 ? 1 : top >= 10 ? 3 : 5;
  candleBars.applyOptions({ priceLineVisible: !whole, lastValueVisible: !whole, priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
  candleBars.setMarkers(markers(candles, trades));
  drawPlans(candles, trades);
  for (const line of tradeLines) candleBars.removePriceLine(line);
  tradeLines = levels(position).map(([title, level, shade]) =>
    candleBars.createPriceLine({ price: Number(level), color: shade, lineStyle: 2, lineWidth: 2, title }));
  if (shownFor !== `${symbol} ${timeframe}` && whole) candleChart.timeScale().fitContent();
  else if (shownFor !== `${symbol} ${timeframe}`) candleChart.timeScale().setVisibleLogicalRange({ from: candles.length - 150, to: candles.length + 6 });
  shownFor = `${symbol} ${timeframe}`;
  byId("candle-words").replaceChildren(...candleWords(symbol, candles, trades, position));
}

// The stop with which each trade began, from its entry to its end.
function drawPlans(candles, trades) {
  for (const line of plans) candleChart.removeSeries(line);
  const opens = candles.map((candle) => candle.time_ms);
  plans = trades.filter((trade) => trade.first_fill_ms >= opens[0]).slice(0, PLANS_SHOWN).map((trade) => {
    const line = candleChart.addLineSeries({
      color: "#d64550", lineWidth: 1, lineStyle: 2, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false,
      autoscaleInfoProvider: () => null,
    });
    const endMs = trade.closed_ms ?? opens.at(-1);
    const covered = opens.filter((open, index) => (opens[index + 1] ?? Infinity) > trade.first_fill_ms && open <= endMs);
    line.setData(covered.map((open) => ({ time: seconds(open), value: Number(trade.stop_price_initial) })));
    return line;
  });
}

function levels(position) {
  if (!position) return [];
  const found = [["entry", position.entry, "#3b74e8"], ["stop", position.stop_price, "#d64550"], ["last stop", position.last_stop ?? null, "#c2621b"], ["exit", position.exit_price ?? null, "#8a63d2"]];
  position.targets.forEach((target, index) => {
    if (!target.done) found.push([`target ${index + 1}`, target.trigger_price, "#1f9d63"]);
  });
  return found.filter(([, level]) => level !== null);
}

// Entries and exits at the candle in which they happened, as far back as the candles go.
function markers(candles, trades) {
  if (candles.length === 0) return [];
  const opens = candles.map((candle) => candle.time_ms);
  const at = (ms) => seconds(opens.findLast((open) => open <= ms) ?? opens[0]);
  const found = [];
  for (const trade of trades) {
    const long = trade.side === "LONG";
    if (trade.first_fill_ms >= opens[0]) {
      found.push({ time: at(trade.first_fill_ms), position: long ? "belowBar" : "aboveBar", color: "#3b74e8",
        shape: long ? "arrowUp" : "arrowDown", text: `${trade.side} ${price(trade.entry_price)}` });
    }
    if (trade.closed_ms >= opens[0] && trade.exit_price !== null) {
      const won = Number(trade.net_pnl) > 0;
      found.push({ time: at(trade.closed_ms), position: long ? "aboveBar" : "belowBar",
        color: won ? "#1f9d63" : "#d64550", shape: "circle", text: `${Number(trade.r ?? 0).toFixed(2)} R` });
    }
  }
  return found.sort((a, b) => a.time - b.time);
}

function candleWords(symbol, candles, trades, position) {
  if (candles.length === 0) return [`No candles of ${symbol} are stored for this timeframe.`];
  const last = candles.at(-1);
  const shown = trades.filter((trade) => trade.first_fill_ms >= candles[0].time_ms).length;
  const words = [`${symbol} closed at ${price(last.close)} (${when(last.time_ms)}); ${shown} ${shown === 1 ? "trade" : "trades"} in these candles: arrows are entries, circles ends, dashed red their first stops. `];
  if (position) {
    words.push(`${position.side} from ${price(position.entry)}, stop ${price(position.stop_price)}, `, signed(position.r, 2, " R"), ".");
  }
  return words;
}
