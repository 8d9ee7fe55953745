// Closed trades by everything that they can be told apart by, and how well they were carried out.

import { get } from "./api.js";
import { byId, el, fill, lasting, money, signed, table, when, words } from "./dom.js";
import { symbolLink } from "./pages.js";

const GROUPS = [
  ["strategy", "By strategy"], ["regime", "By regime at entry"], ["symbol", "By symbol", symbolLink], ["side", "By side"],
  ["exit_reason", "By reason of the end", words], ["month", "By month of the end"], ["weekday", "By weekday of the entry"], ["hour", "By hour of the entry"],
];

export async function drawStatistics() {
  const found = await get("/api/statistics");
  const [all] = found.total;
  byId("statistics-words").textContent = all
    ? `${all.trades} closed trades, ${all.wins} won and ${all.losses} lost; net ${money(all.net_pnl)} USDT after ${money(all.fees)} USDT of fees, ${money(all.r)} R in all. Days and hours are UTC.`
    : "No trade has been closed yet: figures come with the first.";
  fill(byId("statistics"), all ? GROUPS.map(([name, title, shown]) => el("div", { id: `by-${name}` }, table(title, columns(shown), found[name], ""))) : null);
}

function columns(shown = (key) => key) {
  return [
    ["", (row) => shown(row.key)], ["Trades", (row) => String(row.trades), "num"], ["Won", (row) => `${Math.round((100 * row.wins) / row.trades)} %`, "num"],
    ["Net", (row) => signed(row.net_pnl), "num"], ["R", (row) => signed(row.r), "num"], ["R a trade", (row) => signed(Number(row.r) / row.trades), "num"],
    ["Fees", (row) => money(row.fees), "num"],
  ];
}

const TIMES = [
  ["Decided to sent", "decided_to_sent"], ["Sent to acknowledged", "sent_to_acknowledged"],
  ["Sent to first fill", "sent_to_filled"], ["First fill to stop confirmed", "filled_to_protected"],
];
const ORDERS = [
  ["Entry, against the signal's price", "entry"], ["Stop, against its trigger", "stop"],
  ["Targets, against their triggers", "target"], ["Closes, against the decision's price", "close"],
];
const HOW = { GUARD: "refused by a limit or guard", NOT_FILLED: "sent or dropped, never filled" };

export async function drawExecution() {
  const { total, strategy, symbol, missed, assumed, warnings } = await get("/api/execution");
  fill(byId("execution-warnings"), warnings.map((text) => el("p", { class: "warning", role: "alert" }, text)));
  byId("execution-words").textContent = total.trades
    ? `${total.trades} trades filled. Fees ${money(total.fees)} USDT, ${(total.fee_pct ?? 0).toFixed(4)} % of turnover`
      + `${assumed ? ` (sizing assumes ${assumed.taker_fee_pct} %)` : ""}; funding ${money(total.funding)} USDT; slippage ${money(-total.slippage_usdt)} USDT. Times are the exchange's; bp are hundredths of a percent, above zero they cost.`
    : "No trade has been filled yet.";
  if (!total.trades) return fill(byId("execution"));
  fill(byId("execution"),
    group("execution-times", "Times", spread((ms) => lasting(ms)), TIMES.map(([name, key]) => ({ name, found: total[key] })).filter((row) => row.found)),
    group("execution-orders", "Slippage in bp", slippage(), ORDERS.map(([name, key]) => ({ name, ...(total[key] ?? {}), found: total[key]?.bp })).filter((row) => row.found)),
    group("execution-strategy", "By strategy", parts(), strategy), group("execution-symbol", "By symbol", parts(symbolLink), symbol),
    group("execution-missed", "Signals that led to no position", [
      ["How", (row) => HOW[row.how]], ["Reason", (row) => words(row.reason)], ["Signals", (row) => String(row.count), "num"], ["Last candle", (row) => when(row.last_candle_ms)],
    ], missed));
}

const group = (id, title, columns, rows) => el("div", { id }, table(title, columns, rows, `${title}: none`));
const spread = (shown) => [
  ["", (row) => row.name], ["Count", (row) => String(row.found.count), "num"], ["Median", (row) => shown(row.found.median), "num"],
  ["90 %", (row) => shown(row.found.p90), "num"], ["Worst", (row) => shown(row.found.worst), "num"], ["Mean", (row) => shown(row.found.mean), "num"],
];
const slippage = () => [...spread((bp) => bp.toFixed(1)), ["R", (row) => (row.r_mean === null ? "–" : row.r_mean.toFixed(4)), "num"], ["USDT", (row) => money(row.usdt), "num"]];
const mean = (found) => (found ? found.bp.mean.toFixed(1) : "–");
const parts = (shown = (key) => key) => [
  ["", (row) => shown(row.key)], ["Trades", (row) => String(row.trades), "num"], ["Entry bp", (row) => mean(row.entry), "num"], ["Stop bp", (row) => mean(row.stop), "num"],
  ["Slippage", (row) => signed(-row.slippage_usdt), "num"], ["Fees", (row) => signed(-row.fees), "num"], ["Funding", (row) => signed(row.funding), "num"],
];
