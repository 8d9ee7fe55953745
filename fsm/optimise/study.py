"""A study: what is searched for, over what, and every variant that was tried; goes on where it was left."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from fsm.optimise.evaluating import Kept
from fsm.optimise.goals import Goal
from fsm.optimise.parameters import Parameter, Point, SearchError, drawn, grid
from fsm.optimise.spans import WHOLE, Fold, Span, Walk
from fsm.optimise.workers import Answer, Task
from store.studies import StudyStore, TrialRow

AS_IT_IS = 0
"""The trial of the rules as they are, beside those of the search; it is never chosen."""

Work = Callable[[Sequence[Task]], Iterator[Answer]]
"""Does tasks, and gives their answers in any order."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what a study comes to. Another plan is another study."""

    rules_text: str
    rules_name: str
    rules_hash: str
    config_hash: str
    data_hash: str
    symbols: tuple[str, ...]
    timeframe: str
    whole: Span
    folds: tuple[Fold, ...]
    walk: Walk
    parameters: tuple[Parameter, ...]
    sampler: str
    trials: int
    seed: int
    goal: Goal
    luck: int
    native: bool = False

    @property
    def key(self) -> str:
        """Eight hexadecimal digits; a study without a name is called by them."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:8]

    @property
    def learns(self) -> bool:
        """Whether points depend on what came of earlier ones."""
        return self.sampler == "optuna"

    def searched_in(self, search: int) -> tuple[Span, ...]:
        """Every span that a variant of a search is run over. 0 is the search over the whole, 1 that of the first
        window, and so on; points that were drawn without looking are run over all."""
        return (self.searched[search],) if self.learns and search >= 0 else self.searched

    @property
    def searched(self) -> tuple[Span, ...]:
        """Every span that each variant is run over."""
        return (self.whole, *(fold.train for fold in self.folds))

    def span(self, name: str) -> Span:
        every = (self.whole, *(span for fold in self.folds for span in (fold.train, fold.test)))
        return next(span for span in every if span.name == name)


class Found(msgspec.Struct, frozen=True):
    """A variant that is better than all before it."""

    trial: int
    point: Point
    figures: dict[str, int | float | None]


@dataclass(frozen=True)
class Heard:
    """Whom a search tells how far it is, of each better variant, and of all rules that were run, by their hash."""

    progress: Callable[[str, int, int], None]
    better: Callable[[Found], None]
    ran: Callable[[str], None] = lambda rules_hash: None


class Study:
    """A plan with what was tried of it so far."""

    def __init__(self, plan: Plan, store: StudyStore) -> None:
        self.plan = plan
        self._store = store

    @classmethod
    def begin(cls, plan: Plan, store: StudyStore) -> Study:
        """A new one, or the same one again. Raises SearchError where the file holds a study of another plan."""
        known = store.fact("plan")
        if known is None:
            study = cls(plan, store)
            store.remember({"plan": plan})
            return study
        found = msgspec.convert(known, Plan)
        if differing := _differing(found, plan):
            raise SearchError(
                f"{store.path} is a study with other {', '.join(differing)}: name another with --study, or ask for the "
                "same again to go on with it"
            )
        return cls(found, store)

    @classmethod
    def read(cls, store: StudyStore) -> Study:
        """Raises SearchError where it holds none yet."""
        known = store.fact("plan")
        if known is None:
            raise SearchError(f"{store.path} holds no study yet")
        return cls(msgspec.convert(known, Plan), store)

    def points(self) -> None:
        """Lay down the rules as they are, and the points of a search that draws them all at once."""
        if self._store.trials():
            return
        plan, first = self.plan, TrialRow(AS_IT_IS, -1, {})
        if plan.learns:
            self._store.add([first])
            return
        found = grid(plan.parameters) if plan.sampler == "grid" else drawn(plan.parameters, plan.trials, plan.seed)
        self._store.add([first, *(TrialRow(number, 0, dict(point)) for number, point in enumerate(found, start=1))])

    def trials(self) -> list[TrialRow]:
        return self._store.trials()

    def add(self, trials: Iterable[TrialRow]) -> None:
        self._store.add(trials)

    def search(self, work: Work, heard: Heard) -> None:
        """Run every variant over every span that it is searched in, those that were run before left out."""
        plan = self.plan
        while True:
            self.run([(each.number, plan.searched_in(each.search)) for each in self.trials()], work, heard)
            if not plan.learns or not self._drawn():
                return

    def _drawn(self) -> bool:
        """Lay down the next points of every search that learns; False where all have come to their end."""
        from fsm.optimise.sampler import next_batch  # Optuna is an extra, and takes a second to load

        plan, trials = self.plan, self.trials()
        number, found = len(trials), list[TrialRow]()
        for search, span in enumerate(plan.searched):
            figures = self.figures(span.name)
            tried = [(dict(each.point), figures.get(each.number)) for each in trials if each.search == search]
            points = next_batch(
                plan.parameters, plan.goal, tried, seed=plan.seed, search=search, most=plan.trials - len(tried)
            )
            found += [TrialRow(number + place, search, dict(point)) for place, point in enumerate(points)]
            number += len(points)
        self.add(found)
        return bool(found)

    def run(self, wanted: Sequence[tuple[int, tuple[Span, ...]]], work: Work, heard: Heard, phase: str = "try") -> None:
        """Run trials over spans. What was run before is left out. Raises SearchError."""
        rows, done = {each.number: each for each in self.trials()}, self._store.done()
        tasks = [
            Task(number, dict(rows[number].point), left)
            for number, spans in wanted
            if rows[number].refused is None
            and (left := tuple(each for each in spans if (number, each.name) not in done))
        ]
        best = self._best_of(self.figures(WHOLE)) if phase == "try" else None
        finished = len(wanted) - len(tasks)
        heard.progress(phase, finished, len(wanted))
        for answer in work(tasks):
            self._keep(answer)
            finished += 1
            heard.progress(phase, finished, len(wanted))
            for rules_hash in {each.rules_hash for each in (answer.outcomes or {}).values()}:
                heard.ran(rules_hash)
            if phase == "try" and answer.outcomes is not None and answer.trial != AS_IT_IS:
                best = self._told(best, answer, rows, heard)

    def _keep(self, answer: Answer) -> None:
        if answer.problem is not None:
            raise SearchError(answer.problem)
        if answer.outcomes is None:
            self._store.refuse(answer.trial, answer.refused or "")
        else:
            self._store.put(answer.trial, {span: packed(each) for span, each in answer.outcomes.items()})

    def _best_of(self, runs: Mapping[int, Mapping[str, int | float | None]]) -> Found | None:
        """By the first objective: the places in several are known when all are there."""
        first = Goal(self.plan.goal.objectives[:1], self.plan.goal.requirements)
        order = first.ordered({trial: figures for trial, figures in runs.items() if trial != AS_IT_IS})
        return Found(order[0], {}, dict(runs[order[0]])) if order else None

    def _told(self, best: Found | None, answer: Answer, rows: Mapping[int, TrialRow], heard: Heard) -> Found | None:
        outcome = (answer.outcomes or {}).get(WHOLE)
        if outcome is None:
            return best
        runs = {answer.trial: outcome.figures} | ({best.trial: best.figures} if best is not None else {})
        now = self._best_of(runs)
        if now is None or now.trial != answer.trial:
            return best
        now = Found(now.trial, dict(rows[now.trial].point), now.figures)
        heard.better(now)
        return now

    def figures(self, span: str) -> dict[int, dict[str, int | float | None]]:
        """Of every variant that was run over it, by number."""
        return {trial: _head(outcome).figures for trial, outcome in self._store.outcomes(span)}

    def variants(self) -> set[str]:
        """The hashes of all rules that were run."""
        spans = [span.name for span in self.plan.searched]
        return {_head(kept).rules_hash for span in spans for _, kept in self._store.outcomes(span)}

    def outcome(self, trial: int, span: str) -> Kept | None:
        found = self._store.outcome(trial, span)
        return None if found is None else unpacked(found)

    def daily(self, span: str) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
        """The daily returns of every variant that was run over it, by number."""
        for trial, outcome in self._store.outcomes(span):
            yield trial, _returns(outcome)

    def chosen(self, span: str, search: int = 0) -> list[int]:
        """The variants of a search that may be chosen by what they did in a span, the best first.

        Points that were drawn without looking serve every window; those of a sampler that learns are their own
        window's alone, as others have learnt from what comes after it.
        """
        wanted = search if self.plan.learns else 0
        own = {each.number for each in self.trials() if each.number != AS_IT_IS and each.search == wanted}
        return self.plan.goal.ordered({trial: each for trial, each in self.figures(span).items() if trial in own})

    def judge(self, work: Work, heard: Heard) -> None:
        """Run the best of each window over the window that judges it, and the rules as they are over all of these."""
        wanted: dict[int, list[Span]] = {}
        for fold in self.plan.folds:
            for trial in (*self.chosen(fold.train.name, fold.number)[:1], AS_IT_IS):
                wanted.setdefault(trial, []).append(fold.test)
        self.run([(trial, tuple(spans)) for trial, spans in sorted(wanted.items())], work, heard, "judge")

    def fact(self, name: str) -> Any:
        return self._store.fact(name)

    def remember(self, facts: Mapping[str, Any]) -> None:
        self._store.remember(facts)


def _differing(known: Plan, asked: Plan) -> list[str]:
    """What of two plans differs, in words."""
    one, other = msgspec.structs.asdict(known), msgspec.structs.asdict(asked)
    ignored = ("rules_text", "rules_name")
    return [
        name.replace("_", " ").removesuffix(" hash") for name in one if name not in ignored and one[name] != other[name]
    ]


def packed(outcome: Kept) -> bytes:
    """As it is kept: most days of most variants changed nothing, so that the returns are small when packed."""
    returns = np.asarray(outcome.returns, dtype="<f8").tobytes()
    rest = msgspec.structs.replace(outcome, returns=[])
    head = msgspec.json.encode(rest)
    return len(head).to_bytes(4, "big") + head + zlib.compress(returns, 6)


def unpacked(kept: bytes) -> Kept:
    return msgspec.structs.replace(_head(kept), returns=_returns(kept).tolist())


def _returns(kept: bytes) -> npt.NDArray[np.float64]:
    size = int.from_bytes(kept[:4], "big")
    return np.frombuffer(zlib.decompress(kept[4 + size :]), dtype="<f8")


def _head(kept: bytes) -> Kept:
    """Without the returns."""
    size = int.from_bytes(kept[:4], "big")
    return msgspec.json.decode(kept[4 : 4 + size], type=Kept)
