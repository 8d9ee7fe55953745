// Panels about reasons: regimes with their hysteresis, and why each symbol does or does not trade.

import { get } from "./api.js";
import { byId, el, fill, lasting, part, signed, table, when } from "./dom.js";
import { marks } from "./machine.js";
import { symbolLink } from "./pages.js";

export function drawRegimes({ regimes }, untilMs) {
  fill(byId("regimes"), regimes.length ? regimes.map((regime) => one(regime, untilMs)) : el("p", { class: "quiet" }, "No regime has been told yet."));
}

function one(regime, untilMs) {
  return el("div", { class: "regime" },
    el("p", {}, el("strong", {}, symbolLink(regime.symbol)), " ", el("span", { class: "badge", "data-regime": regime.regime }, regime.regime),
      ` confidence ${regime.confidence.toFixed(2)}, since ${when(regime.since_ms)}`),
    strip(regime, untilMs), margins(regime),
    el("p", { class: "quiet" }, regime.hysteresis || `in this regime for ${regime.candles_in_regime} runs`));
}

// How near the next change is: it needs the confirmations or the confidence, and in either case the dwell.
function margins(regime) {
  if (regime.confirmations === null) return null;
  const rows = [
    ["confirmations", regime.pending_count, regime.confirmations, 0],
    ["or confidence", regime.pending ? regime.candidate_confidence : 0, regime.override_confidence, 2],
    ["and dwell", regime.candles_in_regime, regime.dwell_candles, 0],
  ];
  const cells = rows.map(([name, has, needs, digits]) => {
    const words = `${Math.min(has, needs).toFixed(digits)} of ${needs.toFixed(digits)}`;
    return el("div", {}, `${name} ${words}`, part(needs > 0 ? has / needs : 1, `${name}: ${words}`, has >= needs ? "full" : ""));
  });
  return el("div", { class: "margins" }, cells);
}

function strip(regime, untilMs) {
  const changes = regime.changes.length ? regime.changes : [{ at_ms: regime.since_ms, regime: regime.regime }];
  const parts = changes.map((change, index) => {
    const endMs = changes[index + 1]?.at_ms ?? Math.max(untilMs, change.at_ms + 1);
    const words = `${change.regime} from ${when(change.at_ms)} for ${lasting(endMs - change.at_ms)}`;
    const part = el("i", { "data-regime": change.regime, title: words });
    part.style.flexGrow = String(Math.max(1, (endMs - change.at_ms) / 3_600_000));
    return part;
  });
  const words = `${regime.symbol}: ${changes.slice(-5).map((change) => `${change.regime} from ${when(change.at_ms)}`).join(", ")}`;
  return el("div", { class: "strip", role: "img", "aria-label": words }, parts);
}

export function drawBoard({ symbols }, asOfMs) {
  const columns = [
    ["Symbol", ({ machine }) => symbolLink(machine.symbol)],
    ["State", ({ machine }) => el("span", {}, machine.state, marks(machine))],
    ["Regime", (row) => el("span", {}, el("span", { class: "badge", "data-regime": row.regime ?? "NO_TRADE" }, row.regime ?? "–"),
      row.regime_since_ms ? el("span", { class: "quiet" }, ` ${lasting(Math.max(0, asOfMs - row.regime_since_ms))}`) : null)],
    ["Distance to the next trade", nearest, "distance"],
    ["Last decision", (row) => (row.summary === null ? "–" : el("span", {}, row.summary, el("span", { class: "quiet" }, ` (alike since ${when(row.since_ms)})`))), "words"],
    ["Open", (row) => (row.upnl === null ? "–" : el("span", {}, signed(row.upnl), row.position_r === null ? "" : " ", row.position_r === null ? "" : signed(row.position_r, 2, " R"))), "num"],
    ["Net", (row) => (row.trades ? el("span", {}, signed(row.net_pnl), el("span", { class: "quiet" }, ` in ${row.trades}`)) : "–"), "num"],
    ["Conditions", ({ machine }) => el("button", { type: "button", class: "linklike", "aria-label": `Conditions of ${machine.symbol}`, onclick: () => choose(machine.symbol) }, "show")],
  ];
  fill(byId("why"), table("Open trades first, then the nearest to one; amounts in USDT", columns, symbols, "Symbols come with the first start of the bot."));
}

