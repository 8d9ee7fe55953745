// A trade's page: the plan against what happened, costs, orders and fills, its candles, and its steps with their hashes.

import { get } from "./api.js";
import { drawCandles } from "./candles.js";
import { chartIn, seconds } from "./charts.js";
import { byId, el, fill, lasting, money, price, purpose, signed, table, when, words } from "./dom.js";
import { nothingHere, page, symbolLink } from "./pages.js";
import { conditionTree } from "./reasons.js";

const HOUR_MS = 3_600_000;
const TIMEFRAMES_MS = { "1h": HOUR_MS, "4h": 4 * HOUR_MS, "1d": 24 * HOUR_MS };
const [BEFORE, AFTER] = [60, 30]; // candles around a trade
const CANDLES_MAX = 1500;
let shown = null;

export async function drawTrade() {
  try {
    shown = await get(`/api/trades/${encodeURIComponent(page.of)}`);
  } catch (error) {
    if (error.status !== 404 && error.status !== 422) throw error;
    nothingHere(`There is no trade ${page.of} in this database.`);
    return;
  }
  const { trade } = shown;
  fill(byId("page-words"), head(trade));
  fill(byId("plan"), table("Amounts in USDT", COLUMNS.plan, plan(shown), ""));
  fill(byId("costs"), table("What made the result: below zero it cost", COLUMNS.costs, costs(shown), ""));
  fill(byId("trade-orders"), table("Orders, oldest first", COLUMNS.orders, shown.orders, "No order has been placed."));
  fill(byId("trade-fills"), table("Fills, oldest first", COLUMNS.fills, shown.fills, "Nothing has been filled."));
  fill(byId("trade-verdict"), verdict(shown));
  drawCourse(shown);
  drawEntryReasons(trade);
  fill(byId("trade-steps"), table("Steps of the machine, oldest first", COLUMNS.steps, shown.steps, "No step is stored."));
}

function head(trade) {
  const ended = trade.status === "CLOSED" ? `closed ${when(trade.closed_ms)} UTC by ${words(trade.exit_reason)}` : words(trade.status);
  return el("p", {}, symbolLink(trade.symbol), " ", el("span", { class: `badge ${trade.side === "LONG" ? "gain" : "loss"}` }, trade.side), " ",
    el("strong", {}, signed(trade.net_pnl, 2, " USDT"), " ", signed(trade.r, 2, " R")),
    ` · ${trade.strategy_used} in ${trade.regime_at_entry} · opened ${when(trade.opened_ms)} UTC, ${ended}. `,
    el("a", { class: "to-candle", href: `/symbols/${encodeURIComponent(trade.symbol)}?at=${trade.signal_candle_ms}` }, "Its signal's candle"), " · ",
    el("a", { href: `/audit?trade=${encodeURIComponent(trade.id)}` }, "its steps in the audit"));
}

const moved = (effect) => (effect ? [signed(effect.usdt), " USDT, ", signed(effect.r, 2, " R")] : null);

const COLUMNS = {
  plan: [["", (row) => row[0]], ["Planned", (row) => row[1], "num"], ["Happened", (row) => row[2], "num"], ["Difference", (row) => el("span", {}, row[3] ?? "–"), "num"]],
  costs: [["", (row) => row[0]], ["USDT", (row) => signed(row[1].usdt), "num"], ["R", (row) => signed(row[1].r), "num"]],
  orders: [
    ["Placed", (row) => when(row.created_ms)], ["Purpose", (row) => purpose(row.purpose)], ["Type", (row) => words(row.type)],
    ["Side", (row) => row.side], ["Quantity", (row) => (row.close_position ? "whole position" : price(row.quantity)), "num"],
    ["Price", (row) => price(row.trigger_price ?? row.price, row.trigger_price ?? row.price), "num"], ["Status", (row) => words(row.status)],
    ["Filled", (row) => price(row.executed_quantity), "num"], ["Average", (row) => price(row.average_price), "num"], ["Client id", (row) => row.client_order_id],
  ],
  fills: [
    ["Time", (row) => when(row.at_ms)], ["Side", (row) => row.side], ["Price", (row) => price(row.price), "num"], ["Quantity", (row) => price(row.quantity), "num"],
    ["Realised", (row) => signed(row.realized_pnl), "num"], ["Fee", (row) => `${money(row.commission, 4)} ${row.commission_asset}`, "num"],
    ["Role", (row) => (row.maker ? "maker" : "taker")], ["Number", (row) => String(row.fill_id), "num"],
  ],
  steps: [
    ["Time", (row) => when(row.at_ms)], ["Step", (row) => `${row.source} → ${row.dest}`], ["Trigger", (row) => row.trigger],
    ["Explanation", (row) => row.explanation, "words"], ["Row", (row) => String(row.id), "num"], ["Hash", (row) => el("code", { title: `after ${row.prev_hash}` }, row.hash), "hash"],
  ],
};

