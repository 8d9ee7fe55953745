// Open positions: what is held, where stop and targets lie from here, and how long ago the stop was last seen.

import { byId, el, fill, lasting, money, price, signed, when } from "./dom.js";
import { symbolLink, tradeLink } from "./pages.js";

const STALE_MS = 60_000; // as docs/alert-rules.yml, StopNotVerified

let verified = [];

export function drawPositions({ positions }) {
  verified = [];
  fill(byId("positions"), positions.length ? positions.map(card) : el("p", { class: "quiet" }, "No open position."));
  tick();
}

function card(position) {
  const safe = position.protected_ms !== null && position.stop_price !== null;
  const stopWords = el("span", {});
  verified.push({ node: stopWords, position, readMs: performance.now() });
  const targets = position.targets.map((target) => `${price(target.trigger_price)}${target.done ? " (hit)" : ""}`).join(", ");
  const lines = [
    ["Size", price(position.size)], ["Entry", price(position.entry)], ["Mark", price(position.mark)],
    ["Stop", price(position.stop_price)], ["Targets", targets || "–"], ["Unrealised", signed(position.upnl)],
    ["Risk", money(position.risk_usdt)], ["Liquidation", price(position.liquidation_price)],
    ["Strategy", `${position.strategy ?? "–"} in ${position.regime ?? "–"}`], ["Since", when(position.opened_ms)],
  ];
  return el("article", { class: safe ? "card" : "card bare", "aria-label": `${position.symbol} ${position.side}` },
    el("h3", {}, symbolLink(position.symbol), el("span", { class: position.side === "LONG" ? "gain" : "loss" }, position.side),
      el("span", { class: "badge" }, position.state), tradeLink(position.trade_id)),
    el("p", { class: "proof" }, stopWords, signed(position.r, 2, " R")), ladder(position),
    el("dl", {}, lines.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat()));
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
  if (ageMs !== null) return [ageMs > STALE_MS ? "old" : "good", `${ageMs > STALE_MS ? "▲" : "✔"} stop verified ${lasting(ageMs)} ago`];
  if (position.protected_ms !== null) return ["old", `▲ stop confirmed; last look ${when(position.updated_ms)}`];
  return ["bad", "✖ stop NOT confirmed"];
}
