// The list of trades, a page at a time, and everything about the one that was chosen.

const ROWS_A_PAGE = 50, ROWS_ON_A_PHONE = 20;
const SORTS = {
  "newest first": (a, b) => b.opened_ms - a.opened_ms,
  "oldest first": (a, b) => a.opened_ms - b.opened_ms,
  "best R": (a, b) => Number(b.r) - Number(a.r),
  "worst R": (a, b) => Number(a.r) - Number(b.r),
  "longest": (a, b) => (b.closed_ms - b.fill_ms) - (a.closed_ms - a.fill_ms),
};
const COLUMNS = [
  ["trade", ""], ["opened (UTC)", ""], ["closed", ""], ["side", ""], ["strategy", ""], ["quantity", "num"], ["entry", "num"],
  ["exit", "num"], ["net USDT", "num"], ["R", "num"], ["MAE", "num"], ["MFE", "num"], ["held", "num"], ["end", ""],
];
const list = { page: 0, rows: [] };

function startTrades(facts) {
  const all = (values) => [["", "all"], ...[...new Set(values)].sort().map((value) => [value, value])];
  const again = () => { list.page = 0; drawTrades(facts); };
  options(byId("filter-symbol"), all(facts.trades.map(({ symbol }) => symbol)), again);
  options(byId("filter-strategy"), all(facts.trades.map(({ strategy }) => strategy)), again);
  options(byId("filter-side"), all(facts.trades.map(({ side }) => side)), again);
  options(byId("filter-result"), [["", "all"], ["won", "won"], ["lost", "lost"]], again);
  options(byId("sort-by"), Object.keys(SORTS).map((name) => [name, name]), again);
  const turn = (id, to) => byId(id).addEventListener("click", () => { list.page = to(); drawTrades(facts); });
  turn("page-first", () => 0);
  turn("page-before", () => list.page - 1);
  turn("page-after", () => list.page + 1);
  turn("page-last", () => pages() - 1);
  drawTrades(facts);
}

const rowsAPage = () => (matchMedia("(max-width: 640px)").matches ? ROWS_ON_A_PHONE : ROWS_A_PAGE);
const pages = () => Math.max(1, Math.ceil(list.rows.length / rowsAPage()));

function drawTrades(facts) {
  const [symbol, strategy, side, result] = ["symbol", "strategy", "side", "result"].map((name) => byId(`filter-${name}`).value);
  list.rows = facts.trades.filter((trade) => (!symbol || trade.symbol === symbol) && (!strategy || trade.strategy === strategy)
    && (!side || trade.side === side) && (!result || (Number(trade.net) > 0) === (result === "won"))).sort(SORTS[byId("sort-by").value]);
  list.page = Math.min(Math.max(list.page, 0), pages() - 1);
  const first = list.page * rowsAPage(), shown = list.rows.slice(first, first + rowsAPage());
  const head = element("thead", {}, element("tr", {}, ...COLUMNS.map(([name, kind]) => element("th", { scope: "col", class: kind || null }, name))));
  const body = element("tbody", {}, ...shown.map((trade) => rowOf(facts, trade)));
  byId("trade-list").replaceChildren(element("table", {}, element("caption", {}, "Choose a trade to see its candles"), head, body));
  byId("trade-list").scrollTop = 0;
  const net = list.rows.reduce((sum, trade) => sum + Number(trade.net), 0);
  byId("trades-words").textContent = `${list.rows.length.toLocaleString("en-US")} of ${facts.trades.length.toLocaleString("en-US")} trades, net ${money(net)} USDT.`;
  byId("page-number").textContent = `Page ${list.page + 1} of ${pages()}`;
  for (const id of ["page-first", "page-before"]) byId(id).disabled = list.page === 0;
  for (const id of ["page-after", "page-last"]) byId(id).disabled = list.page >= pages() - 1;
}

function rowOf(facts, trade) {
  const choose = element("button", { type: "button", class: "linklike", onclick: () => chooseTrade(facts, trade) }, trade.id);
  const cells = [
    choose, when(trade.opened_ms), when(trade.closed_ms), trade.side, trade.strategy, trade.quantity, price(trade.entry), price(trade.exit),
    coloured(money(trade.net), trade.net), coloured(trade.r === null ? "–" : Number(trade.r).toFixed(3), trade.r),
    trade.mae === null ? "–" : trade.mae.toFixed(2), trade.mfe === null ? "–" : trade.mfe.toFixed(2), held(trade), endOf(trade),
  ];
  return element("tr", { "data-trade": trade.id, "aria-current": view.trade === trade ? "true" : null },
    ...cells.map((cell, index) => element("td", { class: COLUMNS[index][1] || null, "data-title": COLUMNS[index][0] }, cell)));
}

const endOf = (trade) => [trade.reason, trade.flagged].filter(Boolean).join(", ").toLowerCase().replaceAll("_", " ");

function chooseTrade(facts, trade) {
  showTrade(facts, trade);
  drawTrades(facts);
  byId("candles").scrollIntoView({ block: "start" });
  byId("candles-title").setAttribute("tabindex", "-1");
  byId("candles-title").focus({ preventScroll: true });
}

// The one before or after it: of the same symbol while a whole run is shown, else in the order of the list.
function neighbour(facts, step) {
  const rows = list.rows.length ? list.rows : facts.trades;
  const ordered = [...rows].sort(SORTS["oldest first"]);
  const own = view.trade ? ordered : ordered.filter(({ symbol }) => symbol === view.symbol);
  if (own.length === 0) return;
  const at = own.indexOf(view.trade);
  showTrade(facts, own[at < 0 ? (step > 0 ? 0 : own.length - 1) : (at + step + own.length) % own.length]);
  drawTrades(facts);
}

function tradeDetail(trade) {
  if (!trade) { byId("trade-detail").replaceChildren(); return; }
  const pairs = [
    ["Signal candle (UTC)", when(trade.signal_ms)], ["Opened", when(trade.opened_ms)], ["First fill", when(trade.fill_ms)], ["Closed", when(trade.closed_ms)],
    ["Held", held(trade)], ["Quantity", trade.quantity], ["Entry", trade.entry ?? "–"], ["Exit", trade.exit ?? "–"], ["First stop", trade.stop],
    ["At risk, USDT", trade.risk], ["Before costs, USDT", trade.pnl], ["Fees, USDT", trade.fees], ["Funding, USDT", trade.funding],
    ["Net, USDT", trade.net ?? "–"], ["R", trade.r ?? "–"], ["MAE, R", trade.mae ?? "–"], ["MFE, R", trade.mfe ?? "–"], ["End", endOf(trade)],
  ];
  const rows = [
    ...trade.fills.map(([at, side, price, quantity, fee]) => [at, `filled: ${side.toLowerCase()} ${quantity} at ${price}, fee ${fee}`]),
    ...trade.stops.map(([at, price], index) => [at, `${index ? "stop moved to" : "stop at"} ${price}`]),
    ...trade.targets.map(([at, price]) => [at, `target at ${price}`]),
  ].sort(([a], [b]) => a - b);
  byId("trade-detail").replaceChildren(element("div", { class: "trade" },
    element("dl", {}, ...pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value))))),
    element("details", {}, element("summary", {}, "Orders and fills"),
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Orders and fills" }, element("table", {}, element("tbody", {},
        ...rows.map(([at, text]) => element("tr", {}, element("td", {}, when(at)), element("td", {}, text)))))))));
}
