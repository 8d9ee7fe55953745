// Makes charts with Lightweight Charts (vendor/README.txt), and draws equity; says the same in words below it.

import { byId, money, when } from "./dom.js";

const library = () => window.LightweightCharts;
export const seconds = (ms) => Math.floor(ms / 1000);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const charts = new Set();

function looks() {
  return {
    layout: { background: { color: color("--panel") }, textColor: color("--quiet") },
    grid: { vertLines: { color: color("--line") }, horzLines: { color: color("--line") } },
  };
}

export function chartIn(node) {
  const made = library().createChart(node, {
    autoSize: true, ...looks(), rightPriceScale: { borderVisible: false },
    timeScale: { timeVisible: true, borderVisible: false },
  });
  charts.add(made);
  const remove = made.remove.bind(made);
  made.remove = () => { charts.delete(made); remove(); };
  return made;
}

export function repaint() {
  for (const made of charts) made.applyOptions(looks());
}

const SLOTS = 900;

// On a true axis of time: as many slots of one length as it takes, those in which nothing was read left open. Of several
// readings in a slot the lowest counts, so that no fall is lost.
function series(points, value) {
  if (points.length === 0) return [];
  const [first, last] = [seconds(points[0].at_ms), seconds(points.at(-1).at_ms)];
  const length = Math.max(1, Math.ceil((last - first) / SLOTS));
  const slots = new Map();
  for (const point of points) {
    const slot = Math.floor((seconds(point.at_ms) - first) / length);
    slots.set(slot, Math.min(slots.get(slot) ?? Infinity, value(point)));
  }
  slots.set(Math.floor((last - first) / length), value(points.at(-1)));
  return Array.from({ length: Math.floor((last - first) / length) + 1 }, (_, slot) => {
    const time = first + slot * length;
    return slots.has(slot) ? { time, value: slots.get(slot) } : { time };
  });
}

let equityChart, equityLine, drawdownLine, floorLines = [], floorsInView = [];

// The scale reaches down to the limits that are to be seen, so that the room above them is seen too.
function withFloors(original) {
  const found = original();
  if (found && floorsInView.length) found.priceRange.minValue = Math.min(found.priceRange.minValue, ...floorsInView);
  return found;
}

function equityParts() {
  equityChart = chartIn(byId("equity-chart"));
  equityChart.applyOptions({ timeScale: { minBarSpacing: 0.05 } });
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
