// Starts the page, keeps it up to date through the stream of events, and asks again where events say too little.

import { drawLost, drawProtection, drawSummary } from "./account.js";
import { get, health, logIn, logOut, readSession, session } from "./api.js";
import { drawCandles } from "./candles.js";
import { drawEquity, repaint } from "./charts.js";
import { prepareControls, showControls } from "./controls.js";
import { announce, byId, el } from "./dom.js";
import { drawJobs, prepareJobs } from "./jobs.js";
import { addTransition, drawAlerts, drawCommands, drawLog, drawOrders, drawTrades, drawTransitions, moreTransitions, turnTrades } from "./lists.js";
import { drawMachine } from "./machine.js";
import { drawNews, prepareNews } from "./news.js";
import { ofSymbol, page, showPage } from "./pages.js";
import { drawPositions, tick } from "./positions.js";
import { drawBoard, drawRegimes, drawWhy } from "./reasons.js";
import { drawKept, drawRuns, drawSettings, drawShadows } from "./records.js";
import { drawRules, prepareRules } from "./rules.js";
import { drawExecution, drawStatistics } from "./statistics.js";
import { drawChosen, drawSymbol, drawSymbolPanes, isCandleChosen, prepareSymbol } from "./symbol.js";
import { drawTrade, drawTradeChart } from "./trade.js";

const SOON_MS = 800; // events that come together are shown together
const ALIVE_MS = 2000; // whether anybody is there: within five seconds the page says when nobody is
const QUICK_MS = 5000; // figures that change without an event: marks, ages, budgets
const SLOW_MS = 30000; // reasons, regimes and charts
const STEPS_ASKED = 300;
const CANDLES = 400;
let stream = null;
let asOfMs = 0;
let account = null; // the latest summary
let timeKnown = null; // settled once it has been drawn

const panels = {
  summary: async () => { account = await get("/api/summary"); asOfMs = account.as_of_ms; drawSummary(account); },
  positions: async () => drawPositions(onThisPage(await get("/api/positions"), "positions")),
  names: async () => offerSymbols(await get("/api/machine")),
  symbol: drawSymbol,
  trade: drawTrade,
  machine: async () => {
    const [found, steps] = await Promise.all([get("/api/machine"), get("/api/transitions", { limit: STEPS_ASKED })]);
    const isFirst = offerSymbols(found);
    await Promise.all([isFirst && SHOWN.has("candles") ? drawChart() : null, drawMachine(found, steps.transitions)]);
  },
  equity: async () => drawEquity(await get("/api/equity", { range: byId("equity-range").value }), byId("equity-limits").value),
  candles: async () => (page.name === "trade" ? drawTradeChart(asOfMs) : drawChart()),
  regimes: async () => {
    const found = onThisPage(await get("/api/regimes"), "regimes");
    drawRegimes(found, asOfMs);
    if (ofSymbol && found.regimes.length) await (isCandleChosen() ? drawChosen() : drawWhy(ofSymbol));
  },
  why: async () => { const found = await get("/api/symbols"); await timeKnown; drawBoard(found, asOfMs); },
  news: async () => drawNews(account),
  trades: drawTrades,
  orders: async () => drawOrders(await get("/api/orders", { open: "true", symbol: ofSymbol })),
  alerts: async () => drawAlerts(await get("/api/alerts", { limit: 30 })),
  commands: async () => drawCommands(await get("/api/commands")),
  protection: async () => drawProtection(await get("/api/protection")),
  log: drawLog,
  transitions: drawTransitions,
  statistics: drawStatistics,
  execution: drawExecution,
  rules: drawRules,
  settings: drawSettings,
  runs: drawRuns,
  kept: drawKept,
  jobs: drawJobs,
  shadows: drawShadows,
};
const ON_PAGE = {
  overview: ["summary", "equity", "positions", "candles", "alerts", "why", "news", "commands", "machine", "trades", "orders"],
  symbol: ["summary", "symbol", "positions", "candles", "regimes", "trades", "orders", "transitions"],
  trade: ["summary", "trade", "candles"],
  statistics: ["summary", "statistics", "execution", "protection"],
  rules: ["summary", "rules", "shadows"],
  runs: ["summary", "jobs", "runs", "kept", "shadows"],
  audit: ["summary", "names", "machine", "transitions"],
  log: ["summary", "names", "alerts", "commands", "log"],
  settings: ["summary", "settings"],
};
const SHOWN = new Set(ON_PAGE[page.name]);
const QUICK = ["summary", "positions"];
const SLOW = ["jobs", "kept", "equity", "candles", "regimes", "why", "protection", "orders", "log", "machine", "symbol", "trade", "shadows", "news"];
const BY_TRANSITION = ["summary", "positions", "machine", "symbol", "trade", "orders", "trades", "equity", "candles", "statistics", "execution", "why", "news"];