function plan({ trade, orders, entry_slippage: slippage }) {
  const of = (what) => orders.filter((order) => order.purpose === what && order.trigger_price !== null);
  const stop = of("PlaceStop").at(-1);
  const filled = Number(trade.open_quantity) + Number(trade.closed_quantity);
  const waited = trade.protected_ms !== null && trade.first_fill_ms !== null ? trade.protected_ms - trade.first_fill_ms : null;
  return [
    ["Entry", price(trade.entry_price_planned, trade.stop_price_initial), price(trade.entry_price, trade.stop_price_initial), moved(slippage)],
    ["Quantity", price(trade.quantity), price(filled)],
    ["First stop, and the last", price(trade.stop_price_initial, trade.stop_price_initial), price(stop?.trigger_price, trade.stop_price_initial)],
    ["Exit", "–", price(trade.exit_price, trade.stop_price_initial)],
    ["Risk, and the result", money(trade.risk_usdt), signed(trade.net_pnl), trade.r === null ? null : signed(trade.r, 2, " R")],
    ["Signal's candle, and first fill", when(trade.signal_candle_ms), when(trade.first_fill_ms)],
    ["Stop confirmed after the fill", "–", lasting(waited)],
    ...of("PlaceTarget").map((order, index) => [`Target ${index + 1}`, price(order.trigger_price, order.trigger_price), Number(order.executed_quantity) > 0 ? `${price(order.executed_quantity)} filled` : words(order.status)]),
  ];
}

// What the bot's own daily comparison with a backtest of its candles, rules and settings said of this trade.
function verdict({ compared, trade }) {
  if (compared) return el("p", {}, el("strong", {}, "Compared with a backtest: "), compared.words, compared.same ? "" : el("span", { class: "quiet" }, ` (${words(compared.source)})`));
  const later = trade.status === "CLOSED" ? "This trade has not been compared with a backtest yet" : "A trade is compared with a backtest once it has ended";
  return el("p", { class: "quiet" }, `${later}: a running bot does it once a day, and `, el("code", {}, "fsm compare --live"), " at any time.");
}

let courseChart = null, courseLine = null;

function drawCourse({ course, worst_r: worst, best_r: best, timeframe }) {
  const said = byId("course-words");
  byId("course-chart").hidden = course.length === 0;
  if (course.length === 0) { said.textContent = "Nothing has been filled: there is no result to follow."; return; }
  if (!courseChart) {
    courseChart = chartIn(byId("course-chart"));
    courseLine = courseChart.addBaselineSeries({
      baseValue: { type: "price", price: 0 }, lineWidth: 2, priceLineVisible: false, topLineColor: "#1f9d63", bottomLineColor: "#d64550",
      topFillColor1: "rgba(31,157,99,.35)", topFillColor2: "rgba(31,157,99,.05)", bottomFillColor1: "rgba(214,69,80,.05)", bottomFillColor2: "rgba(214,69,80,.35)",
      priceFormat: { type: "custom", formatter: (value) => `${value.toFixed(2)} R` },
    });
    courseLine.createPriceLine({ price: -1, color: "#d64550", lineStyle: 2, lineWidth: 1, title: "first risk" });
  }
  const bySecond = new Map(course.map((point) => [seconds(point.at_ms), point.r]));
  courseLine.setData([...bySecond].sort(([a], [b]) => a - b).map(([time, value]) => ({ time, value })));
  courseChart.timeScale().fitContent();
  fill(said, "Before fees, at each close of ", timeframe, `: at worst ${worst.toFixed(2)} R, at best ${best.toFixed(2)} R (also within candles), `, "at last ", signed(course.at(-1).r, 2, " R"), ".");
}

async function drawEntryReasons(trade) {
  try {
    const found = await get(`/api/why/${encodeURIComponent(trade.symbol)}`, { at: trade.signal_candle_ms });
    const told = found.at_candle_ms === trade.signal_candle_ms && found.trees.length > 0;
    const own = found.trees.filter(({ scope }) => scope.startsWith(trade.side) || scope === `${trade.regime_at_entry} enter` || scope === `${trade.regime_at_entry} stay`);
    fill(byId("entry-reasons"), told
      ? [el("p", {}, `Candle of ${when(found.at_candle_ms)} UTC: ${found.summary}`), conditionTree(own.length ? own : found.trees)]
      : el("p", { class: "quiet" }, "The decision behind this entry is not stored, or its rules cannot be read."));
  } catch (error) {
    fill(byId("entry-reasons"), el("p", { class: "quiet" }, error.message));
  }
}

function costs(found) {
  const rows = [["Before fees", found.before_fees], ["Fees", found.fees], ["Funding", found.funding], ["Net", found.net],
    ["Of it, slippage of the entry", found.entry_slippage]];
  return rows.filter(([, effect]) => effect !== null);
}

export async function drawTradeChart(asOfMs) {
  if (!shown) return;
  const { trade, orders } = shown;
  const timeframe = byId("timeframe").value;
  const candleMs = TIMEFRAMES_MS[timeframe];
  const since = Math.max(0, (trade.first_fill_ms ?? trade.opened_ms) - BEFORE * candleMs);
  const until = (trade.closed_ms ?? asOfMs) + AFTER * candleMs;
  const symbol = encodeURIComponent(trade.symbol);
  const [found, { settlements }] = await Promise.all([get(`/api/candles/${symbol}`, { timeframe, since, until, limit: CANDLES_MAX }), get(`/api/funding/${symbol}`, { since, until })]);
  const targets = orders.filter((order) => order.purpose === "PlaceTarget" && order.trigger_price !== null)
    .map((order) => ({ trigger_price: order.trigger_price, done: Number(order.executed_quantity) > 0 }));
  const stop = orders.findLast((order) => order.purpose === "PlaceStop" && order.trigger_price !== null)?.trigger_price;
  const levels = { side: trade.side, entry: trade.entry_price, stop_price: trade.stop_price_initial, exit_price: trade.exit_price, last_stop: stop === trade.stop_price_initial ? null : stop, r: trade.r, targets };
  drawCandles(trade.symbol, timeframe, found.candles, [trade], levels, { stops: orders.filter((order) => order.purpose === "PlaceStop"), funding: settlements.filter((row) => row.trade_id === trade.id), whole: true });
}
