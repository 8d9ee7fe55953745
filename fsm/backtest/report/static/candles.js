// Candles of a whole run or around one trade: entries, exits, stops, targets, and what the rules read there.

const UNIT_NAMES = { price: "USDT", index: "0 to 100", percent: "%", ratio: "ratio", count: "count", volume: "volume", flag: "yes (1) or no (0)" };
const PANE_ORDER = ["price", "index", "percent", "ratio", "count", "volume", "flag"];
const MARKS_WITH_WORDS = 12;

// What is shown is remembered apart for whole runs and for trades: a run begins with what its regimes are told by, a
// trade with what its strategy reads.
const view = { symbol: null, trade: null, chart: null, panes: [], chosen: { run: new Map(), trade: new Map() } };

function isShown(facts, name) {
  const { unit, regime, strategies } = facts.indicators[name];
  if (view.trade) return view.chosen.trade.get(name) ?? (unit !== "flag" && strategies.includes(view.trade.strategy));
  return view.chosen.run.get(name) ?? (unit !== "flag" && regime);
}

// The columns of a chart lie one after the other: close, open over the close before, high and low beyond both, indicators.
function chartData(facts, symbol, place, names) {
  const [first, count] = place.place, steps = facts.steps[symbol];
  const column = (index, step) => numbers(facts.columns, [first + index * BYTES_A_NUMBER * count, count], step);
  const [closes, gaps, over, under] = [0, 1, 2, 3].map((index) => column(index, steps.price));
  const time = (index) => seconds(place.first_ms + index * place.step_ms);
  const candles = Array.from(closes, (close, index) => {
    const open = closes[Math.max(index - 1, 0)] + gaps[index];
    return { time: time(index), open, close, high: Math.max(open, close) + over[index], low: Math.min(open, close) - under[index] };
  });
  return { candles, read: new Map(names.map((name, index) => [name, column(4 + index, steps.indicators[name])])), time };
}

const dataOfSymbol = (facts, symbol) => chartData(facts, symbol, facts.symbolCharts[symbol], facts.symbolCharts[symbol].names);
const dataOfTrade = (facts, trade) => chartData(facts, trade.symbol, facts.tradeCharts[trade.id], facts.readBy[trade.symbol][trade.strategy]);

function showSymbol(facts, symbol) {
  Object.assign(view, { symbol, trade: null });
  drawCandles(facts);
}

function showTrade(facts, trade) {
  Object.assign(view, { symbol: trade.symbol, trade });
  drawCandles(facts);
}

function drawCandles(facts) {
  forget(view.chart, ...view.panes.map(({ chart }) => chart));
  Object.assign(view, { chart: null, panes: [] });
  byId("panes").replaceChildren();
  byId("candle-symbol").value = view.symbol;
  const place = view.trade ? facts.tradeCharts[view.trade.id] : facts.symbolCharts[view.symbol];
  const trades = view.trade ? [view.trade] : facts.trades.filter(({ symbol }) => symbol === view.symbol);
  tradeDetail(view.trade);
  titleOfCandles(facts, trades, place);
  byId("candle-chart").hidden = !place;
  byId("chips").hidden = !place;
  if (!place) return;
  const data = view.trade ? dataOfTrade(facts, view.trade) : dataOfSymbol(facts, view.symbol);
  const chart = view.chart = newChart(byId("candle-chart"));
  const tick = facts.steps[view.symbol].price, decimals = Math.max(0, Math.round(-Math.log10(tick)));
  const bars = chart.addCandlestickSeries({
    upColor: colour("--up"), downColor: colour("--down"), wickUpColor: colour("--up"), wickDownColor: colour("--down"), borderVisible: false,
    priceFormat: { type: "price", precision: decimals, minMove: tick }, priceLineVisible: false,
  });
  bars.setData(data.candles);
  drawRegimesAndPlans(facts, place, trades, chart, bars);
  bars.setMarkers(markersOf(place, data, trades));
  drawIndicators(facts, data);
  follow();
  readAtCrosshair(facts, data);
  chart.timeScale().fitContent();
}

