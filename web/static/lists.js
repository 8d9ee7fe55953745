// Lists: trades page by page, open orders, alerts, commands, and transitions with everything behind each.

import { get } from "./api.js";
import { byId, el, fill, money, price, purpose, signed, table, when, words } from "./dom.js";
import { ofSymbol, page, symbolLink, tradeLink } from "./pages.js";

const TRADES_SHOWN = 15;
const TRANSITIONS_SHOWN = 30;
const TRANSITIONS_MAX = 600;
let offset = 0;

export async function drawTrades() {
  const found = await get("/api/trades", { symbol: ofSymbol, limit: TRADES_SHOWN, offset });
  const columns = [
    ["Trade", (row) => tradeLink(row.id)],
    ["Side", (row) => row.side], ["Status", (row) => words(row.status)], ["Strategy in regime", (row) => `${row.strategy_used} in ${row.regime_at_entry}`],
    ["Opened", (row) => when(row.opened_ms)], ["Closed", (row) => when(row.closed_ms)],
    ["Entry", (row) => price(row.entry_price, row.stop_price_initial), "num"], ["Exit", (row) => price(row.exit_price, row.stop_price_initial), "num"], ["Net", (row) => signed(row.net_pnl), "num"],
    ["R", (row) => signed(row.r), "num"], ["Fees", (row) => money(row.fees), "num"], ["Ended by", (row) => words(row.exit_reason)],
  ];
  fill(byId("trades"), table("Trades, newest first; amounts in USDT", columns, found.trades, "No trade yet."));
  byId("trades-newer").disabled = offset === 0;
  byId("trades-older").disabled = offset + TRADES_SHOWN >= found.total;
  byId("trades-place").textContent = found.total ? `${offset + 1} to ${Math.min(offset + TRADES_SHOWN, found.total)} of ${found.total}` : "";
}

export function turnTrades(step) {
  offset = Math.max(0, offset + step * TRADES_SHOWN);
  return drawTrades();
}

export function drawOrders({ orders }) {
  const columns = [
    ["Symbol", (row) => symbolLink(row.symbol)], ["Trade", (row) => tradeLink(row.trade_id)], ["Purpose", (row) => purpose(row.purpose)], ["Type", (row) => words(row.type)], ["Side", (row) => row.side],
    ["Quantity", (row) => (row.close_position ? "whole position" : price(row.quantity)), "num"], ["Price", (row) => price(row.trigger_price ?? row.price, row.trigger_price ?? row.price), "num"],
    ["Status", (row) => words(row.status)], ["Filled", (row) => price(row.executed_quantity), "num"], ["Client id", (row) => row.client_order_id], ["Placed", (row) => when(row.created_ms)],
  ];
  fill(byId("orders"), table("Orders that may still rest on the exchange", columns, orders, "No open order."));
}

export function drawAlerts({ alerts }) {
  const columns = [
    ["Time", (row) => when(row.at_ms)], ["Severity", (row) => el("span", { class: `severity-${row.severity.toLowerCase()}` }, row.severity)],
    ["Alert", (row) => `${row.text}${row.repeats ? ` (and ${row.repeats} times again)` : ""}`, "words"], ["About", (row) => symbolLink(row.symbol)], ["Delivery", (row) => words(row.state)],
  ];
  fill(byId("alerts"), table("Alerts, newest first", columns, alerts, "No alert."));
}

const FACTS_SHOWN = 240;

// What was noted with an event; the account's whole record belongs to the journal.
function facts({ account: _, ...found }) {
  const text = typeof found.text === "string" ? found.text : pairs(found);
  return text.length > FACTS_SHOWN ? `${text.slice(0, FACTS_SHOWN)} …` : text;
}

const isEmpty = (value) => value === null || (typeof value === "object" && Object.keys(value).length === 0);
const plain = (value) => (Array.isArray(value) ? value.map(plain).join(" ") : value !== null && typeof value === "object" ? `(${pairs(value)})` : String(value));
const pairs = (found) => Object.entries(found).filter(([, value]) => !isEmpty(value)).map(([name, value]) => `${name.replaceAll("_", " ")}: ${plain(value)}`).join(", ");

