// Unpacks what the page was given: its facts as JSON, and columns of numbers (fsm/backtest/report/packing.py).
"use strict";

const BYTES_A_NUMBER = 4;

async function unpacked() {
  const packed = Uint8Array.from(atob(byId("packed").textContent.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Response(packed).body.pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const told = new DataView(bytes.buffer).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + told)));
  return { ...facts, columns: bytes.subarray(4 + told) };
}

// One column: its first byte, how many numbers, and the step that they are whole numbers of. Nothing is NaN.
function numbers(columns, [first, count], step) {
  const found = new Float64Array(count);
  const decimals = Math.max(0, Math.round(-Math.log10(step)));
  const scale = 10 ** decimals;
  let held = 0;
  for (let index = 0; index < count; index += 1) {
    let code = 0;
    for (let byte = BYTES_A_NUMBER - 1; byte >= 0; byte -= 1) code = code * 256 + columns[first + byte * count + index];
    if (code === 0) { found[index] = NaN; continue; }
    code -= 1;
    held += code % 2 ? -(code + 1) / 2 : code / 2;
    found[index] = decimals ? held / scale : held * step;
  }
  return found;
}