function titleOfCandles(facts, trades, place) {
  const trade = view.trade;
  byId("candle-title").replaceChildren(...(trade
    ? [`${trade.id}: ${trade.side} ${trade.symbol}, ${trade.strategy} in ${trade.regime}, `, coloured(inR(trade.r), trade.r), `, ${money(trade.net)} USDT`]
    : [`${view.symbol}: the whole run, ${trades.length} trades`]));
  const hours = place ? place.step_ms / 3_600_000 : 0;
  const length = hours >= 24 ? `${hours / 24} d` : hours >= 1 ? `${hours} h` : `${hours * 60} min`;
  byId("candle-words").textContent = place
    ? `Candles of ${length}. Arrows are entries, circles ends; blue: entry, red: stop as it moved, green: targets, each for as long as it stood. The ground shows the regime. `
      + "Indicators are drawn as the rules read them at each close: the value of the last closed candle of their own timeframe."
    : view.trade && facts.chartsLeftOut
      ? `There was no room for the candles of the oldest ${facts.chartsLeftOut} trades: run a shorter span, or fewer symbols, to see them.`
      : facts.steps[view.symbol] ? "There was no room for the candles of the whole run." : "The database keeps no candles of this.";
}

function drawRegimesAndPlans(facts, place, trades, chart, bars) {
  const index = (ms) => (ms - place.first_ms) / place.step_ms - 0.5;
  const end = place.first_ms + place.place[1] * place.step_ms;
  const grounds = stretches(facts.regimes[view.symbol] ?? [], place.first_ms, end);
  const levels = view.trade ? levelsOf(view.trade) : [];
  handDrawn(bars, (context, { height }) => {
    const at = placeOf(chart), heightOf = (text) => bars.priceToCoordinate(Number(text));
    for (const [from, to, regime] of grounds) {
      context.fillStyle = `${regimeColour(regime)}22`;
      context.fillRect(at(index(from)), 0, at(index(to)) - at(index(from)), height);
    }
    for (const trade of trades) drawPlan(context, trade, (ms) => at(index(ms)), heightOf);
  }, () => (levels.length ? { priceRange: { minValue: Math.min(...levels), maxValue: Math.max(...levels) } } : null));
}

function levelsOf(trade) {
  return [trade.entry, trade.exit, ...trade.stops.map(([, price]) => price), ...trade.targets.map(([, price]) => price)].filter((price) => price !== null).map(Number);
}

function drawPlan(context, trade, x, y) {
  const end = trade.closed_ms ?? trade.opened_ms, start = trade.fill_ms ?? trade.opened_ms;
  const piece = (from, to, price, shade, dash) => {
    const top = y(price);
    if (top === null) return;
    context.beginPath();
    context.setLineDash(dash);
    context.strokeStyle = shade;
    context.lineWidth = view.trade ? 2 : 1.25;
    context.moveTo(x(from), top);
    context.lineTo(Math.max(x(to), x(from) + 1), top);
    context.stroke();
  };
  if (trade.entry !== null) piece(start, end, trade.entry, colour("--equity"), []);
  trade.stops.forEach(([since, price], index) => piece(since, trade.stops[index + 1]?.[0] ?? end, price, colour("--down"), []));
  for (const [since, price, until] of trade.targets) piece(since, Math.min(until ?? end, end), price, colour("--up"), [5, 3]);
}

function markersOf(place, { candles, time }, trades) {
  const words = trades.length <= MARKS_WITH_WORDS, size = words ? 1 : 0.6;
  const at = (ms) => time(Math.min(Math.max(Math.floor((ms - place.first_ms) / place.step_ms), 0), candles.length - 1));
  const found = [];
  for (const trade of trades) {
    const long = trade.side === "LONG";
    if (trade.fill_ms !== null) {
      found.push({ time: at(trade.fill_ms), position: long ? "belowBar" : "aboveBar", color: colour("--equity"),
        size, shape: long ? "arrowUp" : "arrowDown", text: words ? `${trade.side} ${price(trade.entry)}` : "" });
    }
    if (trade.closed_ms !== null && trade.exit !== null) {
      found.push({ time: at(trade.closed_ms), position: long ? "aboveBar" : "belowBar", size, shape: "circle",
        color: Number(trade.net) > 0 ? colour("--up") : colour("--down"), text: words ? inR(trade.r) : "" });
    }
  }
  return found.sort((a, b) => a.time - b.time);
}

