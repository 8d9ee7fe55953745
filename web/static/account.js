// Panels about the account: banner, figures, kill switch with its budgets, and time to protection.

import { byId, el, fill, lasting, money, part, signed, when } from "./dom.js";
import { page, pageTitle } from "./pages.js";

const STAKES = {
  sim: "simulated exchange, no real money",
  paper: "live prices, simulated account, no real money",
  testnet: "Binance's demo exchange, no real money",
  mainnet: "REAL MONEY",
  backtest: "a finished backtest",
};
const MEANING = {
  BLOCK_ENTRIES: "entries stop, open positions go on with their stops",
  FLATTEN: "entries stop, and open positions are closed",
};
const MODE_WORDS = { RUNNING: "running", PAUSED: "paused: no entries", HALTED: "HALTED: no entries", STOPPED: "no bot is running" };
const SILENT_MS = 60_000;
const NEARLY = 0.8;
const PERIODS = { LIMIT_DAY: "Today", LIMIT_WEEK: "This week", LIMIT_MONTH: "This month", LIMIT_DRAWDOWN: "Drawdown" };

// Nobody answers: what is shown stays, and is called old.
export function drawLost() {
  document.body.dataset.stale = "true";
  byId("mode").textContent = "NO ANSWER: what you see is old";
  byId("pulse").textContent = `as it was at ${byId("clock").textContent || "the last answer"}`;
}

export function drawSummary(summary) {
  delete document.body.dataset.stale;
  byId("banner").dataset.environment = summary.environment;
  byId("environment").textContent = summary.environment.toUpperCase();
  byId("stakes").textContent = STAKES[summary.environment] ?? "";
  const silent = summary.daemon_running && summary.pulse_age_ms > SILENT_MS;
  byId("mode").textContent = silent ? `NOT ANSWERING for ${lasting(summary.pulse_age_ms)}` : MODE_WORDS[summary.mode];
  byId("pulse").textContent = summary.daemon_running ? pulse(summary) : "shown from the database; nothing is traded now";
  byId("clock").textContent = `${when(summary.as_of_ms)} UTC`;
  const about = page.name === "overview" ? "" : `${pageTitle} · `;
  document.title = `${about}${summary.environment.toUpperCase()} ${money(summary.equity)} USDT`;
  const halted = byId("halted");
  halted.hidden = !summary.halt;
  halted.textContent = summary.halt ? `Halted since ${when(summary.halt.since_ms)}: ${summary.halt.cause}. No new entries.` : "";
  const small = byId("small-steps");
  small.hidden = byId("full-size").hidden = !summary.small_steps;
  small.textContent = summary.small_steps ? smallSteps(summary.small_steps) : "";
  fill(byId("figures"), figures(summary).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  byId("kill-switch").textContent = `Kill switch: ${killSwitch(summary)}`;
  fill(byId("budgets"), summary.budgets.map(budget));
}

function smallSteps(steps) {
  const since = `since ${when(steps.since_ms)} (${steps.cause}), until all are done or you type full-size`;
  if (steps.done < steps.trades) {
    return `Small steps: ${steps.done} of ${steps.trades} trades of the smallest size are done, then ${steps.ramp_trades} that grow; ${since}.`;
  }
  return `Small steps: ${steps.done - steps.trades} of ${steps.ramp_trades} trades that grow to the full size are done; ${since}.`;
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
    ...together(summary),
    ["Trades (won)", `${summary.trades} (${summary.wins})`],
  ];
}

function together(summary) {
  const { together: found, correlated_risk_room: risk, same_direction_risk_room: direction } = summary;
  const figures = [];
  if (found?.positions > 1) figures.push(["Independent positions", `${Number(found.independent).toFixed(2)} of ${found.positions}`]);
  if (found && found.correlation !== null) figures.push(["Returns correlate at", Number(found.correlation).toFixed(2)]);
  if (risk) figures.push(["Risk together", room(risk, "–")]);
  if (direction) figures.push(["Risk of one direction", room(direction, "–")]);
  return figures;
}

const room = (cap, otherwise, digits = 2) => (cap ? `${money(cap.used, digits)} of ${money(cap.allowed, digits)}` : otherwise);

function killSwitch(summary) {
  if (!summary.limit_action) return "The bot has not told its limits.";
  const hit = summary.budgets.filter((limit) => limit.exceeded).map((limit) => limit.cause);
  const ends = { true: " A day's, week's or month's limit ends with its period.", false: " Only the operator resumes." }[summary.auto_resume] ?? "";
  const state = hit.length ? `TRIPPED by ${hit.join(", ")}` : summary.halt ? "Not tripped; halted for another reason" : "Ready, not tripped";
  return `${state}. When a limit is reached, ${MEANING[summary.limit_action] ?? summary.limit_action}.${ends}`;
}

function budget(limit) {
  const [allowed, used] = [Number(limit.allowed), Math.max(0, Number(limit.used))];
  const share = allowed > 0 ? Math.min(used / allowed, 1) : 1;
  const name = PERIODS[limit.cause] ?? limit.cause;
  const state = limit.exceeded ? "over" : share >= NEARLY ? "near" : "fine";
  const bar = el("progress", { max: 1, value: share, "aria-label": `${name}: budget used`, class: state });
  return el("li", { class: state }, el("span", { class: "small" }, limit.cause in PERIODS && limit.period !== "all" ? `${name} · ${limit.period}` : name),
    el("strong", {}, limit.exceeded ? "REACHED" : `${money(limit.remaining)} left`), bar,
    el("span", { class: "small" }, `${money(used)} of ${money(allowed)} used`));
}

export function drawProtection(found) {
  const { measured } = found;
  const told = measured.buckets.length > 0 && measured.count > 0;
  const buckets = told ? measured.buckets : found.buckets;
  const parts = [];
  if (told) {
    parts.push(el("p", {}, `Real time from first fill to confirmed stop since the bot started: half within ${lasting(measured.p50_ms)}, `
      + `99 % within ${lasting(measured.p99_ms)}, longest ${lasting(measured.max_ms)}; ${measured.late} of ${measured.count + measured.late} past the deadline${deadline(found)}.`));
  }
  if (found.trades > 0) {
    const journal = `By the journal, on the exchange's clock${told ? " (which a simulation speeds up)" : ""}: half within ${lasting(found.p50_ms)}, `
      + `99 % within ${lasting(found.p99_ms)}, longest ${lasting(found.max_ms)}; ${found.unprotected} of ${found.trades} trades ended before their stop was confirmed.`;
    parts.push(el("p", told ? { class: "quiet" } : {}, journal));
  }
  if (parts.length === 0) parts.push(el("p", { class: "quiet" }, `No trade has been filled yet${deadline(found)}.`));
  fill(byId("protection"), parts[0], histogram(buckets), parts[1] ?? null);
}

const deadline = (found) => (found.deadline_ms === null ? "" : ` of ${lasting(found.deadline_ms)}`);

function histogram(buckets) {
  const most = Math.max(1, ...buckets.map((bucket) => bucket.count));
  const top = buckets.at(-2)?.le_ms;
  const bars = buckets.map((bucket) => {
    const name = bucket.le_ms === null ? `over ${lasting(top)}` : `up to ${lasting(bucket.le_ms)}`;
    return [el("span", {}, name), part(bucket.count / most, `${name}: ${bucket.count}`), el("span", { class: "num" }, String(bucket.count))];
  });
  return el("div", { class: "bars" }, bars.flat());
}
