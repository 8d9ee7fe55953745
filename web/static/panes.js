// What a symbol's rules read, below and on its candles: one pane a unit, one legend that shows and hides each line.

import { byId, el, fill, words } from "./dom.js";

const PALETTE = ["#3b74e8", "#c2621b", "#8a63d2", "#0e8a7d", "#b8860b", "#c23a8b", "#5b7c2f", "#6a7380", "#d64550", "#1f9d63"];
const UNITS = { index: "0 to 100", percent: "percent", ratio: "ratio", count: "count", flag: "yes or no", score: "score", volume: "volume" };
const REGIME_SHADES = { TREND: "59,116,232", RANGE: "31,157,99", BREAKOUT: "138,63,184", NO_TRADE: "106,115,128" };
const seconds = (ms) => Math.floor(ms / 1000);

const SCALE_PX = 84; // all scales are as wide, so that a time stands in one place
const chosen = new Map(); // by name: shown or not, once somebody has said so
let found = null;
let parts = []; // [{ chart, key, lines: [{ line, series }] }]
let main = null; // { chart, bars }
let overlays = [];
let bands = null;
let volume = null;
let makeChart = null;
let moving = false;

const isField = (line) => /^(open|high|low|close)\(/.test(line.what);
const isShown = (line) => chosen.get(line.name) ?? (!isField(line) && line.read_by.some((who) => found.now.includes(who)));
const shade = (line) => PALETTE[found.lines.filter((other) => other.pane === line.pane && !other.is_candle).indexOf(line) % PALETTE.length];

// ``chart`` and ``bars`` are those of the candles, ``make`` makes a chart within a node.
export function preparePanes(chart, bars, make) {
  chart.applyOptions({ rightPriceScale: { minimumWidth: SCALE_PX } });
  if (window.matchMedia("(max-width: 640px)").matches) byId("panes-all").open = false;
  main = { chart, bars };
  makeChart = make;
  bands = chart.addHistogramSeries({ priceScaleId: "regimes", priceLineVisible: false, lastValueVisible: false, base: 0, autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 1 } }) });
  chart.priceScale("regimes").applyOptions({ scaleMargins: { top: 0, bottom: 0 }, visible: false });
  volume = chart.addHistogramSeries({ priceScaleId: "volume", priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false });
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.86, bottom: 0 }, visible: false });
  chart.timeScale().subscribeVisibleLogicalRangeChange(() => follow(chart));
  chart.subscribeCrosshairMove((at) => point(at));
}

export function drawVolume(candles) {
  volume?.setData(candles.map(({ time_ms, volume: amount, open, close }) => ({ time: seconds(time_ms), value: amount, color: close >= open ? "rgba(31,157,99,.45)" : "rgba(214,69,80,.45)" })));
}

export function drawPanes(told) {
  found = told;
  bands.setData(found.times_ms.map((ms, index) => ({ time: seconds(ms), value: 1, color: `rgba(${REGIME_SHADES[found.regimes[index]] ?? "160,160,160"},${found.regimes[index] === "NO_TRADE" || !found.regimes[index] ? ".06" : ".13"})` })));
  paint();
}

// What the legend says: lines are on the candles or in the pane of their unit.
function paint() {
  for (const series of overlays) main.chart.removeSeries(series);
  overlays = found.lines.filter((line) => line.pane === "candles" && isShown(line)).map((line) => addLine(main.chart, line, shade(line), { autoscaleInfoProvider: () => null }));
  const names = [...new Set(found.lines.map((line) => line.pane))].filter((name) => name !== "candles");
  const wanted = names.filter((name) => found.lines.some((line) => line.pane === name && isShown(line)));
  for (const part of parts) part.chart.remove();
  const nodes = wanted.map((name) => el("div", { class: "pane", "data-pane": name }, el("p", { class: "quiet" }, UNITS[name] ?? words(name)),
    el("div", { class: "pane-chart", role: "img", "aria-label": `${UNITS[name] ?? words(name)}: ${found.lines.filter((line) => line.pane === name && isShown(line)).map((line) => line.name).join(", ")}` })));
  fill(byId("panes"), nodes);
  parts = wanted.map((name, index) => onePane(nodes[index].querySelector(".pane-chart"), name));
  follow(main.chart);
  byId("panes-count").textContent = `What the rules read: ${found.lines.length} values`;
  legend(["candles", ...names]);
}

