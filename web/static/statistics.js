// Closed trades by everything that they can be told apart by.

import { get } from "./api.js";
import { byId, el, fill, money, signed, table, words } from "./dom.js";
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
