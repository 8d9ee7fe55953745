// The head of a symbol's page: its state, and what keeps it from trading as it would.

import { get } from "./api.js";
import { byId, el, fill, when } from "./dom.js";
import { marks } from "./machine.js";
import { nothingHere, ofSymbol } from "./pages.js";

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
