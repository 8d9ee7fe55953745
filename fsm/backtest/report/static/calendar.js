// One square for each day, a column a week: green where equity rose, red where it fell, stronger where it moved more.

const SQUARE = 13;

function drawCalendar(facts) {
  const sizes = facts.days.map(([, pct]) => Math.abs(pct)).filter((pct) => pct > 0).sort((a, b) => a - b);
  const strong = sizes[Math.floor(sizes.length * 0.95)] ?? 1;
  const byYear = Map.groupBy ? Map.groupBy(facts.days, ([day]) => day.slice(0, 4)) : facts.days.reduce(
    (found, day) => found.set(day[0].slice(0, 4), [...(found.get(day[0].slice(0, 4)) ?? []), day]), new Map());
  byId("calendar").replaceChildren(...[...byYear].reverse().map(([year, days]) => element("div", {}, element("p", {}, year), yearOf(year, days, strong))));
  if (facts.days.length === 0) return;
  const best = facts.days.reduce((most, day) => (day[1] > most[1] ? day : most));
  const worst = facts.days.reduce((least, day) => (day[1] < least[1] ? day : least));
  const up = facts.days.filter(([, pct]) => pct > 0).length, down = facts.days.filter(([, pct]) => pct < 0).length;
  byId("calendar-words").textContent = `${up} days rose, ${down} fell, ${facts.days.length - up - down} stood still. `
    + `Best ${best[0]} (${best[1].toFixed(2)} %), worst ${worst[0]} (${worst[1].toFixed(2)} %). Days are UTC, from equity.`;
}

function yearOf(year, days, strong) {
  const first = Date.UTC(Number(year), 0, 1), offset = (new Date(first).getUTCDay() + 6) % 7;
  const squares = days.map(([day, pct, change, net]) => {
    const number = (Date.parse(`${day}T00:00:00Z`) - first) / DAY + offset;
    return drawn("rect", {
      x: Math.floor(number / 7) * SQUARE, y: 14 + (number % 7) * SQUARE, width: SQUARE - 2, height: SQUARE - 2, rx: 2,
      class: pct > 0 ? "up" : pct < 0 ? "down" : "none",
      "fill-opacity": pct === 0 ? 1 : Math.min(1, 0.25 + 0.75 * Math.abs(pct) / strong).toFixed(2),
    }, drawn("title", {}, `${day}: equity ${pct > 0 ? "+" : ""}${pct.toFixed(2)} % (${money(change)} USDT), closed trades ${money(net)} USDT`));
  });
  const names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"].map((name, month) =>
    drawn("text", { x: Math.floor(((Date.UTC(Number(year), month, 1) - first) / DAY + offset) / 7) * SQUARE, y: 10, class: "tick" }, name));
  const up = days.filter(([, pct]) => pct > 0).length, down = days.filter(([, pct]) => pct < 0).length;
  return drawn("svg", { viewBox: `0 0 ${54 * SQUARE} ${14 + 7 * SQUARE}`, role: "img", "aria-label": `${year}: ${up} days rose, ${down} fell` }, ...names, ...squares);
}
