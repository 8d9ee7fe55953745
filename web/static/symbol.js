// A symbol's page: its state, what its rules read beside its candles, and why it did or did not trade at each of them.

import { get } from "./api.js";
import { watchCandles } from "./candles.js";
import { byId, el, fill, when } from "./dom.js";
import { marks } from "./machine.js";
import { nothingHere, ofSymbol } from "./pages.js";
import { chooseLines, drawPanes, readersOf } from "./panes.js";
import { drawWhy } from "./reasons.js";

const POINTED_MS = 250; // a candle is asked about once the pointer rests on it
const LENGTHS = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const lengthOf = (timeframe) => Number.parseInt(timeframe, 10) * LENGTHS[timeframe.at(-1)];
let drawn = "";
let chosenMs = null;
let timer = null;

export async function drawSymbol() {
  const { symbols } = await get("/api/machine");
  const found = symbols.find(({ symbol }) => symbol === ofSymbol);
  if (!found) {
    nothingHere(`This bot does not know a symbol ${ofSymbol}.`);
    return;
  }
  fill(byId("page-words"), el("p", {}, el("span", { class: "badge" }, found.state), " ",
    found.at_ms === null ? "no step yet" : `since ${when(found.at_ms)} UTC`, marks(found)));
}

// Read anew when a candle has closed: until then nothing of it changes.
export async function drawSymbolPanes(timeframe, until, candles) {
  const wanted = `${timeframe} ${candles.at(-1)?.time_ms} ${candles.length}`;
  if (wanted === drawn) return;
  try {
    const found = await get(`/api/panes/${encodeURIComponent(ofSymbol)}`, { timeframe, until, limit: Math.max(1, candles.length) });
    drawPanes(found);
    offerReaders(readersOf(found));
    drawn = wanted;
  } catch (error) {
    if (error.status !== 404) throw error;
    fill(byId("panes-legend"), el("p", { class: "quiet" }, "Indicators come with the first decision about this symbol."));
  }
}

function offerReaders(names) {
  const select = byId("lines-of");
  for (const name of names) if (![...select.options].some((option) => option.value === name)) select.append(el("option", { value: name }, name));
}

// Asked at the candle's end, so that a long candle stands for the last decision within it.
const whyAt = (ms) => drawWhy(ofSymbol, ms + lengthOf(byId("timeframe").value) - 1);

export function prepareSymbol() {
  if (!ofSymbol) return;
  const at = Number(new URLSearchParams(window.location.search).get("at"));
  if (at > 0) {
    chosenMs = at;
    byId("why-newest").hidden = false;
  }
  byId("lines-of").addEventListener("change", () => chooseLines(byId("lines-of").value));
  byId("why-newest").addEventListener("click", () => { chosenMs = null; byId("why-newest").hidden = true; drawWhy(ofSymbol); });
  watchCandles((ms) => {
    clearTimeout(timer);
    chosenMs = ms + lengthOf(byId("timeframe").value) - 1;
    byId("why-newest").hidden = false;
    drawChosen();
  }, (ms) => {
    clearTimeout(timer);
    if (ms !== null && chosenMs === null) timer = setTimeout(() => whyAt(ms), POINTED_MS);
  });
}

// The candle that the address names, once there is something to show.
export async function drawChosen() {
  if (chosenMs !== null) await drawWhy(ofSymbol, chosenMs);
}

// Whether the reasons below are those of a candle that somebody has chosen.
export const isCandleChosen = () => chosenMs !== null;
