"""Explores every state that the engine can reach on an abstract exchange, breadth first, and checks what must hold."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter, process_time

import msgspec

from exchange.types import OrderType
from fsm.core.model.records import State
from fsm.proofs.modelcheck.invariants import CLAIMS, Violation
from fsm.proofs.modelcheck.nondeterminism import LEAVES, Choice, Nondeterminism
from fsm.proofs.modelcheck.shell import Shell
from fsm.proofs.modelcheck.world import ModelState
from fsm.proofs.testkit.breaking import BrokenEngine, broken

FAIR_STEPS_MAX = 80
"""A symbol that has not come to rest after so many steps with a fair exchange is stuck."""

VIOLATIONS_MAX = 5
DEPTH_DEFAULT = 4


class Root(msgspec.Struct, frozen=True):
    """Where an exploration starts: the kind of entry, and the choices that lead there from an empty account.

    ``less``: by how many choices it goes less deep than others, since more may happen there at once.
    """

    name: str
    entry_type: OrderType
    prefix: tuple[str, ...] = ()
    less: int = 0


_TO_PROTECTED = (
    "a candle closes: go long", "the setup is done", "the entry is filled", "the stop rests", "the target 1 rests",
    "the target 2 rests", "a look",
)  # fmt: skip
ROOTS = (
    Root("an empty account, MARKET entries", OrderType.MARKET),
    Root("an empty account, LIMIT entries", OrderType.LIMIT),
    Root("an entry about to be sent", OrderType.MARKET, _TO_PROTECTED[:2]),
    Root(
        "an entry given up that is still on its way",
        OrderType.MARKET,
        (
            *_TO_PROTECTED[:2],
            "the entry is still on its way, and nobody hears",
            "a patient look",
            "a patient look",
        ),
    ),
    Root("a protected trade", OrderType.MARKET, _TO_PROTECTED, less=1),
    Root("a stop about to be moved", OrderType.MARKET, (*_TO_PROTECTED, "a candle closes: the stop follows"), less=1),
    Root("a part about to be closed by hand", OrderType.MARKET, (*_TO_PROTECTED, "the operator closes half"), less=1),
    Root("a stop about to be loosened", OrderType.MARKET, (*_TO_PROTECTED, "the operator loosens the stop"), less=1),
    Root("a target about to be moved", OrderType.MARKET, (*_TO_PROTECTED, "the operator moves target 2"), less=1),
    Root("a trade whose symbol left the list", OrderType.MARKET, (*_TO_PROTECTED, LEAVES), less=1),
    Root("a trade about to be released", OrderType.MARKET, (*_TO_PROTECTED, "the operator releases it"), less=1),
    Root("a trade about to be closed", OrderType.MARKET, (*_TO_PROTECTED, "the operator flattens")),
)
"""Each exploration begins at all of these."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """A counterexample: from which root, by which choices (they replay it), and what is wrong at their end."""

    root: str
    claim: str
    means: str
    found: str
    choices: tuple[str, ...]
    lines: tuple[str, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was tried and what was found. ``cases`` are the transitions and the steps to rest, each checked in full.

    ``rows`` counts the different journal rows that were written, by state, trigger and reason. A busy machine does not
    stretch ``cpu_seconds``.
    """

    cases: int
    states: int
    transitions: int
    fair_steps: int
    rows: int
    depth: int
    seconds: float
    cpu_seconds: float
    by_root: dict[str, int]
    violations: tuple[Story, ...]


@dataclass(slots=True)
class _Node:
    """A state that was reached, and by which choice from which other."""

    world: ModelState | None
    parent: _Node | None
    choice: str
    depth: int

    def path(self) -> tuple[str, ...]:
        names: list[str] = []
        node: _Node | None = self
        while node is not None and node.parent is not None:
            names.append(node.choice)
            node = node.parent
        return tuple(reversed(names))


