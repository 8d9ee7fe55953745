// Which page this is: its address says what is shown, and about which symbol or trade. Every page is one file.

import { byId, el, fill } from "./dom.js";

const NAMED = { symbols: "symbol", trades: "trade" };
const TITLES = {
  overview: "Overview", statistics: "Statistics", rules: "Rules", runs: "Runs", audit: "Audit", log: "Log", settings: "Settings",
};

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function read(path) {
  const [first, ...rest] = path.split("/").filter(Boolean);
  if (first in NAMED && rest.length) return { name: NAMED[first], of: decoded(rest.join("/")) };
  return { name: first in TITLES ? first : "overview", of: null };
}

export const page = Object.freeze(read(window.location.pathname));
export const pageTitle = page.of ?? TITLES[page.name];

// The symbol whose page this is, otherwise nothing: a list is then of all.
export const ofSymbol = page.name === "symbol" ? page.of : "";

// Sections carry the pages that they are on; what is not on this one is not asked for either.
export function showPage() {
  document.body.dataset.page = page.name;
  for (const part of document.querySelectorAll("[data-on]")) part.hidden ||= !part.dataset.on.split(" ").includes(page.name);
  for (const link of document.querySelectorAll("#pages a")) {
    if (link.getAttribute("href") === window.location.pathname) link.setAttribute("aria-current", "page");
  }
  byId("page-title").textContent = page.of ?? "";
}

export const symbolLink = (symbol) => (symbol ? el("a", { href: `/symbols/${encodeURIComponent(symbol)}` }, symbol) : "–");

export const tradeLink = (id, words = id) =>
  (id ? el("a", { href: `/trades/${encodeURIComponent(id)}`, "aria-label": `Trade ${id}` }, words) : "–");

// Says in one sentence that there is no such thing, in place of everything that would be about it.
export function nothingHere(words) {
  fill(byId("page-words"), el("p", { class: "warning", role: "alert" }, words, " ", el("a", { href: "/" }, "To the overview")));
  for (const section of document.querySelectorAll("main > section")) section.hidden ||= !section.contains(byId("page-title"));
}
