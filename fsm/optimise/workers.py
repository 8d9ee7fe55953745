"""Worker processes that try variants: one task each at a time, begun again when they die, ended with their client."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import msgspec

from fsm.backtest.ground import BacktestError
from fsm.optimise.evaluating import Bench, Kept, Refused
from fsm.optimise.parameters import Point, SearchError
from fsm.optimise.spans import Span

DEATHS_MAX = 3
"""A task that ended so many workers is not given to another one."""


class Task(msgspec.Struct, frozen=True):
    """A variant and what it is to be run over."""

    trial: int
    point: Point
    spans: tuple[Span, ...]


class Answer(msgspec.Struct, frozen=True):
    """``problem``: the data or the program could not do it, whatever the variant."""

    trial: int
    outcomes: dict[str, Kept] | None = None
    refused: str | None = None
    problem: str | None = None


def answered(bench: Bench, task: Task) -> Answer:
    """Do a task."""
    try:
        found = bench.kept(task.point, task.spans)
    except BacktestError as error:
        return Answer(task.trial, problem=str(error))
    if isinstance(found, Refused):
        return Answer(task.trial, refused=found.why)
    return Answer(task.trial, outcomes=found)


def work(pipe: Connection, bench: Bench) -> None:
    """The main of a worker. It ends when nobody holds the other end of its pipe any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the client's, which ends its workers
    try:
        while (task := pipe.recv()) is not None:
            pipe.send(answered(bench, task))
    except (EOFError, OSError):
        return


class _Worker:
    def __init__(self, bench: Bench) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=work, args=(theirs, bench), daemon=True)
        self.process.start()
        theirs.close()
        self.task: Task | None = None

    def give(self, task: Task) -> bool:
        """False: it is dead."""
        self.task = task
        try:
            self.pipe.send(task)
        except OSError:
            return False
        return True

    def taken(self) -> Answer | None:
        """What it answers; None: it died."""
        try:
            answer: Answer = self.pipe.recv()
        except (EOFError, OSError):
            return None
        self.task = None
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class LocalWorkers:
    """Processes on this machine."""

    def __init__(self, bench: Bench, count: int) -> None:
        self._bench = bench
        self._count = count
        self._workers: list[_Worker] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[Answer]:
        """Answers as they come. What died is begun again, and its task done again."""
        waiting, deaths = deque(tasks), dict[int, int]()
        while waiting or self._busy():
            self._hand_out(waiting, deaths)
            ready = wait([worker.pipe for worker in self._busy()])
            for worker in [each for each in self._busy() if each.pipe in ready]:
                task = worker.task
                assert task is not None, "it is busy"
                answer = worker.taken()
                if answer is None:
                    self._bury(worker, waiting, deaths)
                else:
                    yield answer

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.task is not None]

    def _hand_out(self, waiting: deque[Task], deaths: dict[int, int]) -> None:
        while waiting and len(self._busy()) < self._count:
            idle = next((worker for worker in self._workers if worker.task is None), None)
            if idle is None:
                idle = _Worker(self._bench)
                self._workers.append(idle)
            if not idle.give(waiting.popleft()):
                self._bury(idle, waiting, deaths)

    def _bury(self, worker: _Worker, waiting: deque[Task], deaths: dict[int, int]) -> None:
        """Its task goes to another one. Raises SearchError where that has ended too many."""
        self._workers.remove(worker)
        worker.end()
        task = worker.task
        assert task is not None, "it had one when it died"
        deaths[task.trial] = deaths.get(task.trial, 0) + 1
        if deaths[task.trial] >= DEATHS_MAX:
            raise SearchError(
                f"trial {task.trial} ended {DEATHS_MAX} workers (exit code {worker.process.exitcode}): is there enough "
                "memory? Take fewer --workers; what is done is kept"
            )
        waiting.appendleft(task)

    def close(self) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()


Started = Callable[[Sequence[Task]], Iterator[Answer]]
"""Does tasks, and gives their answers in any order."""