@dataclass(slots=True)
class _Exploration:
    """All states reachable from one root, to a depth."""

    root: Root
    shell: Shell
    depth: int
    stop_after: int
    states: int = 0
    transitions: int = 0
    fair_steps: int = 0
    stories: list[Story] = field(default_factory=list)
    _fine: set[object] = field(default_factory=set)
    _reported: set[str] = field(default_factory=set)

    def run(self) -> None:
        choices = Nondeterminism(self.shell)
        start = self._start()
        seen: set[object] = {start.key()}
        waiting = deque([_Node(start, None, "", 0)])
        while waiting and len(self.stories) < self.stop_after:
            node = waiting.popleft()
            assert node.world is not None
            self.states += 1
            self._must_come_to_rest(node)
            if node.depth < self.depth:
                for child in self._children(node, choices):
                    assert child.world is not None
                    key = child.world.key()
                    if key not in seen:
                        seen.add(key)
                        waiting.append(child)
            node.world = None

    def _start(self) -> ModelState:
        world = ModelState()
        for name in self.root.prefix:
            world = take(self.shell, world, name)
        return world

    def _children(self, node: _Node, choices: Nondeterminism) -> Iterator[_Node]:
        assert node.world is not None
        names = [name for name, _ in choices.of(node.world)]
        for place, name in enumerate(names):
            self.transitions += 1
            try:
                world = self.shell.enter(node.world)
                choices.of(world)[place][1]()
                self.shell.settle()
            except Violation as violation:
                self._report(node, (name,), violation)
                continue
            yield _Node(world, node, name, node.depth + 1)

    def _must_come_to_rest(self, node: _Node) -> None:
        """Follow the fair choices from here until a state from which the way is known already."""
        assert node.world is not None
        names: list[str] = []
        passed: list[object] = []
        try:
            come_to_rest(self.shell, node.world, self._fine, names, passed)
        except Violation as violation:
            self._report(node, tuple(names), violation)
        else:
            self._fine.update(passed)
        self.fair_steps += len(names)

    def _report(self, node: _Node, more: tuple[str, ...], violation: Violation) -> None:
        """The first, and so shortest, story of each claim."""
        if violation.claim in self._reported:
            return
        self._reported.add(violation.claim)
        names = (*self.root.prefix, *node.path(), *more)
        self.stories.append(
            Story(
                root=self.root.name,
                claim=violation.claim,
                means=CLAIMS[violation.claim],
                found=violation.found,
                choices=names,
                lines=tell_story(self.shell, names),
            )
        )


def is_at_rest(world: ModelState) -> bool:
    """Flat with nothing of ours left but a stop that covers what is somebody else's, or protected by a stop that covers
    everything; and nothing waits to be done."""
    if world.rows or world.search is not None or world.owed_ms is not None:
        return False
    record, venue = world.record, world.venue
    if record.state in (State.IDLE, State.HALT):
        covering = {algo.client_id for algo in venue.live_stops()} if venue.position and not venue.bare else set()
        return record.trade is None and venue.ours == 0 and not set(venue.open_ids()) - covering
    trade = record.trade
    remembered = trade is not None and trade.uncovered_ms is None and trade.open_quantity == abs(venue.position)
    covers = any(algo.quantity is None for algo in venue.live_stops())
    if trade is not None and (trade.part is not None or any(target.is_moving for target in trade.targets)):
        return False  # what was asked for by hand is not over
    return record.state is State.PROTECTED and remembered and venue.position != 0 and covers


def come_to_rest(
    shell: Shell,
    world: ModelState,
    fine: Set[object],
    names: list[str] | None = None,
    passed: list[object] | None = None,
) -> ModelState:
    """Take fair choices until the symbol is at rest, or in a state that is known to get there.

    ``names`` and ``passed`` collect the choices and the states on the way. Raises Violation where it is stuck.
    """
    names, passed = [] if names is None else names, [] if passed is None else passed
    choices = Nondeterminism(shell)
    for _ in range(FAIR_STEPS_MAX):
        key = world.key()
        if key in fine:
            return world
        passed.append(key)
        if is_at_rest(world):
            return world
        world = shell.enter(world)
        name, act = choices.fair(world)
        names.append(name)
        act()
        shell.settle()
    raise Violation("NO_STUCK_STATE", f"{world.record.state} still, {len(names)} fair steps later")


