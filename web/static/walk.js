// Goes from candle to candle with the keyboard, as the pointer does: what is said of a candle can be read without a mouse.

import { seconds } from "./charts.js";
import { byId, when } from "./dom.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
const ZOOMS = { "+": 0.5, "-": 2 };

// ``candles`` gives those that are drawn, ``priced`` says a price of theirs; ``pointed`` is told the time of a candle (null:
// none), ``chosen`` that of one on which Enter was pressed.
export function walkWithKeys(node, chart, bars, candles, { priced, pointed, chosen }) {
  let atMs = null; // not its place, which changes as candles close
  node.addEventListener("keydown", (event) => {
    const shown = candles();
    if (event.ctrlKey || event.altKey || event.metaKey || shown.length === 0) return;
    const at = shown.findIndex(({ time_ms }) => time_ms === atMs);
    if (event.key in STEPS) show(shown, Math.max(0, Math.min(shown.length - 1, (at === -1 ? shown.length : at) + STEPS[event.key])));
    else if (event.key in ZOOMS) zoom(chart, at === -1 ? shown.length - 1 : at, ZOOMS[event.key]);
    else if (event.key === "Enter" && at !== -1) chosen(atMs);
    else return;
    event.preventDefault();
  });
  node.addEventListener("blur", () => {
    atMs = null;
    chart.clearCrosshairPosition();
    byId("candle-at").textContent = "";
    pointed(null);
  });

  function show(shown, index) {
    const candle = shown[index];
    atMs = candle.time_ms;
    bringIntoView(chart, index);
    chart.setCrosshairPosition(candle.close, seconds(candle.time_ms), bars);
    const [open, high, low, close] = [candle.open, candle.high, candle.low, candle.close].map(priced);
    byId("candle-at").textContent = `Candle of ${when(candle.time_ms)}: opened at ${open}, high ${high}, low ${low}, closed at ${close}.`;
    pointed(candle.time_ms);
  }
}

function bringIntoView(chart, index) {
  const range = chart.timeScale().getVisibleLogicalRange();
  const past = range.from > index ? index - range.from : Math.max(0, index - range.to);
  if (past !== 0) chart.timeScale().setVisibleLogicalRange({ from: range.from + past, to: range.to + past });
}

function zoom(chart, around, factor) {
  const { from, to } = chart.timeScale().getVisibleLogicalRange();
  chart.timeScale().setVisibleLogicalRange({ from: around - (around - from) * factor, to: around + (to - around) * factor });
}
