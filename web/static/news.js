// What happened since this browser last looked at this bot: trades, messages, and the way of the equity.

import { get } from "./api.js";
import { byId, el, fill, lasting, price, signed, when, words } from "./dom.js";
import { page, tradeLink } from "./pages.js";

const ASKED = 100;
const SHOWN = 6;
let key = "";
let mark = null; // { at_ms, equity } when this page was last left
let latest = null;

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

export async function drawNews(summary) {
  if (!summary) return;
  const asOfMs = summary.as_of_ms;
  const [{ trades }, { alerts }] = await Promise.all([get("/api/trades", { limit: ASKED }), get("/api/alerts", { limit: ASKED })]);
  if (!key) {
    key = `looked ${summary.database_id}`;
    mark = remembered();
  }
  latest = { at_ms: asOfMs, equity: summary.equity };
  if (!mark) {
    fill(byId("news-words"), el("p", { class: "quiet" }, "This browser looks at this bot for the first time: from now on what has happened in between will stand here."));
    return;
  }
  const since = mark.at_ms;
  const closed = trades.filter((trade) => trade.closed_ms > since);
  const opened = trades.filter((trade) => (trade.first_fill_ms ?? 0) > since);
  const told = alerts.filter((alert) => alert.at_ms > since);
  const moved = mark.equity !== null && summary.equity !== null ? Number(summary.equity) - Number(mark.equity) : null;
  const net = closed.reduce((sum, trade) => sum + Number(trade.net_pnl), 0);
  const head = el("p", {}, `${when(since)} UTC, ${lasting(Math.max(0, asOfMs - since))} ago: `,
    ...(moved === null ? [] : ["equity ", signed(moved, 2, " USDT"), ", "]), `${opened.length} opened, ${closed.length} closed`,
    ...(closed.length ? [" for ", signed(net, 2, " USDT")] : []), `, ${told.length} ${told.length === 1 ? "message" : "messages"}. `,
    el("button", { type: "button", class: "linklike", onclick: () => { remember(); mark = latest; drawNews(summary); } }, "I have seen it"));
  const lines = [...closed.map((trade) => [trade.closed_ms, el("span", {}, tradeLink(trade.id), ` closed by ${words(trade.exit_reason)}, `, signed(trade.net_pnl, 2, " USDT"), " ", signed(trade.r, 2, " R"))]),
    ...opened.filter((trade) => !closed.includes(trade)).map((trade) => [trade.first_fill_ms, el("span", {}, tradeLink(trade.id), ` opened ${trade.side.toLowerCase()} at ${price(trade.entry_price)}`)]),
    ...told.filter((alert) => alert.severity !== "info").map((alert) => [alert.at_ms, el("span", { class: "severity-error" }, alert.text)])]
    .sort(([a], [b]) => b - a);
  fill(byId("news-words"), head, lines.length ? el("ul", { class: "plain news" }, lines.slice(0, SHOWN).map(([at, node]) => el("li", {}, el("time", { class: "quiet" }, when(at)), " ", node))) : null,
    lines.length > SHOWN ? el("p", { class: "quiet" }, `and ${lines.length - SHOWN} more, under Trades and in the log`) : null);
}

function remember() {
  if (latest && key) localStorage.setItem(key, JSON.stringify(latest));
}

export function prepareNews() {
  if (page.name !== "overview") return;
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") remember();
    else if (key) mark = remembered() ?? mark;
  });
  window.addEventListener("pagehide", remember);
}
