// Panels about the account: banner, figures, budgets, positions, and time to protection.

import { byId, el, fill, lasting, money, price, signed, when } from "./dom.js";

const MEANING = {
  BLOCK_ENTRIES: "When a limit is reached: no new entries; open positions go on with their stops.",
  FLATTEN: "When a limit is reached: no new entries, and open positions are closed.",
};
const MODE_WORDS = { RUNNING: "running", PAUSED: "paused: no entries", HALTED: "HALTED: no entries", STOPPED: "no bot is running" };
const SILENT_MS = 60_000;
const MISSING_LIMITS = "The bot has not told its limits.";

export function drawSummary(summary) {
  byId("banner").dataset.environment = summary.environment;
  byId("environment").textContent = summary.environment.toUpperCase();
  const silent = summary.daemon_running && summary.pulse_age_ms > SILENT_MS;
  byId("mode").textContent = silent ? `NOT ANSWERING for ${lasting(summary.pulse_age_ms)}` : MODE_WORDS[summary.mode];
  byId("pulse").textContent = summary.daemon_running ? pulse(summary) : "shown from the database; nothing is traded now";
  byId("clock").textContent = `${when(summary.as_of_ms)} UTC`;
  document.title = `${summary.environment.toUpperCase()} ${money(summary.equity)} USDT`;
  const halted = byId("halted");
  halted.hidden = !summary.halt;
  halted.textContent = summary.halt ? `Halted since ${when(summary.halt.since_ms)}: ${summary.halt.cause}. No new entries.` : "";
  fill(byId("figures"), figures(summary).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  byId("limit-action").textContent = MEANING[summary.limit_action] ?? MISSING_LIMITS;
  fill(byId("budgets"), summary.budgets.map(budget));
}

function pulse(summary) {
  const parts = [];
  if (summary.stream) parts.push(`stream ${summary.stream}`);
  if (summary.pulse_age_ms !== null) parts.push(`pulse ${lasting(summary.pulse_age_ms)} ago`);
  if (summary.speed && summary.speed !== 1) parts.push(`clock × ${summary.speed}`);
  return parts.join(" · ");
}

function figures(summary) {
  return [
    ["Equity, USDT", money(summary.equity)],
    ["Wallet balance", money(summary.balance)],
    ["Unrealised", signed(summary.unrealized_pnl)],
    ["Net result", signed(summary.net_pnl)],
    ["Drawdown", summary.drawdown_pct === null ? "–" : `${summary.drawdown_pct.toFixed(2)} %`],
    ["Highest equity", money(summary.equity_high)],
    ["Realised today", signed(summary.day?.realized_pnl)],
    ["This week", signed(summary.week?.realized_pnl)],
    ["This month", signed(summary.month?.realized_pnl)],
    ["Open positions", room(summary.positions_room, String(summary.open_positions), 0)],
    ["Open risk", room(summary.risk_room, money(summary.open_risk_usdt))],
    ["Exposure", room(summary.exposure_room, "–")],
    ["Trades (won)", `${summary.trades} (${summary.wins})`],
  ];
}

const room = (cap, otherwise, digits = 2) => (cap ? `${money(cap.used, digits)} of ${money(cap.allowed, digits)}` : otherwise);

function budget(limit) {
  const name = limit.cause.replace("LIMIT_", "").toLowerCase();
  const [allowed, used] = [Number(limit.allowed), Math.max(0, Number(limit.used))];
  const words = `${name}: ${money(limit.remaining)} of ${money(allowed)} USDT left${limit.exceeded ? " – REACHED" : ""}`;
  return el("li", {}, el("span", { class: limit.exceeded ? "over" : "" }, words),
    el("progress", { max: allowed || 1, value: Math.min(used, allowed || 1), "aria-label": `${name} budget used` }));
}

let verified = [];

export function drawPositions({ positions }) {
  verified = [];
  if (positions.length === 0) {
    fill(byId("positions"), el("p", { class: "quiet" }, "No open position."));
    return;
  }
  fill(byId("positions"), positions.map(card));
}

function card(position) {
  const safe = position.protected_ms !== null && position.stop_price !== null;
  const stopWords = el("dd", {});
  verified.push({ node: stopWords, position, readMs: performance.now() });
  const targets = position.targets.map((target) => `${price(target.trigger_price)}${target.done ? " (hit)" : ""}`).join(", ");
  const lines = [
    ["Size", price(position.size)], ["Entry", price(position.entry)], ["Mark", price(position.mark)],
    ["Stop", price(position.stop_price)], ["Targets", targets || "–"], ["Unrealised", signed(position.upnl)],
    ["R", signed(position.r, 2, " R")], ["Risk", money(position.risk_usdt)], ["Liquidation", price(position.liquidation_price)],
    ["Strategy", `${position.strategy ?? "–"} in ${position.regime ?? "–"}`], ["Since", when(position.opened_ms)],
  ];
  const node = el("article", { class: safe ? "card" : "card bare" },
    el("h3", {}, position.symbol, el("span", { class: position.side === "LONG" ? "gain" : "loss" }, position.side),
      el("span", { class: "badge" }, position.state)),
    el("dl", {}, lines.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat(),
      el("dt", {}, "Protection"), stopWords));
  tick();
  return node;
}

// The age of a verification grows while nobody asks again.
export function tick() {
  for (const { node, position, readMs } of verified) {
    if (position.stop_price === null) node.textContent = "NO STOP";
    else if (position.stop_verified_age_ms === null) node.textContent = position.protected_ms ? `stop confirmed; last look ${when(position.updated_ms)}` : "stop NOT confirmed";
    else node.textContent = `stop verified ${lasting(position.stop_verified_age_ms + Math.round(performance.now() - readMs))} ago`;
  }
}

export function drawProtection(found) {
  const most = Math.max(1, ...found.buckets.map((bucket) => bucket.count));
  const top = found.buckets.at(-2)?.le_ms;
  const bars = found.buckets.map((bucket) => {
    const name = bucket.le_ms === null ? `over ${lasting(top)}` : `up to ${lasting(bucket.le_ms)}`;
    return [el("span", {}, name), el("progress", { max: most, value: bucket.count, "aria-label": name }), el("span", { class: "num" }, String(bucket.count))];
  });
  const deadline = found.deadline_ms === null ? "" : `; deadline ${lasting(found.deadline_ms)}`;
  const words = found.trades === 0 ? "No trade has been filled yet."
    : `From first fill to confirmed stop by the exchange's clock, which a simulation speeds up: half within ${lasting(found.p50_ms)}, 99 % within ${lasting(found.p99_ms)}, longest ${lasting(found.max_ms)}${deadline}. `
      + `${found.unprotected} of ${found.trades} ended before their stop was confirmed.`;
  const real = found.measured;
  const measured = real.count === 0 ? null : el("p", {}, `In real time since the bot started: ${real.count} positions, half within ${lasting(real.p50_ms)}, `
    + `99 % within ${lasting(real.p99_ms)}, longest ${lasting(real.max_ms)}; ${real.late} past the deadline.`);
  fill(byId("protection"), measured, el("p", {}, words), el("div", { class: "bars" }, bars.flat()));
}
