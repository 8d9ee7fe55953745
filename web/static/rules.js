// The rules: what is in force, every version and what it changed, what became of edits, and an edit of one's own.

import { get, post, session } from "./api.js";
import { completionsAt } from "./completion.js";
import { announce, byId, el, fill, signed, table, when } from "./dom.js";
import "./editor.js";
import { inForce } from "./records.js";

const ASK_MS = 700;
const ASK_TIMES = 60;
let current = null; // what was read last
let based = null; // what the edit under way was made from
let handed = null; // the text that the bot was given last
let language = null; // what completion goes by

export async function drawRules() {
  const [found, { alerts }] = await Promise.all([inForce(byId("rules-words")), get("/api/alerts", { limit: 200 })]);
  if (!found) return;
  current = found;
  fill(byId("rules-words"), `In force since ${when(found.at_ms)} UTC, hash `, el("code", {}, found.rules_hash), ".");
  if (byId("rules-text").dataset.hash !== found.rules_hash) {
    fill(byId("rules-text"), numbered(found.text));
    byId("rules-text").dataset.hash = found.rules_hash;
    showMeant();
  }
  fill(byId("rules-waiting"), found.waiting.map((edit) => el("p", { class: "warning" }, `An edit of ${edit.file} waits since ${when(edit.since_ms)} UTC (${edit.digest}): ${edit.changes.join("; ")}. `,
    "At the terminal, ", el("code", {}, "fsm reload confirm"), " takes it and ", el("code", {}, "fsm reload reject"), " does not.")));
  const before = (hash) => found.versions[found.versions.findIndex((version) => version.hash === hash) + 1]?.hash;
  fill(byId("rules-versions"), table("Every text that was in force, newest first", [
    ["Since", (row) => `${when(row.at_ms)} UTC`], ["Hash", (row) => el("code", {}, row.hash), "hash"],
    ["Changed", (row) => (before(row.hash) ? el("button", { type: "button", class: "linklike", "aria-label": `What ${row.hash.slice(0, 12)} changed`, onclick: () => showDiff(before(row.hash), row.hash) }, "show") : "the first")],
  ], found.versions, ""));
  fill(byId("rules-news"), table("What became of edits, newest first", [["Time", (row) => `${when(row.at_ms)} UTC`], ["What", (row) => row.text, "words"]],
    alerts.filter((alert) => alert.kind === "rules_changed").slice(0, 20), "No edit has been made yet. A saved file is checked, its tests are run, and what came of it will stand here."));
  showEditor();
}

// A line a row, so that a problem's place is found.
const numbered = (text) => text.split("\n").map((line, index) => el("span", { class: "code-line", "data-line": String(index + 1) }, `${line}\n`));

// The line that somebody came for: /rules?find=NAME, where a condition of that name stands.
function showMeant() {
  const name = new URLSearchParams(window.location.search).get("find");
  if (!name) return;
  const lines = [...byId("rules-text").children];
  const meant = lines.find((line) => new RegExp(`(^|[\\s{,])id:\\s*["']?${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}["']?(?![\\w])`).test(line.textContent))
    ?? lines.find((line) => line.textContent.includes(name));
  if (!meant) return;
  meant.classList.add("meant");
  meant.scrollIntoView({ block: "center" });
}

async function showDiff(old, now) {
  const target = byId("rules-diff");
  target.hidden = false;
  try {
    const found = await get(`/api/rules/diff/${old}/${now}`);
    fill(target, el("h3", { tabindex: "-1" }, `What ${now.slice(0, 12)} changed`), el("p", { class: "quiet" }, `against ${old.slice(0, 12)} of ${when(found.old.at_ms)} UTC`),
      found.lines.length ? el("pre", { class: "whole diff", tabindex: "0", role: "region", "aria-label": "Lines that differ" }, found.lines.map((line) =>
        el("span", { class: `code-line ${{ "+": "added", "-": "gone" }[line.sign] ?? ""}`, "data-line": String(line.new_line ?? line.old_line ?? "") }, `${line.sign} ${line.text}\n`))) : el("p", {}, "Both have the same text."));
  } catch (error) {
    fill(target, el("p", { class: "problem", role: "alert" }, error.message));
  }
  target.querySelector("h3")?.focus();
}

function showEditor() {
  const may = current.may_edit && session.may_act;
  byId("rules-edit").hidden = !may || based !== null;
  byId("rules-ask").hidden = byId("editor-ask").hidden = !(current.may_ask && session.may_act);
  byId("rules-edit-note").textContent = !current.may_edit ? "Editing here is off (reload.edit_in_browser in config.yaml): edit rules.yaml beside the bot, which takes a change by itself."
    : session.may_act ? "" : session.token_set ? "Log in to edit." : "Without a DASHBOARD_TOKEN nothing can be changed here.";
}

async function begin() {
  based = current.rules_hash;
  handed = null;
  byId("rules-edit").hidden = true;
  language ??= await get("/api/rules/language");
  await byId("editor-text").prepare({ complete: (text, at) => completionsAt(text, at, language), check: checkTyped });
  byId("editor-text").value = current.text;
  byId("editor-said").textContent = "";
  byId("editor-problems").replaceChildren();
  byId("editor").hidden = false;
  byId("editor-text").focus();
}