// Prices lie over the candles; everything else has a pane of its unit below them.
function drawIndicators(facts, data) {
  const names = [...data.read.keys()];
  byId("indicators").replaceChildren(...names.map((name, index) => chip(facts, name, SHADES[index % SHADES.length])));
  const shown = names.map((name, index) => ({ name, shade: SHADES[index % SHADES.length], unit: paneOf(facts, name) }))
    .filter(({ name }) => isShown(facts, name));
  for (const { name, shade } of shown.filter(({ unit }) => unit === "candles")) lineOf(view.chart, data, name, shade, true);
  for (const unit of PANE_ORDER) {
    const own = shown.filter((each) => each.unit === unit);
    if (own.length === 0) continue;
    const box = element("div", { class: "chart low" });
    byId("panes").append(element("p", { class: "quiet" }, `${own.map(({ name }) => name).join(", ")} (${UNIT_NAMES[unit] ?? unit})`), box);
    const chart = newChart(box, { time: false });
    view.panes.push({ chart, series: own.map(({ name, shade }) => lineOf(chart, data, name, shade, false)) });
  }
}

// A price lies over the candles, a difference of prices (an ATR) does not.
function paneOf(facts, name) {
  const { unit, over } = facts.indicators[name];
  return unit === "price" && over ? "candles" : unit;
}

function lineOf(chart, { read, time }, name, shade, overlay) {
  const line = chart.addLineSeries({
    color: shade, lineWidth: overlay ? 1 : 2, lineType: 1, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false,
    ...(overlay ? { autoscaleInfoProvider: () => null } : {}),
  });
  line.setData(Array.from(read.get(name), (value, index) => (Number.isNaN(value) ? { time: time(index) } : { time: time(index), value })));
  return line;
}

function chip(facts, name, shade) {
  return element("button", {
    type: "button", class: "chip", "aria-pressed": String(isShown(facts, name)), title: facts.indicators[name].what,
    onclick: () => {
      view.chosen[view.trade ? "trade" : "run"].set(name, !isShown(facts, name));
      drawCandles(facts);
      [...byId("indicators").children].find((each) => each.textContent === name)?.focus();
    },
  }, swatch(shade), name);
}

// Panes move with the candles, and the candles with them; their scales are equally wide, so that moments lie below one another.
function follow() {
  const all = [view.chart, ...view.panes.map(({ chart }) => chart)];
  requestAnimationFrame(() => requestAnimationFrame(() => {
    if (all[0] !== view.chart) return;
    const minimumWidth = Math.max(...all.map((chart) => chart.priceScale("right").width()));
    for (const chart of all) chart.priceScale("right").applyOptions({ minimumWidth });
  }));
  let moving = false;
  for (const leader of all) {
    leader.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (moving || !range) return;
      moving = true;
      for (const other of all) if (other !== leader) other.timeScale().setVisibleLogicalRange(range);
      moving = false;
    });
  }
}

function readAtCrosshair(facts, data) {
  const told = (value) => (Number.isNaN(value) ? "–" : String(Number(value.toPrecision(6))));
  const tell = (index) => {
    const candle = data.candles[index];
    if (!candle) return;
    const read = [...data.read].filter(([name]) => isShown(facts, name)).map(([name, values]) => `${name} ${told(values[index])}`);
    byId("candle-reading").textContent = [`${when(candle.time * 1000)}  open ${told(candle.open)}  high ${told(candle.high)}  low ${told(candle.low)}  close ${told(candle.close)}`, ...read].join("   ");
  };
  view.chart.subscribeCrosshairMove(({ logical }) => { if (logical !== undefined && logical !== null) tell(Math.round(logical)); });
  tell(signalIndex(data));
}

// The candle that the trade was decided on; of a whole run, its last.
function signalIndex(data) {
  if (!view.trade) return data.candles.length - 1;
  return data.candles.findIndex(({ time }) => time === seconds(view.trade.signal_ms));
}
