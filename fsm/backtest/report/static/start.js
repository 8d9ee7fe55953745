// Starts the page once it has been unpacked, and draws it again in other colours when the system changes them.

function start(facts) {
  options(byId("candle-symbol"), facts.symbols.map((symbol) => [symbol, symbol]), () => showSymbol(facts, byId("candle-symbol").value));
  byId("trade-before").addEventListener("click", () => neighbour(facts, -1));
  byId("trade-after").addEventListener("click", () => neighbour(facts, 1));
  byId("whole-run").addEventListener("click", () => { showSymbol(facts, view.symbol); drawTrades(facts); });
  const paint = () => { drawEquity(facts); drawCalendar(facts); drawCandles(facts); };
  view.symbol = facts.symbols[0];
  paint();
  startTrades(facts);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  document.documentElement.dataset.ready = "yes";
}

unpacked().then(start).catch((error) => {
  byId("problem").textContent = `The charts and the list of trades could not be drawn (${error.message}). They need a browser of 2023 or later.`;
  byId("problem").hidden = false;
});
