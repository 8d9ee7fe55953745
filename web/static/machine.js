// Draws the machine from the table the daemon left, with every symbol in the state it is in.

import { byId, el, fill, when } from "./dom.js";
import { symbolLink } from "./pages.js";

const SVG = "http://www.w3.org/2000/svg";
const [BOX_W, BOX_H] = [132, 56];
// Where each state stands, on a screen and on a phone; a state that is not known here is put into a row below.
const WIDE = { width: 620, height: 330, places: {
  IDLE: [8, 130], SIGNALLED: [120, 14], ENTERING: [355, 14], PROTECTED: [480, 130], EXITING: [325, 258], HALT: [8, 262], FLATTEN: [245, 136],
} };
const NARROW = { width: 330, height: 470, places: {
  IDLE: [8, 14], SIGNALLED: [190, 14], ENTERING: [190, 136], FLATTEN: [8, 196], PROTECTED: [190, 262], EXITING: [190, 394], HALT: [8, 300],
} };
const narrow = window.matchMedia("(max-width: 640px)");
const GUARDS = new Set(["FLATTEN", "HALT"]);
// The way of a trade that goes as planned; these are named on the picture, all others when pointed at.
const MAIN = new Set(["IDLE SIGNALLED", "SIGNALLED ENTERING", "ENTERING PROTECTED", "PROTECTED EXITING", "EXITING IDLE"]);
const STEPS_SHOWN = 14;
const NAMES_MAX = 18; // letters that have room in a box
let latest = null;
narrow.addEventListener("change", () => { if (latest) drawMachine(...latest); });

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const center = ([x, y]) => [x + BOX_W / 2, y + BOX_H / 2];

// From the edge of one box to the edge of the other, bent a little so that ways there and back differ.
function way(from, to) {
  const [ax, ay] = center(from);
  const [bx, by] = center(to);
  const length = Math.hypot(bx - ax, by - ay) || 1;
  const [dx, dy] = [(bx - ax) / length, (by - ay) / length];
  const reach = Math.min(BOX_W / 2 / Math.max(Math.abs(dx), 0.01), BOX_H / 2 / Math.max(Math.abs(dy), 0.01)) + 3;
  const [mx, my] = [(ax + bx) / 2 - dy * 16, (ay + by) / 2 + dx * 16];
  return { d: `M${ax + dx * reach} ${ay + dy * reach} Q${mx} ${my} ${bx - dx * reach} ${by - dy * reach}`, middle: [mx - dy * 3, my + dx * 3] };
}

function destinations(cells, state) {
  const found = new Map();
  for (const [trigger, cell] of Object.entries(cells[state] ?? {})) {
    const to = cell === "flat_home" ? ["IDLE", "HALT"] : cells[cell] ? [cell] : [];
    for (const dest of to) if (dest !== state) found.set(dest, [...(found.get(dest) ?? []), trigger]);
  }
  return found;
}

export function drawMachine({ table, symbols }, steps) {
  latest = [{ table, symbols }, steps];
  const { width, height, places } = narrow.matches ? NARROW : WIDE;
  const cells = table?.table ?? {};
  const states = table?.states?.length ? table.states : Object.keys(places);
  const place = (state) => places[state] ?? [20 + 145 * (states.indexOf(state) % 4), height - BOX_H];
  const ways = states.flatMap((state) => [...destinations(cells, state)].map(([dest, triggers]) => arrow(place(state), place(dest), state, dest, triggers)))
    .sort((a, b) => a.classList.length - b.classList.length); // the main way lies on top
  const boxes = states.map((state) => box(state, place(state), symbols.filter((symbol) => symbol.state === state)));
  const head = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerUnits: "userSpaceOnUse", markerWidth: 9, markerHeight: 9, orient: "auto" },
    svg("path", { d: "M0 0 8 4 0 8z" }));
  fill(byId("machine"), svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "State of each symbol on the machine; the list below says the same" },
    svg("defs", {}, head), ...ways, ...boxes));
  fill(byId("machine-words"), symbols.map((symbol) => words(symbol, steps.filter((step) => step.symbol === symbol.symbol))),
    symbols.length ? null : el("li", { class: "quiet" }, "No symbol has moved yet."),
    table ? null : el("li", { class: "quiet" }, "The bot has not stored its table: ways between states are not drawn."));
}

function arrow(from, to, state, dest, triggers) {
  const { d, middle } = way(from, to);
  const main = MAIN.has(`${state} ${dest}`);
  const line = svg("path", { d, "marker-end": "url(#arrow)" }, svg("title", {}, `${state} to ${dest}: ${triggers.join(", ")}`));
  return svg("g", main ? { class: "main" } : {}, line, ...(main ? [svg("text", { x: middle[0], y: middle[1], class: "trigger" }, triggers[0])] : []));
}

function box(state, [x, y], held) {
  const names = held.map((symbol) => symbol.symbol.replace(/USDT$/, "")).join(" ");
  const kind = `state${held.length ? " held" : ""}${GUARDS.has(state) ? " guard" : ""}`;
  return svg("g", { class: kind },
    svg("rect", { x, y, width: BOX_W, height: BOX_H, rx: 9 }),
    svg("text", { x: x + BOX_W / 2, y: y + 23 }, state),
    svg("text", { x: x + BOX_W / 2, y: y + 42, class: "who" }, names.length > NAMES_MAX ? `${held.length} symbols` : names));
}

// What keeps a symbol from trading as it would.
export function marks(symbol) {
  const found = [];
  if (symbol.halt) found.push(`halted (${symbol.halt.cause}) since ${when(symbol.halt.since_ms)}`);
  if (symbol.quarantine) found.push(`in quarantine (${symbol.quarantine.cause}) since ${when(symbol.quarantine.since_ms)}`);
  if (symbol.paused) found.push("paused");
  if (symbol.listed === false) found.push(`not on the list of symbols, of which the next is due ${when(symbol.list_until_ms)}`);
  return found.length ? el("span", { class: "loss" }, `; ${found.join("; ")}`) : null;
}

function words(symbol, steps) {
  return el("li", { class: "line" }, el("span", {}, el("strong", {}, symbolLink(symbol.symbol)), ` ${symbol.state} `,
    symbol.at_ms === null ? "(no step yet)" : `since ${when(symbol.at_ms)}`,
    symbol.listed ? `, on the list until ${when(symbol.list_until_ms)}` : "", marks(symbol)),
  timeline(symbol.symbol, steps));
}

// The latest steps, oldest left; each takes the same room, whatever time it lasted.
function timeline(name, steps) {
  if (steps.length === 0) return null;
  const shown = steps.slice(0, STEPS_SHOWN).reverse();
  const parts = shown.map((step) => el("i", { "data-state": step.dest, title: `${when(step.at_ms)} ${step.trigger}: ${step.source} → ${step.dest}` }));
  return el("span", { class: "steps", role: "img", "aria-label": `${name}, latest steps: ${shown.map((step) => step.dest).join(", ")}` }, parts);
}