function onePane(node, name) {
  const chart = makeChart(node);
  chart.applyOptions({ timeScale: { visible: false }, rightPriceScale: { minimumWidth: SCALE_PX } });
  const lines = found.lines.filter((line) => line.pane === name && isShown(line)).map((line) => {
    const series = addLine(chart, line, shade(line), name === "index" ? { autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 100 } }) } : {});
    for (const level of line.levels) series.createPriceLine({ price: level, color: shade(line), lineStyle: 2, lineWidth: 1, axisLabelVisible: false, title: "" });
    return { line, series };
  });
  chart.timeScale().subscribeVisibleLogicalRangeChange(() => follow(chart));
  return { chart, lines };
}

// Every candle has a point, so that all panes count alike; a value of a longer timeframe stands until its next one.
function addLine(chart, line, color, options) {
  const series = chart.addLineSeries({ color, lineWidth: 1, lineType: 1, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false, ...options });
  series.setData(found.times_ms.map((ms, index) => (line.values[index] === null ? { time: seconds(ms) } : { time: seconds(ms), value: line.values[index] })));
  return series;
}

function follow(source) {
  if (moving) return;
  const range = source.timeScale().getVisibleLogicalRange();
  if (!range) return;
  moving = true;
  for (const chart of [main.chart, ...parts.map((part) => part.chart)]) if (chart !== source) chart.timeScale().setVisibleLogicalRange(range);
  moving = false;
}

// The values at the candle that is pointed at; otherwise the newest.
function point(at) {
  if (!found) return;
  const index = at.time ? found.times_ms.findIndex((ms) => seconds(ms) === at.time) : found.times_ms.length - 1;
  for (const node of byId("panes-legend").querySelectorAll("[data-line]")) {
    const line = found.lines.find((each) => each.name === node.dataset.line);
    node.querySelector("output").textContent = line?.pane === "flag" ? YES[line.values[index]] ?? "–" : number(line?.values[index]);
  }
  for (const { chart, lines } of parts) {
    const first = lines[0];
    if (at.time && first?.line.values[index] != null) chart.setCrosshairPosition(first.line.values[index], at.time, first.series);
    else chart.clearCrosshairPosition();
  }
}

// The same for a candle by its time (null: none).
export const pointAt = (ms) => point({ time: ms === null ? undefined : seconds(ms) });

const YES = ["no", "yes"];
const number = (value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(7)).toLocaleString("en-US", { maximumSignificantDigits: 7 }));

function legend(names) {
  fill(byId("panes-legend"), names.map((name) => el("div", { class: "legend-row" }, el("strong", {}, name === "candles" ? "on the candles" : UNITS[name] ?? words(name)),
    found.lines.filter((line) => line.pane === name).map((line) => toggle(line)))));
  point({});
}

function toggle(line) {
  const on = line.is_candle || isShown(line);
  const dot = el("i", { class: "dot", "aria-hidden": "true" });
  dot.style.background = line.is_candle ? "var(--quiet)" : shade(line);
  const told = `${line.what}; read by ${line.read_by.join(", ")}${line.levels.length ? `; compared with ${line.levels.join(", ")}` : ""}`;
  return el("button", { type: "button", class: "line-toggle", "data-line": line.name, "aria-pressed": String(on), title: told, disabled: line.is_candle,
    onclick: () => { chosen.set(line.name, !isShown(line)); paint(); byId("panes-legend").querySelector(`[data-line="${CSS.escape(line.name)}"]`)?.focus(); } },
  dot, line.name, " ", el("output", {}));
}

export function chooseLines(who) {
  chosen.clear();
  if (!found) return;
  if (who) for (const line of found.lines) chosen.set(line.name, !line.is_candle && (who === "all" || line.read_by.includes(who)));
  paint();
}

export const readersOf = (told) => [...new Set(told.lines.flatMap((line) => line.read_by))];
