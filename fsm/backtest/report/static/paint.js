// What all drawings share: elements, words, colours of the theme, and charts that look like the page.

const byId = (id) => document.getElementById(id);
const seconds = (ms) => Math.floor(ms / 1000);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const REGIME_COLOURS = { TREND: "--trend", RANGE: "--range", BREAKOUT: "--breakout", NO_TRADE: "--no-trade" };
const SHADES = ["#e08a00", "#3b74e8", "#b04fd1", "#1f9d8b", "#c7417b", "#7a8a12", "#5f6fd8", "#b5651d", "#2c8fb5", "#8a5a83"];
const ownRegimes = [];

// Regimes that the rules name themselves get a shade each, in the order in which they are met.
function regimeColour(regime) {
  if (Object.hasOwn(REGIME_COLOURS, regime)) return colour(REGIME_COLOURS[regime]);
  if (!ownRegimes.includes(regime)) ownRegimes.push(regime);
  return SHADES[ownRegimes.indexOf(regime) % SHADES.length];
}
const charts = [];
const DAY = 86_400_000;

// An element; texts are texts, whatever is in them.
function element(name, given = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function drawn(name, given, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const when = (ms) => (ms === null ? "–" : new Date(ms).toISOString().slice(0, 16).replace("T", " "));
const money = (text) => (text === null ? "–" : Number(text).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 }));
// A price as it was, unless it is a mean with digits without end.
const price = (text) => (text === null ? "–" : text.length <= 10 ? text : String(Number(Number(text).toPrecision(8))));
const inR = (text) => (text === null ? "–" : `${Number(text) > 0 ? "+" : ""}${Number(text).toFixed(2)} R`);
const sign = (text) => (Number(text) > 0 ? "gain" : Number(text) < 0 ? "loss" : "");
const coloured = (text, value) => element("span", { class: sign(value) }, text);

function held(trade) {
  const hours = ((trade.closed_ms ?? trade.opened_ms) - (trade.fill_ms ?? trade.opened_ms)) / 3_600_000;
  return hours < 48 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} days`;
}

function newChart(place, { time = true, hours = true } = {}) {
  const made = LightweightCharts.createChart(place, {
    autoSize: true,
    layout: { background: { color: colour("--panel") }, textColor: colour("--quiet"), fontFamily: "system-ui, sans-serif" },
    grid: { vertLines: { color: colour("--track") }, horzLines: { color: colour("--track") } },
    rightPriceScale: { borderVisible: false, minimumWidth: 68, entireTextOnly: true },
    timeScale: { timeVisible: hours, borderVisible: false, visible: time, minBarSpacing: 0.02 },
    crosshair: { mode: LightweightCharts.CrosshairMode.Normal },
    handleScroll: { vertTouchDrag: false, mouseWheel: false },
    handleScale: { mouseWheel: true },
    localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
  });
  charts.push(made);
  return made;
}

function forget(...made) {
  for (const chart of made) {
    if (!chart) continue;
    charts.splice(charts.indexOf(chart), 1);
    chart.remove();
  }
}

// Draws by hand under a series: `draw` gets the canvas in CSS pixels, its size, and how far right a moment lies.
function handDrawn(series, draw, autoscale) {
  series.attachPrimitive({
    paneViews: () => [{
      zOrder: () => "bottom",
      renderer: () => ({
        draw: (target) => target.useMediaCoordinateSpace(({ context, mediaSize }) => {
          context.save();
          draw(context, mediaSize);
          context.restore();
        }),
      }),
    }],
    autoscaleInfo: autoscale ?? (() => null),
  });
}

// The place of a number between the bars of a chart, which itself only knows whole ones.
function placeOf(chart) {
  const scale = chart.timeScale();
  const zero = scale.logicalToCoordinate(0), one = scale.logicalToCoordinate(1);
  return (index) => zero + index * (one - zero);
}

// Stretches of regimes between two moments: [from, to, regime].
function stretches(regimes, fromMs, toMs) {
  const found = [];
  regimes.forEach(([since, regime], index) => {
    const from = Math.max(since, fromMs), to = Math.min(regimes[index + 1]?.[0] ?? toMs, toMs);
    if (to > from) found.push([from, to, regime]);
  });
  return found;
}

function swatch(shade) {
  return drawn("svg", { viewBox: "0 0 8 8", "aria-hidden": "true", class: "swatch" }, drawn("rect", { width: 8, height: 8, rx: 2, fill: shade }));
}

function regimeLegend(place, regimes) {
  const names = [...new Set(Object.values(regimes).flat().map(([, regime]) => regime))].sort();
  place.replaceChildren(...names.map((name) => element("span", {}, swatch(regimeColour(name)), name.toLowerCase().replaceAll("_", " "))));
}

function options(select, values, change) {
  select.replaceChildren(...values.map(([value, text]) => element("option", { value }, text)));
  select.addEventListener("change", change);
}
