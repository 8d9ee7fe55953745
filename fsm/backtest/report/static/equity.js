// Equity with its drawdown, buying and holding, and the regime of every symbol below them.

const GRID_POINTS = 4_000;
const STRIP = 7;
const HOLD_TOO_FAR = 3;

function indexAmong(times, second) {
  let low = 0, high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < second) low = middle + 1; else high = middle;
  }
  if (low === 0 || times[low] <= second) return low;
  return low - 1 + (second - times[low - 1]) / (times[low] - times[low - 1]);
}

function equityPoints(facts) {
  const first = seconds(facts.from_ms), last = seconds(facts.to_ms);
  const every = Math.max(seconds(facts.step_ms), Math.ceil((last - first) / GRID_POINTS));
  const grid = [];
  for (let at = first; at <= last; at += every) grid.push(at);
  const equity = facts.equity.map(([ms, value, fall]) => ({ time: seconds(ms), value: Number(value), fall }));
  const hold = facts.hold.map(([ms, value]) => ({ time: seconds(ms), value }));
  const times = [...new Set([...grid, ...equity.map(({ time }) => time), ...hold.map(({ time }) => time)])].sort((a, b) => a - b);
  return { equity, hold, times };
}

let equityChart = null, holdShown = null;

const extent = (points) => points.reduce(([least, most], { value }) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);

// What would press equity flat gets a scale of its own, on the left.
function isFar(equity, hold) {
  const [least, most] = extent(equity), [lowest, highest] = extent(hold);
  return Math.max(highest, most) - Math.min(lowest, least) > HOLD_TOO_FAR * (most - least);
}

function drawEquity(facts) {
  forget(equityChart);
  const { equity, hold, times } = equityPoints(facts);
  if (equity.length < 2) { byId("equity-words").textContent = "No equity was recorded."; return; }
  equityChart = newChart(byId("equity-chart"), { hours: facts.to_ms - facts.from_ms < 40 * DAY });
  const strips = Math.min(facts.symbols.length, 12) * STRIP;
  const room = byId("equity-chart").clientHeight || 400;
  const low = (strips + 6) / room;
  equityChart.addLineSeries({ priceScaleId: "grid", visible: false }).setData(times.map((time) => ({ time })));
  const line = equityChart.addAreaSeries({
    lineColor: colour("--equity"), topColor: `${colour("--equity")}40`, bottomColor: `${colour("--equity")}05`, lineWidth: 2,
    priceFormat: { type: "price", precision: 2, minMove: 0.01 }, priceLineVisible: false,
  });
  const far = hold.length > 0 && isFar(equity, hold);
  holdShown ??= hold.length > 0 && !(far && matchMedia("(max-width: 640px)").matches);
  const left = holdShown && far;
  const held = equityChart.addLineSeries({
    color: colour("--hold"), lineWidth: 1, priceLineVisible: false, lastValueVisible: false, priceScaleId: left ? "left" : "right",
    priceFormat: { type: "price", precision: 0, minMove: 1 },
  });
  const fall = equityChart.addBaselineSeries({
    priceScaleId: "fall", baseValue: { type: "price", price: 0 }, lineWidth: 1, priceLineVisible: false, lastValueVisible: false,
    topLineColor: colour("--down"), bottomLineColor: colour("--down"), topFillColor1: "transparent", topFillColor2: "transparent",
    bottomFillColor1: `${colour("--down")}20`, bottomFillColor2: `${colour("--down")}70`,
    priceFormat: { type: "custom", minMove: 0.01, formatter: (value) => `${value.toFixed(1)} %` },
  });
  equityChart.priceScale("right").applyOptions({ scaleMargins: { top: 0.04, bottom: 0.28 + low } });
  equityChart.priceScale("left").applyOptions({ visible: left, borderVisible: false, scaleMargins: { top: 0.04, bottom: 0.28 + low } });
  equityChart.priceScale("fall").applyOptions({ scaleMargins: { top: 0.76 - low, bottom: low } });
  line.setData(equity);
  fall.setData(equity.map(({ time, fall: deep }) => ({ time, value: -deep })));
  held.setData(holdShown ? hold : []);
  drawStrips(facts, line, times, strips);
  equityChart.timeScale().fitContent();
  equityLegend(facts, hold, left);
  equityWords(facts, equity, hold);
}

function drawStrips(facts, line, times, strips) {
  const first = seconds(facts.from_ms) * 1000;
  handDrawn(line, (context, { width, height }) => {
    const place = placeOf(equityChart);
    facts.symbols.slice(0, 12).forEach((symbol, row) => {
      for (const [from, to, regime] of stretches(facts.regimes[symbol] ?? [], first, facts.to_ms)) {
        const left = Math.max(0, place(indexAmong(times, seconds(from)))), right = Math.min(width, place(indexAmong(times, seconds(to))));
        if (right <= left) continue;
        context.fillStyle = regimeColour(regime);
        context.fillRect(left, height - strips + row * STRIP, Math.max(right - left, 0.5), STRIP - 1.5);
      }
    });
  });
}

function equityLegend(facts, hold, left) {
  const parts = [["equity", "Equity"], ["fall", "Drawdown, %"], ...(holdShown ? [["hold", left ? "Buy and hold, on the left scale" : "Buy and hold"]] : [])];
  byId("equity-legend").replaceChildren(
    ...parts.map(([part, text]) => element("span", { class: "key", "data-part": part }, element("span", {}, text))),
    hold.length ? element("button", {
      type: "button", class: "chip", "aria-pressed": String(holdShown),
      onclick: () => { holdShown = !holdShown; drawEquity(facts); },
    }, "Buy and hold") : null,
  );
  regimeLegend(byId("regime-legend"), facts.regimes);
}

function equityWords(facts, equity, hold) {
  const deepest = equity.reduce((most, { fall }) => Math.max(most, fall), 0);
  const bought = hold.length
    ? ` The same money in equal parts of ${facts.symbols.join(", ")}, bought at the start and left alone, without costs: ${money(hold.at(-1).value)} USDT.` : "";
  const shown = facts.symbols.slice(0, 12).join(", ");
  byId("equity-words").textContent = `Equity from ${money(equity[0].value)} to ${money(equity.at(-1).value)} USDT; at most ${deepest.toFixed(2)} % below its high.${bought} `
    + `The strips at the bottom are the regimes of ${shown}, from top to bottom. Drag to move, pinch or turn the wheel to zoom.`;
}
