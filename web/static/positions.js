// Open positions: what is held, where stop and targets lie from here, and how long ago the stop was last seen.

import { get } from "./api.js";
import { byId, el, fill, lasting, money, onTick, price, signed, when } from "./dom.js";
import { symbolLink, tradeLink } from "./pages.js";

const STALE_MS = 60_000; // as docs/alert-rules.yml, StopNotVerified

const PICTURE_CANDLES = 72;
const PICTURE_MS = 30_000;
const [WIDTH, HEIGHT] = [320, 96];
const SVG = "http://www.w3.org/2000/svg";

let verified = [];
const closes = new Map(); // by symbol: { atMs, prices }

export function drawPositions({ positions }) {
  verified = [];
  fill(byId("positions"), positions.length ? positions.map(card) : el("p", { class: "quiet" }, "No open position."));
  tick();
  for (const position of positions) picture(position);
}

// Its last days as a line, with entry, stop, targets and mark; what lies far away is told in words alone.
async function picture(position) {
  const kept = closes.get(position.symbol);
  if (!kept || performance.now() - kept.atMs > PICTURE_MS) {
    const until = position.updated_ms ?? "";
    const found = await get(`/api/candles/${encodeURIComponent(position.symbol)}`, { limit: PICTURE_CANDLES, until }).catch(() => ({ candles: [] }));
    closes.set(position.symbol, { atMs: performance.now(), prices: found.candles.map((candle) => candle.close) });
  }
  const node = [...document.querySelectorAll("[data-picture]")].find((each) => each.dataset.picture === position.symbol);
  const { prices } = closes.get(position.symbol);
  if (node && prices.length > 1) fill(node, drawn(position, position.mark === null ? prices : [...prices, Number(position.mark)]));
}

function drawn(position, prices) {
  const levels = [["stop", position.stop_price], ["entry", position.entry], ...position.targets.map((target) => ["target", target.done ? null : target.trigger_price])]
    .filter(([, level]) => level !== null).map(([kind, level]) => [kind, Number(level)]);
  const near = [...prices, ...levels.map(([, level]) => level)];
  const [low, high] = [Math.min(...near), Math.max(...near)];
  const liquidation = position.liquidation_price === null ? null : Number(position.liquidation_price);
  if (liquidation !== null && liquidation >= low - (high - low) / 2 && liquidation <= high + (high - low) / 2) levels.push(["liquidation", liquidation]);
  const all = [...prices, ...levels.map(([, level]) => level)];
  const [bottom, top] = [Math.min(...all), Math.max(...all)];
  const y = (value) => (HEIGHT - 6) - ((value - bottom) / (top - bottom || 1)) * (HEIGHT - 12);
  const x = (index) => (index / (prices.length - 1)) * (WIDTH - 8);
  const shape = (tag, attributes) => { const node = document.createElementNS(SVG, tag); for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value); return node; };
  const lines = levels.map(([kind, level]) => shape("line", { class: `level ${kind}`, x1: 0, x2: WIDTH, y1: y(level), y2: y(level) }));
  const way = shape("polyline", { class: "way", points: prices.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" ") });
  const words = `${position.symbol}, last ${prices.length} hours to ${price(prices.at(-1))}; ${levels.map(([kind, level]) => `${kind} ${price(level)}`).join(", ")}`;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words, preserveAspectRatio: "none" });
  svg.append(...lines, way);
  return svg;
}

function card(position) {
  const safe = position.protected_ms !== null && position.stop_price !== null;
  const stopWords = el("span", {});
  verified.push({ node: stopWords, position, readMs: performance.now() });
  const targets = position.targets.map((target) => `${price(target.trigger_price, target.trigger_price)}${target.done ? " (hit)" : ""}`).join(", ");
  const lines = [
    ["Size", price(position.size)], ["Entry", price(position.entry, position.stop_price)], ["Mark", onTick(position.mark, position.stop_price)],
    ["Stop", price(position.stop_price, position.stop_price)], ["Targets", targets || "–"], ["Unrealised", signed(position.upnl)],
    ["Risk", money(position.risk_usdt)], ["Liquidation", away(position)],
    ["Strategy", `${position.strategy ?? "–"} in ${position.regime ?? "–"}`], ["Since", when(position.opened_ms)],
  ];
  return el("article", { class: safe ? "card" : "card bare", "aria-label": `${position.symbol} ${position.side}` },
    el("h3", {}, symbolLink(position.symbol), el("span", { class: position.side === "LONG" ? "gain" : "loss" }, position.side),
      el("span", { class: "badge" }, position.state), tradeLink(position.trade_id)),
    el("p", { class: "proof" }, stopWords, el("span", { class: "big" }, signed(position.r, 2, " R"))), el("div", { class: "picture", "data-picture": position.symbol }), ladder(position),
    el("dl", {}, lines.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat()));
}

function away({ liquidation_price: liquidation, mark, stop_price: stop }) {
  if (liquidation === null) return "–";
  return mark ? `${onTick(liquidation, stop)} (${Math.abs((100 * (Number(mark) - Number(liquidation))) / Number(mark)).toFixed(1)} % away)` : onTick(liquidation, stop);
}

// Stop, entry, mark and targets on one line, the losing side left.
function ladder(position) {
  const marks = [["stop", position.stop_price], ["entry", position.entry], ["mark", position.mark],
    ...position.targets.map((target, index) => [`target ${index + 1}`, target.trigger_price])]
    .filter(([, level]) => level !== null).map(([name, level]) => ({ name, level: Number(level) }));
  if (marks.length < 3) return null;
  const [low, high] = [Math.min(...marks.map(({ level }) => level)), Math.max(...marks.map(({ level }) => level))];
  const share = (level) => ((position.side === "LONG" ? level - low : high - level) / (high - low || 1)) * 100;
  const line = marks.map(({ name, level }) => {
    const node = el("i", { class: name.split(" ")[0], title: `${name} ${price(level)}` });
    node.style.left = `${share(level)}%`;
    return node;
  });
  const words = marks.map(({ name, level }) => `${name} ${price(level)}`).join(", ");
  return el("div", { class: "ladder", role: "img", "aria-label": `From loss to gain: ${words}` }, line);
}

// The age of a verification grows while nobody asks again.
export function tick() {
  for (const { node, position, readMs } of verified) {
    const ageMs = position.stop_verified_age_ms === null ? null : position.stop_verified_age_ms + Math.round(performance.now() - readMs);
    const [state, words] = proof(position, ageMs);
    node.dataset.state = state;
    node.textContent = words;
  }
}

function proof(position, ageMs) {
  if (position.stop_price === null) return ["bad", "✖ NO STOP"];
  if (ageMs !== null) return [ageMs > STALE_MS ? "old" : "good", `${ageMs > STALE_MS ? "▲" : "✔"} stop verified ${lasting(Math.max(1000, Math.round(ageMs / 1000) * 1000))} ago`];
  if (position.protected_ms !== null) return ["old", `▲ stop confirmed; last look ${when(position.updated_ms)}`];
  return ["bad", "✖ stop NOT confirmed"];
}