function nearest({ nearest: near, machine }) {
  if (machine.trade_id) return "in a trade";
  if (!near) return "–";
  const words = near.lacking ? `${near.strategy} ${near.side.toLowerCase()} lacks ${near.lacking} of ${near.groups}: ${near.first}` : `${near.strategy} ${near.side.toLowerCase()} holds`;
  return el("span", {}, part((near.groups - near.lacking) / (near.groups || 1), `${near.groups - near.lacking} of ${near.groups} hold`, near.lacking ? "" : "full"), words);
}

async function choose(symbol) {
  await drawWhy(symbol);
  byId("why-detail").querySelector("h3")?.focus();
}

const NUMBERS = {
  recorded: "", recomputed: " Numbers are calculated again from the stored candles.",
  first: " Numbers are those of the first of these candles: the stored candles do not give them again.",
};
let asked = 0;

// Every condition of one symbol's decision, the present one or the one at a candle, with its numbers.
export async function drawWhy(symbol, at = null) {
  const target = byId("why-detail");
  const turn = asked += 1;
  target.hidden = false;
  try {
    const found = await get(`/api/why/${encodeURIComponent(symbol)}`, { at });
    if (turn !== asked) return;
    const guardColumns = [["Guard", (row) => row.name], ["Passed", (row) => (row.passed ? "yes" : "NO")], ["Found", (row) => row.value], ["Needed", (row) => row.limit]];
    const stretch = found.last_ms > found.candle_ms ? `, alike from ${when(found.candle_ms)} to ${when(found.last_ms)}` : "";
    fill(target, el("h3", { tabindex: "-1" }, `${symbol}: candle of ${when(found.at_candle_ms)}${stretch}`), el("p", {}, el("strong", {}, found.summary)),
      el("p", { class: "quiet" }, `${found.hysteresis}${NUMBERS[found.numbers]}`), found.guards.length ? table("Guards", guardColumns, found.guards, "") : null,
      found.trees.length ? conditionTree(found.trees) : el("p", { class: "quiet" }, "The rules of this decision cannot be read."));
  } catch (error) {
    if (turn === asked) fill(target, el("p", { class: "problem", role: "alert" }, error.message));
  }
}

const SIGNS = { TRUE: ["✔", "holds"], FALSE: ["✖", "does not hold"], UNKNOWN: ["?", "cannot be told"] };

// What must hold, alternatives of which one is enough, and the comparisons inside, each with both numbers.
export function conditionTree(trees) {
  return el("div", { class: "trees" }, trees.map(({ scope, result, nodes }) => el("section", { class: "tree", "data-scope": scope, "aria-label": scope },
    el("h4", {}, sign(result), ` ${scope}`), branches(nodes))));
}

function sign(result) {
  const [mark, words] = SIGNS[result] ?? ["?", String(result)];
  return el("span", { class: "sign", "data-result": result, role: "img", "aria-label": words }, mark);
}

// A condition leads to the line of the rules in which it stands.
const named = ({ id }) => (id === "any of" ? id : el("a", { href: `/rules?find=${encodeURIComponent(id)}` }, id));

const branches = (nodes) => el("ul", {}, nodes.map((node) => el("li", {}, sign(node.result), " ", node.id ? el("strong", {}, named(node)) : null, node.id ? " " : null,
  el("code", {}, node.text), node.numbers ? el("span", { class: "numbers" }, ` ${node.numbers}`) : null,
  node.distance ? el("span", { class: "quiet" }, ` (${node.distance.words})`) : null, node.children.length ? branches(node.children) : null)));
