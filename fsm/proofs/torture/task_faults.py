"""Faults of our own in what runs beside trading: a supervised task raises where it waits, as any await of it could."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

from fsm.live.process.supervisor import Background, Supervisor, name_of
from fsm.proofs.torture.plan import Disturbance

ERRORS: dict[str, Callable[[str], Exception]] = {
    "RuntimeError": RuntimeError,
    "KeyError": KeyError,
    "OSError": lambda text: OSError(5, text),
    "ZeroDivisionError": ZeroDivisionError,
}


class TaskFaults:
    """One for each process: every task that its supervisor begins can be made to raise."""

    def __init__(self) -> None:
        self.raised = 0
        self._supervisor: Supervisor | None = None
        self._errors: dict[str, Exception] = {}
        self._lasting: dict[str, None] = {}

    def lay(self, supervisor: Supervisor) -> None:
        """Stand between this supervisor and what it begins from now on."""
        begin = supervisor.begin
        self._supervisor, self._errors, self._lasting = supervisor, {}, {}

        def begun(work: Background, name: str = "", *, needs_journal: bool = False) -> Any:
            name = name or name_of(work)
            return begin(lambda: _Stepped(self, name, work()), name, needs_journal=needs_journal)

        setattr(supervisor, "begin", begun)  # noqa: B010 - a method of this one object

    def strike(self, what: Disturbance) -> None:
        """The next so many tasks, counted from the one that ``amount`` points at, raise as they are resumed."""
        names = list(self._lasting)
        first = int(what.amount * len(names))
        for name in (names[first:] + names[:first])[: what.count]:
            self._errors[name] = ERRORS[what.what]("a fault of our own")

    def idle(self) -> list[str]:
        """Tasks that go on for ever and are not at work now."""
        tended = {} if self._supervisor is None else self._supervisor.tended
        return [name for name in self._lasting if not tended[name].is_working]

    def begins(self, name: str) -> None:
        self._lasting[name] = None

    def returned(self, name: str) -> None:
        self._lasting.pop(name, None)

    def due(self, name: str) -> Exception | None:
        error = self._errors.pop(name, None)
        self.raised += error is not None
        return error


class _Stepped:
    """An awaitable that goes the steps of another one, in the same task, until it is told to raise at one of them."""

    def __init__(self, task_faults: TaskFaults, name: str, work: Awaitable[None]) -> None:
        self._mines, self._name, self._work = task_faults, name, work

    def __await__(self) -> Generator[Any, Any, None]:
        self._mines.begins(self._name)
        steps = self._work.__await__()
        thrown: BaseException | None = None
        while True:
            try:
                waits_for = steps.send(None) if thrown is None else steps.throw(thrown)
            except StopIteration:
                self._mines.returned(self._name)
                return
            try:
                thrown = None
                yield waits_for
                thrown = self._mines.due(self._name)
            except BaseException as error:  # a cancellation goes where it belongs
                thrown = error