function end() {
  based = null;
  byId("editor").hidden = true;
  showEditor();
  byId("rules-edit").focus();
}

function say(...parts) {
  fill(byId("editor-said"), ...parts);
  announce(byId("editor-said").textContent);
}

// What is wrong with a text, and what is only worth a look; said below the editor too, unless the text has been handed
// to the bot meanwhile: then what became of it stands there.
async function checked(text, isAsked = true) {
  const found = await post("/api/rules/check", { text });
  const told = [...found.problems, ...found.warnings.map((warning) => ({ ...warning, isOnlyNoticed: true }))];
  if (text === byId("editor-text").value && (isAsked || text !== handed)) {
    byId("editor-problems").replaceChildren(...told.map((problem) => el("li", {}, el("button", { type: "button", class: "linklike", onclick: () => byId("editor-text").goTo(problem) }, `line ${problem.line}`), ` ${problem.message}`)));
    say(found.problems.length ? `${found.problems.length} ${found.problems.length === 1 ? "problem" : "problems"}: this cannot be used.` : `Can be used${found.warnings.length ? `, with ${found.warnings.length} worth a look` : ""}; hash ${found.hash.slice(0, 12)}.`);
  }
  return told;
}

// While somebody types: a text that is still the one in force needs no word.
async function checkTyped(text) {
  if (based === null || text === current.text) return [];
  try {
    return await checked(text, false);
  } catch (error) {
    say(error.message);
    return [];
  }
}

const canBeUsed = async () => (await checked(byId("editor-text").value)).every((problem) => problem.isOnlyNoticed);

const days = (from, to) => Math.round((to - from) / 86_400_000);

// What a worker found: the rules asked about beside those in force, over the same candles.
function whatIf(found) {
  const rows = [["These rules", found.offered], ["Those in force", found.in_force]];
  return [el("p", {}, `Signals of ${when(found.from_ms)} to ${when(found.to_ms)} UTC (${days(found.from_ms, found.to_ms)} days), over the bot's own candles and with its settings. The bot itself made ${found.live_trades} trades for `, signed(found.live_net_pnl_usdt, 2, " USDT"), "."),
    table("What they would have done", [["", (row) => row[0]], ["Trades", (row) => String(row[1].trades), "num"], ["Won", (row) => (row[1].trades ? `${Math.round((100 * row[1].wins) / row[1].trades)} %` : "–"), "num"],
      ["Net", (row) => signed(row[1].net_pnl_usdt), "num"], ["R", (row) => signed(row[1].r), "num"], ["Deepest fall", (row) => `${row[1].worst_fall_pct.toFixed(2)} %`, "num"]], rows, "")];
}

async function askWhatIf(text, said) {
  try {
    const accepted = await post("/api/jobs/what-if", { text });
    fill(said, accepted.note);
    const command = await ended(accepted.url);
    fill(said, command === null ? "Nobody has done it yet: is `fsm worker` running? It will be done when one is." : command.state === "done" ? whatIf(JSON.parse(command.detail)) : `Refused: ${command.detail}`);
  } catch (error) {
    fill(said, error.guard ? `Refused by ${error.guard}: ${error.message}` : error.message);
  }
  announce(said.textContent);
}

async function ended(url) {
  for (let asked = 0; asked < 3 * ASK_TIMES; asked += 1) {
    const command = await get(url);
    if (command.state === "done" || command.state === "refused") return command;
    await new Promise((resolve) => { setTimeout(resolve, ASK_MS); });
  }
  return null;
}

async function load() {
  try {
    if (!(await canBeUsed())) return;
    handed = byId("editor-text").value;
    const accepted = await post("/api/bot/edit-rules", { based_on: based, text: handed });
    say(accepted.note);
    if (accepted.daemon_running) await follow(accepted.url);
  } catch (error) {
    say(error.guard ? `Refused by ${error.guard}: ${error.message}` : error.message);
  }
}

async function follow(url) {
  const command = await ended(url);
  if (command === null) { say("The bot has not taken the edit yet: is it working?"); return; }
  if (command.state === "refused") { say(`Refused by ${command.guard}: ${command.detail}`); return; }
  end();
  const note = `Done: ${command.detail}`;
  await drawRules();
  byId("rules-edit-note").textContent = note;
  announce(note);
}

export function prepareRules() {
  byId("rules-edit").addEventListener("click", () => { begin().catch((error) => { end(); byId("rules-edit-note").textContent = error.message; }); });
  byId("editor-cancel").addEventListener("click", end);
  byId("editor-check").addEventListener("click", () => { checked(byId("editor-text").value).catch((error) => say(error.message)); });
  byId("editor-ask").addEventListener("click", () => askWhatIf(byId("editor-text").value, byId("editor-said")));
  byId("rules-ask").addEventListener("click", () => askWhatIf(current.text, byId("what-if")));
  byId("editor-load").addEventListener("click", load);
}
