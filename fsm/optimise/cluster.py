"""Runs the tasks of a search on a Dask cluster that is there: workers come, die and leave, the answers stay the same.

Everything that variants are tried on travels once to each worker, candles included, with a plugin that the scheduler
hands also to those that join later. A worker of another version of this program is refused: its answers would be
its own.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed import Client, Future, KilledWorker, WorkerPlugin, as_completed

from fsm.optimise.evaluating import Bench
from fsm.optimise.parameters import SearchError
from fsm.optimise.workers import Answer, Task, answered

ROOMS = ("fsm", "rules", "indicators", "exchange", "store")
"""Whose source decides what comes of a variant."""

ANSWERED_S = 10
"""How long a scheduler may take to answer."""

AHEAD = 500
"""Tasks that are with the scheduler at once: enough for hundreds of workers, and a client that ends leaves no more."""

_here: dict[str, Bench | str] = {}
"""On a worker, by study: what it tries variants on, or why it cannot."""
_turn = threading.Lock()
"""A worker may have several threads; what it tries variants on has one user at a time."""


class ClusterWorkers:
    """Workers behind the scheduler at an address. Raises SearchError where nobody answers there."""

    def __init__(self, bench: Bench, address: str) -> None:
        packed = pickle.dumps((bench, bench.prepared.ground, bench.recorded))
        self._key = hashlib.sha256(packed).hexdigest()[:16]
        try:
            self._client: Any = Client(address, timeout=ANSWERED_S, set_as_default=False)
            self._client.register_plugin(Handed(self._key, packed), self._key)
        except (OSError, ValueError) as error:
            raise SearchError(f"no Dask scheduler answers at {address} ({error}): begin one") from None

    def run(self, tasks: Sequence[Task]) -> Iterator[Answer]:
        """Answers as they come."""
        waiting = iter(tasks)
        first = [self._given(task) for _, task in zip(range(AHEAD), waiting, strict=False)]
        done: Any = as_completed(first, loop=self._client.loop)
        for future in done:
            yield self._answer(future)
            if (task := next(waiting, None)) is not None:
                done.add(self._given(task))

    def _given(self, task: Task) -> Any:
        name = f"{self._key}-{task.trial}-{'-'.join(span.name for span in task.spans)}"
        return self._client.submit(try_there, self._key, task, key=name, pure=False)

    def _answer(self, future: Future[Any]) -> Answer:
        try:
            answer: Answer = future.result()
        except KilledWorker as error:
            raise SearchError(
                f"{error}; have the workers enough memory? What is done is kept: the same command goes on from here"
            ) from None
        except Exception as error:
            raise SearchError(
                f"a task was lost ({type(error).__name__}: {error}); what is done is kept: the same command goes on"
            ) from None
        if answer.problem is not None:
            raise SearchError(answer.problem)
        return answer

    def close(self) -> None:
        with suppress(OSError, ValueError, TimeoutError):
            self._client.unregister_worker_plugin(self._key)
        self._client.close()


class Handed(WorkerPlugin):  # type: ignore[misc]  # distributed is not there where types are checked
    """Hands a worker what it tries variants on; the scheduler gives it to each one that joins."""

    def __init__(self, key: str, packed: bytes) -> None:
        self.name = key
        self._packed = packed
        self._version = version()

    def setup(self, worker: Any) -> None:
        if self._version != version():
            _here[self.name] = (
                f"the worker {worker.address} has another version of this program: install the same one there"
            )
            return
        bench, ground, real = pickle.loads(self._packed)  # noqa: S301 - from the scheduler, whose code a worker runs
        _here[self.name] = bench.standing_on(ground, real)

    def teardown(self, worker: Any) -> None:
        _here.pop(self.name, None)


def try_there(key: str, task: Task) -> Answer:
    """On a worker: do a task."""
    bench = _here.get(key)
    if bench is None:
        raise RuntimeError("this worker was not told what to try variants on")
    if isinstance(bench, str):
        return Answer(task.trial, problem=bench)
    with _turn:
        return answered(bench, task)


def version() -> str:
    """SHA-256 of the source of all that decides."""
    root, found = Path(__file__).parents[2], hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*.py")):
        found.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return found.hexdigest()