const dirty = new Set();
let timer = null;
let drawing = false;

function soon(...names) {
  for (const name of names) if (SHOWN.has(name)) dirty.add(name);
  timer ??= setTimeout(draw, SOON_MS);
}

// Others need to know what time it is, and which symbol or trade this page is about.
const FIRST = new Set(["summary", "symbol", "trade"]);
const MEANWHILE = new Set(["why", "positions", "equity", "trades", "orders", "alerts", "commands"]); // need neither, or wait for it themselves

async function draw() {
  timer = null;
  if (drawing || byId("main").hidden) return;
  drawing = true;
  const names = Object.keys(panels).filter((name) => dirty.has(name));
  dirty.clear();
  timeKnown = drawFirst(names);
  const meanwhile = names.filter((name) => MEANWHILE.has(name)).map(drawOne);
  await timeKnown;
  await Promise.all([...meanwhile, ...names.filter((name) => !FIRST.has(name) && !MEANWHILE.has(name)).map(drawOne)]);
  drawing = false;
  byId("main").removeAttribute("aria-busy");
  if (dirty.size) soon();
}

async function drawFirst(names) {
  for (const name of names.filter((each) => FIRST.has(each))) await drawOne(name);
}

async function drawOne(name) {
  try {
    await panels[name]();
  } catch (error) {
    if (error.status === 401) return;
    announce(`${name} could not be shown: ${error.message}`);
    byId("link").textContent = `${name}: ${error.message}`;
  }
}

// What an answer about all symbols has for this page.
function onThisPage(found, name) {
  return ofSymbol ? { ...found, [name]: found[name].filter((row) => row.symbol === ofSymbol) } : found;
}

async function drawChart() {
  const symbol = ofSymbol || byId("symbol").value;
  if (!symbol) return;
  const timeframe = byId("timeframe").value;
  const until = asOfMs ? asOfMs + 1 : "";
  const [candles, trades, positions, orders, funding] = await Promise.all([
    get(`/api/candles/${encodeURIComponent(symbol)}`, { timeframe, until, limit: CANDLES }),
    get("/api/trades", { symbol, limit: 100 }),
    get("/api/positions"),
    get("/api/orders", { symbol, limit: 400 }),
    ofSymbol ? get(`/api/funding/${encodeURIComponent(symbol)}`, { until }) : { settlements: [] },
  ]);
  drawCandles(symbol, timeframe, candles.candles, trades.trades, positions.positions.find((position) => position.symbol === symbol),
    { stops: orders.orders.filter((order) => order.purpose === "PlaceStop"), funding: funding.settlements });
  if (ofSymbol) await drawSymbolPanes(timeframe, until, candles.candles);
}

function offerSymbols({ table, symbols }) {
  const first = byId("symbol").options.length === 0;
  offer(byId("symbol"), symbols.map((symbol) => symbol.symbol));
  if (first && symbols.length) {
    byId("symbol").value = (symbols.find((symbol) => symbol.trade_id) ?? symbols[0]).symbol;
  }
  offer(byId("control-symbol"), symbols.map((symbol) => symbol.symbol));
  offer(byId("filter-symbol"), symbols.map((symbol) => symbol.symbol));
  offer(byId("filter-state"), table?.states ?? [...new Set(symbols.map((symbol) => symbol.state))]);
  return first && symbols.length > 0;
}

function offer(select, names) {
  const known = new Set([...select.options].map((option) => option.value));
  for (const name of names) if (!known.has(name)) select.append(el("option", { value: name }, name));
}

