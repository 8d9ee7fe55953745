// What is on record beside trades: the rules in force, the settings in force, and runs.

import { get } from "./api.js";
import { byId, el, fill, money, signed, table, when } from "./dom.js";

const VERSIONS = [["Since", (row) => `${when(row.at_ms)} UTC`], ["Hash", (row) => el("code", {}, row.hash), "hash"]];

export async function inForce(target) {
  try {
    return await get("/api/rules");
  } catch (error) {
    if (error.status !== 404) throw error;
    target.textContent = "Nothing is stored yet: rules and settings come with the first start of the bot.";
    return null;
  }
}

export async function drawSettings() {
  const found = await inForce(byId("settings-words"));
  if (!found) return;
  const newest = found.config_versions[0];
  fill(byId("settings-words"), newest ? ["config.yaml of ", when(newest.at_ms), " UTC, hash ", el("code", {}, newest.hash), ". Secrets are masked."] : "No config.yaml is stored.");
  if (!found.config) {
    fill(byId("settings"), el("p", {}, "Only a running bot tells the values in force, and none has written to this database."));
    return;
  }
  const { config, ...beside } = found.config;
  const parts = [...Object.entries(config ?? {}), ...Object.entries(beside)];
  const single = parts.filter(([, value]) => typeof value !== "object" || value === null);
  const nested = parts.filter(([, value]) => typeof value === "object" && value !== null);
  const columns = [["Setting", ([name]) => name], ["Value", ([, value]) => shown(value), "words"]];
  fill(byId("settings"), [["in general", Object.fromEntries(single)], ...nested].map(([name, value]) =>
    el("div", {}, table(name, columns, flat(value), "Nothing is set."))));
}

// ["a.b", value] of everything inside; a list stays one value.
function flat(node, before = "") {
  return Object.entries(node).flatMap(([name, value]) => (value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length
    ? flat(value, `${before}${name}.`) : [[`${before}${name}`, value]]));
}

const shown = (value) => (value === null ? "not set" : typeof value === "object" ? JSON.stringify(value) : String(value));

export async function drawRuns() {
  const [summary, equity] = await Promise.all([get("/api/summary"), get("/api/equity", { range: "all" })]);
  const [first, last] = [equity.points[0], equity.points.at(-1)];
  const facts = [["Trades (won)", `${summary.trades} (${summary.wins})`], ["Net result", signed(summary.net_pnl, 2, " USDT")], ["Deepest drawdown", `${equity.max_drawdown_pct.toFixed(2)} %`]];
  if (first) facts.push(["From", `${when(first.at_ms)} UTC`], ["To", `${when(last.at_ms)} UTC`], ["Equity", `${money(first.equity)} to ${money(last.equity)} USDT`]);
  const kind = summary.environment === "backtest" ? "This database is a finished backtest." : `This database is that of a bot (${summary.environment}), not of a backtest.`;
  fill(byId("runs"), el("p", {}, kind), el("dl", { class: "figures" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    el("p", {}, "Keep a backtest with ", el("code", {}, "fsm backtest --name NAME"), "; ", el("code", {}, "fsm runs"), " lists what is kept, ",
      el("code", {}, "fsm show NAME"), " opens one in a dashboard like this one, and ", el("code", {}, "fsm compare A B"), " says why two of them differ."));
}

// What is kept beside the database: backtests under names, and studies.
export async function drawKept() {
  const { runs, studies } = await get("/api/kept");
  const made = ["Made", (row) => `${when(row.made_ms)} UTC`];
  const percent = (value) => (value === null ? "–" : `${value.toFixed(2)} %`);
  fill(byId("kept-runs"), table("Backtests that are kept, newest first", [["Run", (row) => row.name], made, ["From", (row) => (row.from ?? "–").slice(0, 10)], ["To", (row) => (row.to ?? "–").slice(0, 10)],
    ["Symbols", (row) => String(row.symbols ?? "–"), "num"], ["Trades", (row) => String(row.trades ?? "–"), "num"], ["Net", (row) => signed(row.net_pnl_usdt), "num"], ["Return", (row) => percent(row.return_pct), "num"],
    ["Drawdown", (row) => percent(row.max_drawdown_pct), "num"], ["Rules", (row) => (row.rules_hash ?? "–").slice(0, 12)], ["", (row) => row.problem, "words"]], runs, "None is kept yet: fsm backtest --name NAME keeps one, and it will stand here."));
  fill(byId("kept-studies"), table("Studies, newest first", [["Study", (row) => row.name], made, ["Trials", (row) => String(row.trials), "num"], ["Could not be used", (row) => String(row.refused), "num"], ["", (row) => row.problem, "words"]],
    studies, "No study yet: fsm optimise begins one, and it will stand here."));
}

// Rules files that run beside the live one without orders, as they did after the newest close.
export async function drawShadows() {
  const { shadows } = await get("/api/shadows");
  const columns = [
    ["Shadow", (row) => row.name], ["From", (row) => row.file], ["Since", (row) => when(row.began_ms)], ["Up to", (row) => when(row.to_ms)],
    ["Trades", (row) => String(row.trades), "num"], ["Open", (row) => String(row.open), "num"], ["Net", (row) => signed(row.net_pnl_usdt), "num"], ["R", (row) => signed(row.r), "num"],
    ["The bot's trades", (row) => String(row.live_trades), "num"], ["Its net", (row) => signed(row.live_net_pnl_usdt), "num"], ["", (row) => row.problem, "words"],
  ];
  fill(byId("shadows"), table("Rules that run beside the live ones, without orders", columns, shadows,
    el("span", {}, "None yet. ", el("code", {}, "fsm shadow add NAME FILE"), " lets a rules file decide beside the live one from then on; its trades and result will stand here, beside the bot's over the same time.")));
}