def take(shell: Shell, world: ModelState, name: str) -> ModelState:
    """The world after the choice of this name. Raises Violation where a claim breaks, KeyError for a wrong name."""
    after = shell.enter(world)
    found: dict[str, Callable[[], None]] = dict(_everything(shell, after))
    found[name]()
    shell.settle()
    return after


def _everything(shell: Shell, world: ModelState) -> list[Choice]:
    choices = Nondeterminism(shell)
    return [*choices.of(world), choices.fair(world)]


def tell_story(shell: Shell, names: Sequence[str]) -> tuple[str, ...]:
    """Each choice with the rows that it led to, up to what is wrong."""
    world, lines = ModelState(), []
    for number, name in enumerate(names, 1):
        broken = ""
        try:
            world = take(shell, world, name)
        except Violation as violation:
            broken = str(violation)
        rows = "; ".join(f"{m.trigger} {m.reason} -> {m.record.state}" for m in shell.moves)
        if rows or broken or [name] != list(names[max(number - 2, 0) : number - 1]):
            lines.append(f"{number:>3}. {name}" + (f"   [{rows}]" if rows else ""))
        if broken:
            lines.append(f"     {broken}")
            break
    return tuple(lines)


def replay_story(names: Sequence[str], entry_type: OrderType, *, must_rest: bool = False) -> ModelState:
    """Take a story's choices again, from an empty account, and with ``must_rest`` fair ones after them.

    Raises Violation where a claim breaks, and KeyError for a choice that is not offered there.
    """
    shell, world = Shell(entry_type), ModelState()
    for name in names:
        world = take(shell, world, name)
    if must_rest:
        world = come_to_rest(shell, world, frozenset())
    return world


def check_model(
    depth: int = DEPTH_DEFAULT,
    *,
    roots: Sequence[Root] = ROOTS,
    stop_after: int = VIOLATIONS_MAX,
    shell_of: Callable[[OrderType], Shell] = Shell,
) -> Report:
    """Explore from every root to this depth; an exploration ends early after ``stop_after`` violations."""
    began, cpu_began = perf_counter(), process_time()
    done: list[_Exploration] = []
    for root in roots:
        exploration = _Exploration(root, shell_of(root.entry_type), max(depth - root.less, 1), stop_after)
        with _uncollected():
            exploration.run()
        done.append(exploration)
        if sum(len(each.stories) for each in done) >= stop_after:
            break
    states, transitions = sum(each.states for each in done), sum(each.transitions for each in done)
    fair_steps = sum(each.fair_steps for each in done)
    return Report(
        cases=transitions + fair_steps,
        states=states,
        transitions=transitions,
        fair_steps=fair_steps,
        rows=len(set().union(*(each.shell.journal.kinds for each in done))),
        depth=depth,
        seconds=round(perf_counter() - began, 3),
        cpu_seconds=round(process_time() - cpu_began, 3),
        by_root={each.root.name: each.states for each in done},
        violations=tuple(story for each in done for story in each.stories),
    )


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which would walk over all states again and again and find nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def check_variant(variant: BrokenEngine | None, depth: int = DEPTH_DEFAULT) -> Report:
    """Check a broken engine (None: the real one), less deep first, so that its story is short."""
    if variant is None:
        return check_model(depth)
    resends = variant.resends_entries
    with broken(variant):
        for less in range(1, depth + 1):
            report = check_model(less, stop_after=1, shell_of=lambda kind: Shell(kind, resend_entries=resends))
            if report.violations:
                break
    return report
