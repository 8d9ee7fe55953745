"""What the simulator can bear: requests a second, how fast its clock can run, and its memory, by number of symbols.

Symbols are clones of the recorded ones under invented names. The client is a bare socket loop on the same machine, so
the figures are those of the server and its share of the processor.

    python benchmarks/simulator_rate.py [--requests N] [--symbols 5,300] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from exchange.binance.signing import query, signed
from exchange.secrets import Secret
from exchange.sim.playback.symbols import shipped_exchange_info, shipped_folder
from exchange.sim.server.launch import Launched, launched

CONNECTIONS = 4
PARDON_EVERY = 50  # requests of a connection between two that clear the rate limits
ADVANCE_HOURS = 500


def clones(folder: Path, number: int) -> None:
    """A data folder of so many symbols."""
    recorded = sorted(shipped_folder().glob("*-1h.csv.gz"))
    originals = [path.name.partition("-")[0] for path in recorded if "mark" not in path.name]
    rows = {row["symbol"]: row for row in shipped_exchange_info()["symbols"]}  # type: ignore[attr-defined]
    tables = {row["symbol"]: row for row in json.loads((shipped_folder() / "brackets.json").read_text())}
    names = {
        f"C{index:03}{originals[index % len(originals)]}": originals[index % len(originals)] for index in range(number)
    }
    for name, original in names.items():
        (folder / f"{name}-1h.csv.gz").symlink_to(shipped_folder() / f"{original}-1h.csv.gz")
    info = {"symbols": [{**rows[original], "symbol": name} for name, original in names.items()]}
    (folder / "symbols.json").write_text(json.dumps(info))
    (folder / "brackets.json").write_text(
        json.dumps([{**tables[original], "symbol": name} for name, original in names.items()])
    )


class Loop:
    """Sends one kind of request over and over on one connection."""

    def __init__(self, sim: Launched, target: Callable[[int], str], headers: str = "") -> None:
        self._host = urlsplit(sim.rest)
        self._target = target
        self._headers = headers
        self.seconds: list[float] = []

    async def run(self, requests: int) -> None:
        reader, writer = await asyncio.open_connection(self._host.hostname, self._host.port)
        for number in range(requests):
            if number % PARDON_EVERY == 0:
                await self._once(reader, writer, "DELETE /sim/v1/faults")
            began = time.perf_counter()
            status = await self._once(reader, writer, self._target(number))
            self.seconds.append(time.perf_counter() - began)
            if status != 200:
                raise RuntimeError(f"{self._target(number)}: HTTP {status}")
        writer.close()

    async def _once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str) -> int:
        writer.write(f"{line} HTTP/1.1\r\nHost: {self._host.netloc}\r\n{self._headers}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        return int(head.split(b" ")[1])


async def rate(sim: Launched, requests: int, target: Callable[[int], str], headers: str = "") -> dict[str, float]:
    loops = [Loop(sim, target, headers) for _ in range(CONNECTIONS)]
    began = time.perf_counter()
    await asyncio.gather(*(loop.run(requests // CONNECTIONS) for loop in loops))
    took = time.perf_counter() - began
    times = sorted(second for loop in loops for second in loop.seconds)
    return {
        "requests_per_s": round(len(times) / took),
        "p50_ms": round(statistics.median(times) * 1_000, 2),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1_000, 2),
    }


def memory_mb(pid: int) -> float:
    """Resident memory of the server."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def measure(symbols: int, requests: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as scratch:
        clones(Path(scratch), symbols)
        began = time.perf_counter()
        with launched("--data", scratch, "--speed", "0", "--balance", "1000000") as sim:
            started_s = round(time.perf_counter() - began, 2)
            return {"symbols": symbols, "start_s": started_s, **asyncio.run(measured(sim, requests))}


async def measured(sim: Launched, requests: int) -> dict[str, object]:
    name = sim.symbols[0]
    key = f"X-MBX-APIKEY: {sim.api_key}\r\n"
    async with httpx.AsyncClient(base_url=sim.rest, trust_env=False, verify=False, timeout=300) as client:
        now_ms = (await client.get("/sim/v1/clock")).json()["serverTime"]

        def private(call: str, **params: str) -> str:
            method, _, path = call.partition(" ")
            return f"{method} {path}?{signed(query({**params, 'timestamp': str(now_ms)}), Secret(sim.api_secret))}"

        order = {"symbol": name, "side": "BUY", "type": "MARKET", "quantity": "0.001"}
        found: dict[str, object] = {
            "ping": await rate(sim, requests, lambda _: "GET /fapi/v1/ping"),
            "klines_limit_3": await rate(
                sim,
                requests,
                lambda number: (
                    f"GET /fapi/v1/klines?symbol={sim.symbols[number % len(sim.symbols)]}&interval=4h&limit=3"
                ),
            ),
            "klines_limit_1500": await rate(
                sim,
                max(requests // 20, CONNECTIONS),
                lambda _: f"GET /fapi/v1/klines?symbol={name}&interval=1h&limit=1500",
            ),
            "positionRisk": await rate(sim, requests, lambda _: private("GET /fapi/v3/positionRisk", symbol=name), key),
            "order": await rate(sim, requests, lambda _: private("POST /fapi/v1/order", **order), key),
        }
        began = time.perf_counter()
        await client.post("/sim/v1/advance", json={"ms": ADVANCE_HOURS * 3_600_000})
        found["simulated_hours_per_s"] = round(ADVANCE_HOURS / (time.perf_counter() - began))
    found["memory_mb"] = memory_mb(sim.pid)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--symbols", default="5,300")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    results = [measure(int(number), given.requests) for number in given.symbols.split(",")]
    if given.json:
        print(json.dumps(results))
        return
    for result in results:
        print(f"{result['symbols']} symbols: ready after {result['start_s']} s, {result['memory_mb']} MB")
        print(f"  clock: up to {result['simulated_hours_per_s']} simulated hours a second")
        for name, figures in result.items():
            if isinstance(figures, dict):
                told = ", ".join(f"{value} {what.replace('_', ' ')}" for what, value in figures.items())
                print(f"  {name}: {told}")


if __name__ == "__main__":
    main()
