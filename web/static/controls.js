// The operator's commands: nothing is sent before its name was typed, and what became of it is shown.

import { get, post, session } from "./api.js";
import { announce, byId } from "./dom.js";
import { bodyOf, isWish, lineOf, MEANING_OF_WISHES, showFields } from "./wishes.js";

const MEANING = {
  pause: "No new entries. Open positions stay managed and protected.",
  resume: "Clears pause, halt and quarantine, unless their cause still lasts.",
  halt: "No new entries until somebody resumes. Open positions stay managed; the symbol is in HALT when flat.",
  ack: "Acknowledges every critical message so far: nobody else is woken for them.",
  "full-size": "Ends small steps: the next trades are of their full size.",
  ...MEANING_OF_WISHES,
  flatten: "Halts, then closes the open position at market, whatever the price.",
};
const OF_THE_ACCOUNT = ["ack", "full-size"];
const ASK_MS = 700;
const ASK_TIMES = 40;
let wanted = null;

export function prepareControls(refresh) {
  for (const button of document.querySelectorAll("[data-command]")) button.addEventListener("click", () => open(button.dataset.command));
  byId("confirm-text").addEventListener("input", judge);
  byId("confirm-cancel").addEventListener("click", () => byId("confirm").close());
  byId("confirm-form").addEventListener("submit", (event) => { event.preventDefault(); send(refresh); });
}

export function showControls() {
  for (const button of document.querySelectorAll("[data-command]")) button.disabled = !session.may_act;
  byId("controls-note").textContent = session.may_act ? "Each command is confirmed by typing it."
    : session.token_set ? "Log in to act." : "Without a DASHBOARD_TOKEN nothing can be changed here; use the command line.";
}

function open(kind) {
  const ofAll = OF_THE_ACCOUNT.includes(kind);
  const symbol = ofAll ? "" : byId("control-symbol").value;
  if (isWish(kind) && !symbol) {
    byId("controls-note").textContent = `Choose first for which symbol: ${kind} is about one open position.`;
    announce(byId("controls-note").textContent);
    byId("control-symbol").focus();
    return;
  }
  wanted = { kind, symbol, text: ofAll ? kind : `${kind} ${symbol || "all"}` };
  showFields(kind, state);
  byId("confirm-title").textContent = ofAll ? kind : `${kind} ${symbol || "all symbols"}`;
  byId("confirm-meaning").textContent = `${byId("environment").textContent}: ${MEANING[kind]}`;
  byId("confirm-text").value = "";
  byId("confirm-problem").textContent = "";
  state();
  byId("confirm").showModal();
  (byId("confirm-fields").querySelector("input") ?? byId("confirm-text")).focus();
}

// What is to be typed follows the fields.
function state() {
  if (wanted && isWish(wanted.kind)) wanted.text = lineOf(wanted.kind, wanted.symbol);
  byId("confirm-wanted").textContent = wanted.text;
  judge();
}

function judge() {
  byId("confirm-go").disabled = byId("confirm-text").value.trim() !== wanted.text;
}

async function send(refresh) {
  if (byId("confirm-text").value.trim() !== wanted.text) return;
  const body = isWish(wanted.kind) ? bodyOf(wanted.kind, wanted.symbol) : wanted.symbol ? { symbol: wanted.symbol } : {};
  try {
    const accepted = await post(`/api/bot/${wanted.kind}`, body);
    byId("confirm").close();
    byId("controls-note").textContent = accepted.note;
    announce(accepted.note);
    refresh();
    if (accepted.daemon_running) await follow(accepted, refresh);
  } catch (error) {
    byId("confirm-problem").textContent = error.guard ? `Refused by ${error.guard}: ${error.message}` : error.message;
  }
}

async function follow(accepted, refresh) {
  for (let asked = 0; asked < ASK_TIMES; asked += 1) {
    const command = await get(accepted.url);
    if (command.state === "done" || command.state === "refused") {
      const words = `${OF_THE_ACCOUNT.includes(command.kind) ? command.kind : `${command.kind} ${command.symbol ?? "all symbols"}`}: ${command.state}${command.guard ? ` by ${command.guard}` : ""}${command.detail ? `. ${command.detail}` : ""}`;
      byId("controls-note").textContent = words;
      announce(words);
      refresh();
      return;
    }
    await new Promise((resolve) => { setTimeout(resolve, ASK_MS); });
  }
  byId("controls-note").textContent = `Command ${accepted.id} has not been carried out yet: is the bot working?`;
}
