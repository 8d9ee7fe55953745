// Draws candles with what was done there: entries, exits, stops and how they moved; says the same in words below.

import { chartIn, seconds } from "./charts.js";
import { byId, decimals, price, signed, when } from "./dom.js";
import { drawVolume, pointAt, preparePanes } from "./panes.js";
import { walkWithKeys } from "./walk.js";

const PLANS_SHOWN = 20;
let onChosen = () => {};
let onPointed = () => {};
const chosenCandle = (ms) => onChosen(ms);
const pointedCandle = (ms) => onPointed(ms);

// Who wants to know which candle was tapped, and which is pointed at (null: none).
export function watchCandles(chosen, pointed) {
  onChosen = chosen;
  onPointed = pointed;
}

let candleChart, candleBars, shownCandles = [], tradeLines = [], plans = [], shownFor = null;

// With ``whole`` all candles are in view at first, otherwise the newest.
export function drawCandles(symbol, timeframe, candles, trades, position, { stops = [], funding = [], whole = false } = {}) {
  if (!candleChart) {
    candleChart = chartIn(byId("candle-chart"));
    candleBars = candleChart.addCandlestickSeries({
      upColor: "#1f9d63", downColor: "#d64550", wickUpColor: "#1f9d63", wickDownColor: "#d64550", borderVisible: false,
    });
    preparePanes(candleChart, candleBars, chartIn);
    candleChart.subscribeClick((at) => { if (at.time) chosenCandle(at.time * 1000); });
    candleChart.subscribeCrosshairMove((at) => pointedCandle(at.time ? at.time * 1000 : null));
    walkWithKeys(byId("candle-chart"), candleChart, candleBars, () => shownCandles, {
      priced: (value) => price(value, value.toFixed(ofTick(shownCandles))), pointed: (ms) => { pointAt(ms); pointedCandle(ms); }, chosen: chosenCandle,
    });
  }
  shownCandles = candles;
  candleBars.setData(candles.map(({ time_ms, open, high, low, close }) => ({ time: seconds(time_ms), open, high, low, close })));
  const digits = ofTick(candles);
  candleBars.applyOptions({ priceLineVisible: !whole, lastValueVisible: !whole, priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits } });
  candleBars.setMarkers([...markers(candles, trades), ...settled(candles, funding)].sort((a, b) => a.time - b.time));
  drawPlans(candles, trades, stops);
  drawVolume(candles);
  for (const line of tradeLines) candleBars.removePriceLine(line);
  tradeLines = levels(position).map(([title, level, shade]) =>
    candleBars.createPriceLine({ price: Number(level), color: shade, lineStyle: 2, lineWidth: 2, title }));
  if (shownFor !== `${symbol} ${timeframe}` && whole) candleChart.timeScale().fitContent();
  else if (shownFor !== `${symbol} ${timeframe}`) candleChart.timeScale().setVisibleLogicalRange({ from: candles.length - 150, to: candles.length + 6 });
  shownFor = `${symbol} ${timeframe}`;
  byId("candle-words").replaceChildren(...candleWords(symbol, candles, trades, position, funding));
}

// How many decimals prices of these candles have: those of the tick, unless none of many closes needs its last one.
const ofTick = (candles) => Math.max(0, ...candles.flatMap(({ open, close }) => [decimals(open), decimals(close)]));

// The stop of each trade from its first fill to its end, where it was moved with a step.
function drawPlans(candles, trades, stops) {
  for (const line of plans) candleChart.removeSeries(line);
  if (candles.length === 0) { plans = []; return; }
  const opens = candles.map((candle) => candle.time_ms);
  plans = trades.filter((trade) => trade.first_fill_ms >= opens[0]).slice(0, PLANS_SHOWN).map((trade) => {
    const line = candleChart.addLineSeries({
      color: "#d64550", lineWidth: 1, lineStyle: 2, lineType: 1, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false,
      autoscaleInfoProvider: () => null,
    });
    const endMs = trade.closed_ms ?? opens.at(-1);
    const own = stops.filter((stop) => stop.trade_id === trade.id && stop.trigger_price !== null).sort((a, b) => a.created_ms - b.created_ms);
    const stopAt = (closeMs) => own.findLast((stop) => stop.created_ms <= closeMs)?.trigger_price ?? trade.stop_price_initial;
    const covered = opens.map((open, index) => [open, opens[index + 1] ?? Infinity]).filter(([open, close]) => close > trade.first_fill_ms && open <= endMs);
    line.setData(covered.map(([open, close]) => ({ time: seconds(open), value: Number(stopAt(Math.min(close, endMs))) })));
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
        shape: long ? "arrowUp" : "arrowDown", text: `${trade.side} ${price(trade.entry_price, trade.stop_price_initial)}` });
    }
    if (trade.closed_ms >= opens[0] && trade.exit_price !== null) {
      const won = Number(trade.net_pnl) > 0;
      found.push({ time: at(trade.closed_ms), position: long ? "aboveBar" : "belowBar",
        color: won ? "#1f9d63" : "#d64550", shape: "circle", text: `${Number(trade.r ?? 0).toFixed(2)} R` });
    }
  }
  return found;
}

// Funding at the candle in which it was settled, all of one candle together.
function settled(candles, funding) {
  const sums = new Map();
  for (const { at_ms, usdt } of funding) {
    const candle = candles.findLast((each) => each.time_ms <= at_ms);
    if (candle) sums.set(candle.time_ms, (sums.get(candle.time_ms) ?? 0) + Number(usdt));
  }
  return [...sums].map(([ms, usdt]) => ({ time: seconds(ms), position: "inBar", color: usdt < 0 ? "#d64550" : "#1f9d63", shape: "square", size: 0.6, text: "f" }));
}

function candleWords(symbol, candles, trades, position, funding) {
  if (candles.length === 0) return [`No candles of ${symbol} are stored for this timeframe.`];
  const last = candles.at(-1);
  const shown = trades.filter((trade) => trade.first_fill_ms >= candles[0].time_ms).length;
  const words = [`${symbol} closed at ${price(last.close, last.close.toFixed(ofTick(candles)))} (${when(last.time_ms)}); ${shown === 0 ? "no trade in these candles. " : `${shown} ${shown === 1 ? "trade" : "trades"} in these candles: arrows are entries, circles ends, dashed red their stops, with a step where one was moved. `}`];
  const paid = funding.filter(({ at_ms }) => at_ms >= candles[0].time_ms);
  if (paid.length) words.push(`Squares (f) are ${paid.length} ${paid.length === 1 ? "settlement" : "settlements"} of funding of trades that have ended, together `, signed(paid.reduce((sum, { usdt }) => sum + Number(usdt), 0), 2, " USDT"), ". ");
  if (position) {
    words.push(`${position.side} from ${price(position.entry, position.stop_price)}, stop ${price(position.stop_price, position.stop_price)}, `, signed(position.r, 2, " R"), ".");
  }
  return words;
}