function connect() {
  stream?.close();
  stream = new EventSource("/api/events");
  const link = (state, words) => { byId("link").dataset.state = state; byId("link").textContent = words; };
  link("off", "connecting");
  stream.addEventListener("open", () => link("live", "live"));
  stream.addEventListener("error", () => {
    link("off", "connection lost, trying again");
    if (stream.readyState === EventSource.CLOSED) setTimeout(checkSession, QUICK_MS);
  });
  stream.addEventListener("transition", (event) => {
    const row = JSON.parse(event.data);
    if (SHOWN.has("transitions")) addTransition(row);
    if (row.source !== row.dest) announce(row.explanation);
    soon(...BY_TRANSITION);
  });
  stream.addEventListener("alert", (event) => { announce(JSON.parse(event.data).text); soon("alerts", "summary", "log", "rules"); });
  stream.addEventListener("command", () => soon("commands", "summary", "machine", "jobs", "kept"));
  stream.addEventListener("reset", () => soon(...Object.keys(panels)));
}

async function checkSession() {
  try {
    await readSession();
  } catch {
    setTimeout(checkSession, QUICK_MS);
    return;
  }
  show();
}

let running = null;

// Asked apart from everything else, because it is cheap and must not wait for it.
async function watch() {
  try {
    const found = await health();
    if (running !== found.daemon_running || document.body.dataset.stale) soon("summary", "positions");
    running = found.daemon_running;
  } catch {
    running = null;
    drawLost();
  }
  setTimeout(watch, ALIVE_MS);
}

function show() {
  byId("login").hidden = session.may_read;
  byId("main").hidden = !session.may_read;
  byId("places").hidden = !session.may_read || page.name !== "overview";
  byId("log-out").hidden = !session.csrf;
  showControls();
  if (session.may_read) {
    byId("main").setAttribute("aria-busy", "true");
    for (const name of SHOWN) dirty.add(name);
    clearTimeout(timer);
    draw(); // at once: nothing has been shown yet
    connect();
  } else {
    stream?.close();
    if (!session.token_set) byId("login-problem").textContent = "No DASHBOARD_TOKEN is set: only the bot's own machine may look.";
    byId("token").focus();
  }
}

function chooseTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").setAttribute("aria-pressed", String(theme === "dark"));
  repaint();
}

function prepare() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  chooseTheme(localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light"));
  byId("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("theme", theme);
    chooseTheme(theme);
  });
  byId("login-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await logIn(byId("token").value);
      byId("login-problem").textContent = "";
      show();
      byId("title").focus(); // the form is gone: the keyboard goes on from the top
    } catch (error) {
      byId("login-problem").textContent = error.message;
    }
    byId("token").value = "";
  });
  byId("log-out").addEventListener("click", async () => { await logOut(); show(); });
  window.addEventListener("logged-out", () => { if (session.may_read) checkSession(); });
  for (const id of ["equity-range", "equity-limits"]) byId(id).addEventListener("change", () => soon("equity"));
  byId("log-kind").addEventListener("change", () => soon("log"));
  byId("transitions-filter").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["symbol", "timeframe"]) byId(id).addEventListener("change", () => soon("candles"));
  for (const id of ["filter-symbol", "filter-state", "filter-trade", "filter-trigger", "filter-since", "filter-until"]) byId(id).addEventListener("change", () => soon("transitions"));
  byId("trades-newer").addEventListener("click", () => turnTrades(-1));
  byId("trades-older").addEventListener("click", () => turnTrades(1));
  byId("transitions-more").addEventListener("click", () => moreTransitions());
  prepareControls(() => soon("commands", "summary", "machine"));
  setInterval(() => soon(...QUICK), QUICK_MS);
  setInterval(() => soon(...SLOW), SLOW_MS);
  setInterval(tick, 1000);
  prepareSymbol();
  prepareNews();
  prepareRules();
  prepareJobs();
  // A page that is left may be kept for Back, with its stream: six of them, and this host would get no further connection.
  window.addEventListener("pagehide", () => stream?.close());
  window.addEventListener("pageshow", (event) => { if (event.persisted) show(); });
  watch();
}

// Someone else's address may name a trade whose steps are wanted: /audit?trade=…
byId("filter-trade").value = new URLSearchParams(window.location.search).get("trade") ?? "";
showPage();
prepare();
checkSession();
