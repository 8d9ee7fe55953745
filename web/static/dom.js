// Builds elements and words. Text is always set as text: nothing that was stored can become markup.

export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export const byId = (id) => document.getElementById(id);

export function fill(target, ...children) {
  target.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

const LONG = 40; // rows from which a table fills its place in any case, so that it is laid out only where it comes into view

// Columns: [title, (row) => text or node, class]. The place that scrolls can be reached by keyboard. Roles are said
// outright because on a phone each row is shown as a card, and a browser would no longer call that a table.
export function table(caption, columns, rows, empty) {
  if (rows.length === 0) return el("p", { class: "quiet" }, empty);
  const head = columns.map(([title, , kind]) => el("th", { scope: "col", role: "columnheader", class: kind ?? "" }, title));
  const body = rows.map((row) => el("tr", { role: "row", class: row.fresh ? "fresh" : "" }, columns.map(([title, cell, kind]) =>
    el("td", { role: "cell", class: kind ?? "", "data-title": title }, cell(row) ?? "–"))));
  return el("div", { class: rows.length > LONG ? "scroll long" : "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { role: "table" }, el("caption", {}, caption), el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head)),
      el("tbody", { role: "rowgroup" }, body)));
}

// A bar of which a share from 0 to 1 is filled.
export function part(share, words, kind = "") {
  const inner = el("i", {});
  inner.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return el("div", { class: `part ${kind}`, role: "img", "aria-label": words }, inner);
}

// A formatter is made once for each kind: a page with hundreds of rows asks thousands of times.
const formatters = new Map();
function formatted(value, options) {
  const key = JSON.stringify(options);
  if (!formatters.has(key)) formatters.set(key, new Intl.NumberFormat("en-US", options));
  return formatters.get(key).format(value);
}

// What rounds to nothing has no sign.
export function money(text, digits = 2, signDisplay = "negative") {
  if (text === null || text === undefined) return "–";
  return formatted(Number(text), { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay });
}

const SIGNIFICANT = 8;
export const decimals = (text) => String(text).split(".")[1]?.length ?? 0;

// A price or quantity as the exchange knows it; averages are cut to what can be read. ``like``: a price of the same symbol
// as it was sent, which has the digits of its tick; a price has at least those.
export function price(text, like = null) {
  if (text === null || text === undefined) return "–";
  const value = Number(text);
  if (like === null) return formatted(value, { maximumSignificantDigits: SIGNIFICANT });
  const most = Math.max(0, SIGNIFICANT - Math.max(1, Math.floor(Math.log10(Math.abs(value) || 1)) + 1));
  const least = Math.min(most, decimals(like));
  return formatted(value, { minimumFractionDigits: least, maximumFractionDigits: most });
}

// A price that the exchange calculates, which no order could have: to the tick.
export const onTick = (text, like) => price(text === null || like === null ? text : Number(text).toFixed(decimals(like)), like);

export function signed(text, digits = 2, unit = "") {
  if (text === null || text === undefined) return "–";
  const value = Number(text);
  const words = `${money(value, digits, "exceptZero")}${unit}`;
  return el("span", { class: value > 0 ? "gain" : value < 0 ? "loss" : "" }, words);
}

export function when(ms) {
  if (!ms) return "–";
  return new Date(ms).toISOString().replace("T", " ").slice(0, 16);
}

const TENTHS_MS = 10_000;

export function lasting(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < TENTHS_MS) return `${Number((ms / 1000).toFixed(1))} s`;
  const s = Math.round(ms / 1000);
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

// A code of the journal as a person would say it.
export const words = (code) => (code ? code.toLowerCase().replaceAll("_", " ") : "–");

// What an order is there for.
export const purpose = (code) => words(code.replace(/^Place/, "").replace(/Position$/, ""));

let spoken = "";
export function announce(text) {
  if (text !== spoken) byId("announcer").textContent = spoken = text;
}