export async function drawLog() {
  const kind = byId("log-kind").value;
  const found = kind === "errors" ? await get("/api/errors", { limit: 40 }) : await get("/api/system-events", { kind, quiet: "true", limit: 40 });
  const rows = found.errors ?? found.events;
  const columns = [
    ["Time", (row) => when(row.at_ms)], ["Kind", (row) => words(row.kind ?? row.component)], ["Symbol", (row) => symbolLink(row.symbol)],
    ["What", (row) => (row.reason === undefined ? row.error : words(row.reason)), "words"], ["Facts", (row) => facts(row.facts ?? row.details), "words"],
  ];
  fill(byId("log"), table("Newest first", columns, rows, "Nothing of this kind has happened."));
}

export function drawCommands({ commands }) {
  const columns = [
    ["Command", (row) => (/^(job|rules) /.test(row.kind) ? row.kind : `${row.kind} ${row.symbol ?? "all symbols"}`)], ["From", (row) => row.source],
    ["State", (row) => el("span", { class: row.state === "refused" ? "loss" : "" }, row.guard ? `${row.state} by ${row.guard}` : row.state)],
    ["Detail", (row) => (!row.kind.startsWith("job ") || row.state !== "done" ? row.detail : row.kind.startsWith("job what-if ") ? "its answer is on the page of rules" : "kept; it stands on the page of runs"), "words"], ["Number", (row) => String(row.id), "num"],
  ];
  fill(byId("commands"), table("Commands and what became of them", columns, commands, "No command yet."));
}

let rows = [];
let cursor = null;
const filter = () => ({
  symbol: ofSymbol || byId("filter-symbol").value, state: byId("filter-state").value, trade: byId("filter-trade").value.trim(),
  trigger: byId("filter-trigger").value.trim(), since: byId("filter-since").value, until: byId("filter-until").value,
});

export async function drawTransitions() {
  const page = await get("/api/transitions", { ...filter(), limit: TRANSITIONS_SHOWN });
  rows = page.transitions;
  cursor = page.cursor;
  showTransitions();
}

export async function moreTransitions() {
  const page = await get("/api/transitions", { ...filter(), limit: TRANSITIONS_SHOWN, cursor });
  rows = [...rows, ...page.transitions];
  cursor = page.cursor;
  showTransitions();
}

export function addTransition(row) {
  const { symbol, state, trade, trigger, since, until } = filter();
  if ((trigger && trigger !== row.trigger) || (since && row.at_ms < Date.parse(since)) || (until && row.at_ms >= Date.parse(until))) return;
  if ((symbol && symbol !== row.symbol) || (state && state !== row.dest) || (trade && trade !== row.trade_id) || rows.some((known) => known.id === row.id)) return;
  rows = [{ ...row, fresh: true }, ...rows].slice(0, TRANSITIONS_MAX);
  showTransitions();
}

function showTransitions() {
  const columns = [
    ["Time", (row) => when(row.at_ms)], ["Symbol", (row) => (page.name === "audit" ? symbolLink(row.symbol) : row.symbol)], ["Trade", (row) => tradeLink(row.trade_id)], ["Step", (row) => `${row.source} → ${row.dest}`], ["Trigger", (row) => row.trigger],
    ["Explanation", (row) => row.explanation, "words"],
    ["Row", (row) => el("button", { type: "button", class: "linklike", "aria-label": `Everything about transition ${row.id}`, onclick: () => detail(row.id) }, String(row.id)), "num"],
  ];
  fill(byId("transitions"), table("Steps of the machines, newest first", columns, rows, "No transition matches."));
  byId("transitions-more").disabled = cursor === null;
  for (const row of rows) row.fresh = false;
}

async function detail(id) {
  const target = byId("transition-detail");
  target.hidden = false;
  try {
    const found = await get(`/api/transitions/${id}`);
    const parts = [["Guards", found.guards], ["Intents", found.intents], ["Facts", found.facts], ["Event", found.event], ["Record after it", found.record]];
    fill(target, el("h3", { tabindex: "-1" }, `Transition ${id}`), el("p", {}, found.step.explanation),
      el("p", { class: "quiet" }, `hash ${found.hash}, after ${found.prev_hash}`),
      parts.map(([title, part]) => el("details", {}, el("summary", {}, title), el("pre", { tabindex: "0" }, JSON.stringify(part, null, 2)))));
  } catch (error) {
    fill(target, el("p", { class: "problem", role: "alert" }, error.message));
  }
  target.querySelector("h3")?.focus();
}
