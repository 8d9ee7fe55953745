// Panels about reasons: regimes with their hysteresis, and why each symbol does or does not trade.

import { get } from "./api.js";
import { byId, el, fill, lasting, part, table, when } from "./dom.js";
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

export function drawBoard({ symbols, closest }) {
  const place = new Map(closest.map((symbol, index) => [symbol, index]));
  const ordered = [...symbols].sort((a, b) => (place.get(a.symbol) ?? Infinity) - (place.get(b.symbol) ?? Infinity) || 0);
  const columns = [
    ["Symbol", (row) => symbolLink(row.symbol)],
    ["Regime", (row) => el("span", { class: "badge", "data-regime": row.regime ?? "NO_TRADE" }, row.regime ?? "–")],
    ["Outcome", (row) => `${row.outcome}: ${row.reason}`],
    ["Nearest", (row) => nearest(row.nearest), "words"],
    ["Why", (row) => row.summary, "words"],
    ["Since", (row) => when(row.candle_ms)],
    ["Candles", (row) => String(row.count), "num"],
    ["Conditions", (row) => el("button", { type: "button", class: "linklike", "aria-label": `Conditions of ${row.symbol}`, onclick: () => choose(row.symbol) }, "show")],
  ];
  fill(byId("why"), table("The present reason of each symbol; choose its conditions for every number", columns, ordered, "Nothing has been decided yet."));
}

function nearest(near) {
  if (!near) return "–";
  const lacks = near.lacking ? `lacks ${near.lacking} of ${near.groups}: ${near.first}` : "holds";
  return `${near.strategy} ${near.side.toLowerCase()} ${lacks}`;
}

// A condition with what stands below it: alternatives, and the comparisons inside.
const branch = (node, scope, depth) => [{ ...node, scope, depth }, ...node.children.flatMap((child) => branch(child, scope, depth + 1))];

async function choose(symbol) {
  await drawWhy(symbol);
  byId("why-detail").querySelector("h3")?.focus();
}

// Every condition of one symbol's present decision, with its numbers.
export async function drawWhy(symbol) {
  const target = byId("why-detail");
  target.hidden = false;
  try {
    const found = await get(`/api/why/${encodeURIComponent(symbol)}`);
    const rows = found.trees.flatMap(({ scope, nodes }) => nodes.flatMap((node) => branch(node, scope, 0)));
    const columns = [
      ["Of", (row) => row.scope], ["Condition", (row) => el("span", { class: `depth-${Math.min(row.depth, 3)}` }, row.id || "·")], ["Asks", (row) => row.text],
      ["Holds", (row) => row.result.toLowerCase()], ["Numbers", (row) => row.numbers, "num"], ["Distance", (row) => row.distance?.words ?? "", "num"],
    ];
    const guards = found.guards.map((guard) => ({ ...guard }));
    const guardColumns = [["Guard", (row) => row.name], ["Passed", (row) => (row.passed ? "yes" : "NO")], ["Found", (row) => row.value], ["Needed", (row) => row.limit]];
    fill(target, el("h3", { tabindex: "-1" }, `${symbol}: candles ${when(found.candle_ms)} to ${when(found.last_ms)}`), el("p", {}, found.summary),
      el("p", { class: "quiet" }, found.hysteresis), guards.length ? table("Guards", guardColumns, guards, "") : null,
      table("Conditions, with their numbers", columns, rows, "The rules of this decision cannot be read."));
  } catch (error) {
    fill(target, el("p", { class: "problem", role: "alert" }, error.message));
  }
}
