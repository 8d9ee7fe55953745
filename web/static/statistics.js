// Closed trades by everything that they can be told apart by, and how well they were carried out.

import { get } from "./api.js";
import { byId, el, fill, lasting, money, part, signed, table, when, words } from "./dom.js";
import { symbolLink } from "./pages.js";

const GROUPS = [
  ["strategy", "By strategy"], ["regime", "By regime at entry"], ["symbol", "By symbol", symbolLink], ["side", "By side"],
  ["exit_reason", "By reason of the end", words], ["month", "By month of the end"], ["weekday", "By weekday of the entry"], ["hour", "By hour of the entry"],
];

export async function drawStatistics() {
  const [found, pnl, verdicts] = await Promise.all([get("/api/statistics"), get("/api/pnl", { range: "all" }), get("/api/live-verdicts")]);
  const [all] = found.total;
  byId("statistics-words").textContent = all
    ? `${all.trades} closed trades, ${all.wins} won and ${all.losses} lost; net ${money(all.net_pnl)} USDT after ${money(all.fees)} USDT of fees, ${money(all.r)} R in all. Days and hours are UTC.`
    : "No trade has been closed yet: figures come with the first.";
  fill(byId("statistics"), all ? GROUPS.map(([name, title, shown]) => el("div", { id: `by-${name}` }, table(title, columns(shown), found[name], ""))) : null);
  fill(byId("calendar"), calendar(pnl.days));
  fill(byId("r-distribution"), distribution(found.r_distribution));
  fill(byId("drift"), drift(verdicts));
}

const DAY_MS = 86_400_000;

// A month a block, a week a row, Monday first; the colour says gain or loss, the figure says how much.
function calendar(days) {
  if (days.length === 0) return el("p", { class: "quiet" }, "Every day on which a trade was closed will stand here with its result.");
  const most = Math.max(...days.map((day) => Math.abs(Number(day.net_pnl))), 1e-9);
  const byMonth = new Map();
  for (const day of days) {
    const month = new Date(day.day_ms).toISOString().slice(0, 7);
    byMonth.set(month, [...(byMonth.get(month) ?? []), day]);
  }
  return [...byMonth].reverse().slice(0, MONTHS_SHOWN).map(([month, own]) => monthOf(month, own, most));
}

const MONTHS_SHOWN = 24;
const WEEKDAYS = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];

function monthOf(month, own, most) {
  const first = Date.parse(`${month}-01T00:00:00Z`);
  const next = new Date(first);
  next.setUTCMonth(next.getUTCMonth() + 1);
  const count = Math.round((next.getTime() - first) / DAY_MS);
  const byDay = new Map(own.map((day) => [day.day_ms, day]));
  const blanks = Array.from({ length: (new Date(first).getUTCDay() + 6) % 7 }, () => el("span", { class: "day none", "aria-hidden": "true" }));
  const cells = Array.from({ length: count }, (_, index) => dayOf(index + 1, byDay.get(first + index * DAY_MS), most));
  const total = own.reduce((sum, day) => sum + Number(day.net_pnl), 0);
  const words = own.map((day) => `${new Date(day.day_ms).toISOString().slice(0, 10)} ${money(day.net_pnl)}`).join(", ");
  return el("figure", { class: "month" }, el("figcaption", {}, month, " ", signed(total)), el("div", { class: "days", role: "img", "aria-label": `Net of each day of ${month}: ${words}` },
    WEEKDAYS.map((name) => el("span", { class: "weekday" }, name)), blanks, cells));
}

function dayOf(number, day, most) {
  const node = el("span", { class: day ? `day ${Number(day.net_pnl) >= 0 ? "won" : "lost"}` : "day" }, el("b", {}, String(number)), day ? el("em", {}, money(day.net_pnl)) : null);
  if (day) {
    node.style.setProperty("--share", String(Math.round(15 + (45 * Math.abs(Number(day.net_pnl))) / most)));
    node.title = `${new Date(day.day_ms).toISOString().slice(0, 10)}: ${money(day.net_pnl)} USDT`;
  }
  return node;
}

function distribution(buckets) {
  if (buckets.length === 0) return el("p", { class: "quiet" }, "With the first closed trades: how many lost their whole risk, and how many won several times of it.");
  const most = Math.max(...buckets.map((bucket) => bucket.trades), 1);
  const name = ({ from_r: from, to_r: to }) => (from === null ? `under ${Number(to).toFixed(1)} R` : to === null ? `${Number(from).toFixed(1)} R and more` : `${Number(from).toFixed(1)} to ${Number(to).toFixed(1)} R`);
  return el("div", { class: "bars" }, buckets.flatMap((bucket) => [el("span", {}, name(bucket)),
    part(bucket.trades / most, `${name(bucket)}: ${bucket.trades}`, bucket.to_r !== null && Number(bucket.to_r) <= 0 ? "lost" : "won"), el("span", { class: "num" }, String(bucket.trades))]));
}

const STANDINGS = { HOLDS: "does what it promised", DRIFTED: "DRIFTED", TOO_FEW_LIVE: "too few live trades yet", TOO_FEW_PROMISED: "too few trades in the backtest", NOT_PROMISED: "not in the backtest" };

function drift({ at_ms: at, drift: strategies, compared }) {
  if (!strategies) {
    return el("p", { class: "quiet" }, "A running bot asks once a day whether each strategy still does what its kept backtest promised (",
      el("code", {}, "fsm backtest --name NAME"), " keeps one); ", el("code", {}, "fsm drift"), " asks at any time.");
  }
  const mean = (value) => (value === null ? "–" : signed(value, 2, " R"));
  const rows = [["Strategy", (row) => row.strategy], ["Standing", (row) => el("span", { class: row.standing === "DRIFTED" ? "loss" : "" }, STANDINGS[row.standing] ?? words(row.standing))],
    ["Live trades", (row) => String(row.live_trades), "num"], ["Mean live", (row) => mean(row.live_mean_r), "num"], ["Mean promised", (row) => mean(row.promised_mean_r), "num"], ["In words", (row) => row.words, "words"]];
  return [table(`As of ${when(at)} UTC`, rows, strategies, "No strategy has traded."),
    compared ? el("p", {}, compared.differences.length === 0 ? `Every trade since ${when(compared.from_ms)} UTC is as in a backtest of the bot's own candles, rules and settings.`
      : `${compared.differences.length} ${compared.differences.length === 1 ? "trade" : "trades"} since ${when(compared.from_ms)} UTC not as in a backtest: ${compared.differences.slice(-3).map((each) => `${each.symbol} ${when(each.signal_candle_ms)} (${each.told})`).join("; ")}.`) : null];
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
    ? `${total.trades} ${total.trades === 1 ? "trade" : "trades"} filled. Fees ${money(total.fees)} USDT, ${(total.fee_pct ?? 0).toFixed(4)} % of turnover`
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
