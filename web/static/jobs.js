// Backtests and studies that are started here, where config.yaml allows it, and what became of them. A worker does them.

import { get, post, session } from "./api.js";
import { announce, byId, el, fill, signed, table, when } from "./dom.js";

export async function drawJobs() {
  const [{ commands }, rules] = await Promise.all([get("/api/commands"), get("/api/rules").catch((error) => { if (error.status !== 404) throw error; return null; })]);
  const mayAsk = rules?.may_ask && session.may_act;
  byId("job-form").hidden = !mayAsk;
  byId("jobs-note").textContent = mayAsk ? "Of the rules and settings in force, by fsm worker: a process of its own without keys, at the lowest priority. Trading never waits for it."
    : !rules?.may_ask ? "Starting them here is off (web.jobs in config.yaml); fsm backtest and fsm optimise do it at the terminal."
      : session.token_set ? "Log in to start one." : "Without a DASHBOARD_TOKEN nothing can be started here.";
  const jobs = commands.filter((command) => command.kind.startsWith("job "));
  fill(byId("jobs"), table("Asked for, newest first", [["Job", (row) => what(row.kind)], ["Asked", (row) => `${when(row.posted_ms)} UTC`],
    ["State", (row) => el("span", { class: row.state === "refused" ? "loss" : "" }, { posted: "waits for a worker", taken: "under way" }[row.state] ?? row.state)], ["What came of it", came, "words"]], jobs,
  mayAsk ? "None yet: what you start will stand here." : ""));
}

const what = (kind) => {
  const [, name, of] = kind.split(" ");
  return name === "what-if" ? `what-if of ${of.slice(0, 12)}` : `${name} ${of}`;
};

function came(row) {
  if (row.state !== "done") return row.detail ?? "";
  if (row.kind.startsWith("job what-if ")) return "its answer is on the page of rules";
  const found = JSON.parse(row.detail);
  if (found.trials !== null) return el("span", {}, `${found.trials} variants; `, el("code", {}, `fsm optimise show ${found.kept}`), " tells what they came to");
  return el("span", {}, `${found.trades} trades, `, signed(found.net_pnl_usdt, 2, " USDT"), "; ", el("code", {}, `fsm show ${found.kept}`), " opens it");
}

const listed = (text) => text.split(/[\s,]+/).filter(Boolean);

async function start() {
  const kind = byId("job-kind").value;
  const body = { name: byId("job-name").value, symbols: listed(byId("job-symbols").value.toUpperCase()), from: byId("job-from").value || null, to: byId("job-to").value || null };
  if (kind === "study") Object.assign(body, { vary: listed(byId("job-vary").value), trials: Number(byId("job-trials").value) });
  try {
    byId("job-said").textContent = (await post(`/api/jobs/${kind}`, body)).note;
    byId("job-name").value = "";
  } catch (error) {
    byId("job-said").textContent = error.guard ? `Refused by ${error.guard}: ${error.message}` : error.message;
  }
  announce(byId("job-said").textContent);
  await drawJobs();
}

export function prepareJobs() {
  const choose = () => { for (const part of document.querySelectorAll(".of-study")) part.hidden = byId("job-kind").value !== "study"; };
  byId("job-kind").addEventListener("change", choose);
  byId("job-form").addEventListener("submit", (event) => { event.preventDefault(); start(); });
  choose();
}
