// Draws the machine from the table the daemon left, with every symbol in the state it is in.

import { byId, el, fill, when } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, BOX_W, BOX_H] = [620, 330, 132, 56];
// Where each state stands; a state that is not known here is put into a row below.
const PLACES = {
  IDLE: [20, 130], SIGNALLED: [165, 30], ENTERING: [325, 30], PROTECTED: [468, 130], EXITING: [325, 236],
  HALT: [20, 250], FLATTEN: [245, 130],
};
const GUARDS = new Set(["FLATTEN", "HALT"]);

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
  return `M${ax + dx * reach} ${ay + dy * reach} Q${mx} ${my} ${bx - dx * reach} ${by - dy * reach}`;
}

function destinations(cells, state) {
  const found = new Map();
  for (const [trigger, cell] of Object.entries(cells[state] ?? {})) {
    const to = cell === "flat_home" ? ["IDLE", "HALT"] : cells[cell] ? [cell] : [];
    for (const dest of to) if (dest !== state) found.set(dest, [...(found.get(dest) ?? []), trigger]);
  }
  return found;
}

export function drawMachine({ table, symbols }) {
  const cells = table?.table ?? {};
  const states = table?.states?.length ? table.states : Object.keys(PLACES);
  const place = (state) => PLACES[state] ?? [20 + 145 * (states.indexOf(state) % 4), HEIGHT - BOX_H];
  const ways = states.flatMap((state) => [...destinations(cells, state)].map(([dest, triggers]) =>
    svg("path", { d: way(place(state), place(dest)), "marker-end": "url(#arrow)" },
      svg("title", {}, `${state} to ${dest}: ${triggers.join(", ")}`))));
  const boxes = states.map((state) => box(state, place(state), symbols.filter((symbol) => symbol.state === state)));
  const arrow = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
    svg("path", { d: "M0 0 8 4 0 8z" }));
  fill(byId("machine"), svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "State of each symbol on the machine; the list below says the same" },
    svg("defs", {}, arrow), ...ways, ...boxes));
  fill(byId("machine-words"), symbols.map(words), symbols.length ? null : el("li", { class: "quiet" }, "No symbol has moved yet."),
    table ? null : el("li", { class: "quiet" }, "The bot has not stored its table: ways between states are not drawn."));
}

function box(state, [x, y], held) {
  const names = held.map((symbol) => symbol.symbol.replace(/USDT$/, "")).join(" ");
  const kind = `state${held.length ? " held" : ""}${GUARDS.has(state) ? " guard" : ""}`;
  return svg("g", { class: kind },
    svg("rect", { x, y, width: BOX_W, height: BOX_H, rx: 9 }),
    svg("text", { x: x + BOX_W / 2, y: y + 23 }, state),
    svg("text", { x: x + BOX_W / 2, y: y + 42, class: "who" }, names.length > 20 ? `${names.slice(0, 19)}…` : names));
}

function words(symbol) {
  const marks = [];
  if (symbol.halt) marks.push(`halted (${symbol.halt.cause}) since ${when(symbol.halt.since_ms)}`);
  if (symbol.quarantine) marks.push(`in quarantine (${symbol.quarantine.cause}) since ${when(symbol.quarantine.since_ms)}`);
  if (symbol.paused) marks.push("paused");
  return el("li", {}, el("strong", {}, symbol.symbol), ` ${symbol.state} since ${when(symbol.at_ms)}`,
    marks.length ? el("span", { class: "loss" }, `; ${marks.join("; ")}`) : null);
}
