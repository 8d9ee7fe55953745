// What the operator wants of one open position: the fields of each wish, its body, and the line that confirms it.

import { byId, el, fill } from "./dom.js";

export const MEANING_OF_WISHES = {
  reduce: "Closes so much of the position at market. The rest keeps its stop, and targets for a part become smaller with it.",
  "move-stop": "The new stop rests before the old one goes. Away from safety it takes the mark below and a reason, and stays within every cap.",
  "move-target": "The old target goes, then the new one is placed; the stop covers meanwhile.",
  release: "The position is yours from then on: entry and targets are cancelled, its stop stays. The bot does nothing there until it is flat.",
};

const FIELDS = {
  reduce: [["amount", "How much: a share as in 25%, or a quantity"]],
  "move-stop": [["price", "New price of the stop"], ["looser", "It may be further from safety", "checkbox"], ["reason", "Why it is looser"]],
  "move-target": [["price", "New price of the target"], ["target", "Its number, where several rest"]],
  release: [["cancel_stop", "Cancel its stop too", "checkbox"]],
};
const NOT_TYPED = ["reason"]; // sent, but nobody has to type it twice

const input = (name) => byId(`wish-${name}`);
const valueOf = (name) => (input(name).type === "checkbox" ? input(name).checked : input(name).value.trim());

export const isWish = (kind) => kind in FIELDS;

export function showFields(kind, changed) {
  const rows = (FIELDS[kind] ?? []).map(([name, label, type = "text"]) => {
    const field = el("input", { id: `wish-${name}`, type, autocomplete: "off", spellcheck: false, oninput: changed });
    const words = el("label", { for: `wish-${name}` }, label);
    return el("p", { class: "wish" }, type === "checkbox" ? [field, " ", words] : [words, field]);
  });
  fill(byId("confirm-fields"), rows);
}

// As on the command line, without the reason.
export function lineOf(kind, symbol) {
  const given = FIELDS[kind].filter(([name]) => !NOT_TYPED.includes(name)).map(([name]) => {
    const value = valueOf(name);
    return value === true ? name.replace("_", "-") : value || "";
  });
  return [kind, symbol, ...given].filter(Boolean).join(" ");
}

export function bodyOf(kind, symbol) {
  const given = FIELDS[kind].map(([name]) => [name, name === "target" && valueOf(name) ? Number(valueOf(name)) : valueOf(name)]);
  return Object.fromEntries([["symbol", symbol], ...given.filter(([, value]) => value !== "" && value !== false)]);
}
