"""The house keeps its shape: arrows between rooms, doors to other libraries, a pure core, sizes, names and words."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("fsm", "rules", "indicators", "exchange", "store", "web")

EXCHANGE_WORDS = (
    "exchange.types", "exchange.filters", "exchange.origin", "exchange.refusals", "exchange.client_ids",
    "exchange.day_volumes",
)  # fmt: skip
CORE = ("fsm.core", "rules", "indicators", *EXCHANGE_WORDS)
LOWER = ("rules", "indicators", "exchange", "store")
LIVE = ("fsm.live", "fsm.journal", "fsm.core", "fsm.config", "web", *LOWER)

# room or part of it → what of ours it may import. The longest matching entry counts.
ARROWS: dict[str, tuple[str, ...]] = {
    "indicators": ("indicators",),
    "rules": ("rules", "indicators"),
    "exchange": ("exchange", "indicators.candle"),
    # what the simulated exchange knows of paths and fields is its own: a wrong name must not be wrong on both sides
    "exchange/sim": (
        "exchange.certificates",
        "exchange.candle_columns",
        "exchange.candle_files",
        "exchange.rule_files",
        "exchange.client_ids",
        "exchange.day_volumes",
        "exchange.errors",
        "exchange.filters",
        "exchange.origin",
        "exchange.refusals",
        "exchange.sim",
        "exchange.types",
        "indicators.candle",
    ),
    "exchange/sim/core": (
        "exchange.client_ids",
        "exchange.errors",
        "exchange.filters",
        "exchange.origin",
        "exchange.refusals",
        "exchange.sim.core",
        "exchange.sim.playback.candle_path",
        "exchange.types",
    ),
    "exchange/sim/playback": (
        "exchange.candle_columns",
        "exchange.candle_files",
        "exchange.rule_files",
        "exchange.day_volumes",
        "exchange.errors",
        "exchange.filters",
        "exchange.origin",
        "exchange.refusals",
        "exchange.sim.core",
        "exchange.sim.playback",
        "exchange.types",
        "indicators.candle",
    ),
    # text to positions and problems, before anybody asks what it means; and expressions, before anybody asks whose
    "rules/source": ("rules.source",),
    "rules/language": ("rules.language", "indicators"),
    "store": ("store", "exchange.types", "indicators.candle"),
    "web": ("web", "store", "rules"),
    "fsm": ROOMS,
    "fsm/core": CORE,
    "fsm/core/model": tuple("fsm.core.model" if name == "fsm.core" else name for name in CORE),
    "fsm/config": ("fsm.config", "fsm.core.model", "rules", "indicators", "exchange", "web.tokens"),
    "fsm/journal": ("fsm.journal", "fsm.core", "fsm.config", "rules", "indicators", "exchange", "store"),
    "fsm/backtest": ("fsm.backtest", "fsm.journal", "fsm.core", "fsm.config", *LOWER),
    # the search tries variants of rules as backtests, and its page is made like that of a backtest
    "fsm/optimise": ("fsm.optimise", "fsm.search", "fsm.backtest", "fsm.core", "fsm.config", *LOWER),
    "fsm/search": ("fsm.search", "fsm.backtest", "fsm.core", "fsm.config", *LOWER),
    # a report is drawn with the chart library that the dashboard brings
    "fsm/backtest/report": ("fsm.backtest", "fsm.journal", "web.page", *LOWER),
    "fsm/live": LIVE,
    # how the embedded exchange starts asks a backtest for a moment that is worth seeing; and `doctor` goes the way of
    # the bot to the exchange, which bootstrap knows
    "fsm/live/process/embedded.py": (*LIVE, "fsm.backtest"),
    "fsm/live/preflight/preflight.py": (*LIVE, "fsm.bootstrap"),
}
# fmt: off
ONE_EXCHANGE = (
    "exchange/binance", "fsm/bootstrap.py",
    # the simulated exchange on the real one's prices
    "exchange/paper",
    # proofs of the real client itself, or with it
    "fsm/proofs/crashsweep/wired.py", "fsm/proofs/naked/broken_bots.py", "fsm/proofs/parity/stepped.py",
    "fsm/proofs/torture/front.py", "fsm/proofs/wire",
)
# fmt: on
PROVERS = ("fsm/proofs", "fsm/cli/proofs")
"""Who may import the proofs, beside tests and benchmarks: nothing that trades stands on what was made to break it."""

# fmt: off
OLD_PLACES = ("fsm/lab", "fsm/ledger.py", "fsm/why.py", "fsm/policies.py", "fsm/examination.py", "fsm/embedded.py")
OLD_WORDS = frozenset({
    "arithmetic", "audience", "bookkeeping", "books", "carrier", "carrying", "choices", "claims", "course", "desk",
    "doings", "fence", "garbage", "hours", "in_force", "judge", "kinds", "lab", "lane", "legs", "listening", "meaning",
    "opening", "pacing", "patient", "premises", "pulse", "rehearsal", "shared", "shield", "sight", "stranger",
    "stretches", "symbol_rules", "throttle", "vain", "variants", "watch", "weather", "window", "wishes",
})
# fmt: on
FLAT_NO_MORE = ("fsm/live", "fsm/proofs")
"""Packages that hold packages: a file beside these has not been given its place."""
FLAT_ALL_THE_SAME = frozenset({"fsm/live/__init__.py", "fsm/proofs/__init__.py", "fsm/proofs/overview.py"})

# library → where it may be imported
DOORS: dict[str, tuple[str, ...]] = {
    "talipp": ("indicators",),
    "numpy": (
        "indicators",
        "rules",
        "exchange/binance/public_history.py",
        "exchange/candle_columns.py",
        "exchange/candle_faults.py",
        "exchange/candle_files.py",
        "exchange/candle_store",
        "exchange/sim",
        "fsm/backtest",
        "fsm/proofs",
        "fsm/optimise",
        "fsm/search",
    ),
    "apprise": ("fsm/live/operator/apprised.py",),
    "numba": ("fsm/search/straight/compiled.py",),
    "optuna": ("fsm/optimise/sampler.py",),
    "distributed": ("fsm/optimise/cluster.py",),
    "pyarrow": ("exchange/candle_store/frames.py",),
    "yaml": ("rules", "exchange/sim/server/fault_file.py"),
    "prometheus_client": ("web",),
    "jsonschema": ("rules",),
    "httpx": ("exchange",),
    "websockets": ("exchange",),
    "starlette": ("web", "exchange/sim"),
    "uvicorn": ("web", "exchange/sim"),
    "h11": ("web/doorway.py",),
    "peewee": ("store",),
    "playhouse": ("store",),
    "apsw": ("store",),
    "transitions": ("fsm/core/machine.py",),
    "dotenv": ("fsm/config",),
    "telegram": ("fsm/live/operator/telegram.py",),
    "msgspec": ROOMS,
    "structlog": ("fsm", "rules", "indicators", "exchange", "store", "web"),
    "click": ("fsm", "exchange", "web"),
    "rich": ("fsm", "exchange", "web"),
}
CORE_LIBRARIES = frozenset({"msgspec", "transitions"})
# fmt: off
IMPURE_MODULES = frozenset({
    "asyncio", "builtins", "concurrent", "contextvars", "ctypes", "fileinput", "gc", "glob", "http", "importlib",
    "io", "logging", "multiprocessing", "os", "pathlib", "platform", "queue", "random", "sched", "secrets",
    "select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile",
    "threading", "time", "timeit", "urllib", "uuid", "warnings", "weakref",
})
# fmt: on
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval", "compile", "breakpoint", "__import__", "globals"})
WALL_CLOCK = frozenset({"now", "utcnow", "today"})

# What runs beside something else is begun in one place, the daemon's supervisor, which starts it again and says so
# (R72). The others are parts of one wait, which end with it: a symbol worker's calls and readings, a client's requests
# made together, a server's own loop, the lifeline's thread, the two streams of the terminal, calls that block.
BEGINNERS = ("fsm/live/process/supervisor.py", "fsm/live/process/daemon.py", "fsm/live/trading/symbol_worker.py",
             "fsm/live/trading/errands.py", "fsm/live/trading/hurry.py", "fsm/live/trading/lifeline.py",
             "fsm/live/trading/looking.py", "fsm/live/context/symbol_catalog.py", "fsm/proofs", "fsm/cli/outlet.py",
             "fsm/live/operator/courier.py",
             "exchange/binance", "exchange/paper", "exchange/sim",
             "web/bot_database.py", "web/events.py", "web/server.py")  # fmt: skip
BEGINNINGS = frozenset({"create_task", "ensure_future", "Thread", "Timer", "run_in_executor", "start_new_thread",
                        "run_coroutine_threadsafe", "ThreadPoolExecutor", "ProcessPoolExecutor"})  # fmt: skip

# Where words leave the process. A running bot writes through fsm/cli/outlet.py, which waits for nobody; so whatever
# runs inside it has events and logs, and no terminal (R71).
WRITERS = ("fsm/cli", "exchange/sim/__main__.py", "exchange/sim/server/serve.py", "exchange/sim/server/launch.py",
           "exchange/paper/__main__.py", "web/__main__.py")  # fmt: skip
WRITING_CALLS = frozenset({"print", "echo", "secho", "StreamHandler", "FileHandler", "basicConfig", "Console",
                           "PrintLogger", "PrintLoggerFactory", "WriteLogger", "WriteLoggerFactory"})  # fmt: skip
STREAMS = frozenset({"stdout", "stderr", "__stdout__", "__stderr__"})

# Which exchange runs, and whether it is real, is decided once; everything else is told what it needs.
MODE_DECIDERS = ("fsm/bootstrap", "fsm/config/", "exchange/environment.py")
MODES = frozenset({"backtest", "live", "sim", "paper", "testnet", "mainnet"})
MODE_NAMES = frozenset(
    {f"{prefix}{mode}" for prefix in ("", "is_", "in_") for mode in (*MODES, "dry_run", "simulated")}
)

EXCHANGE_NUMBER = re.compile(r"(?<![\w.-])-[1-9]\d{3}(?![\w-])")
"""Binance's negative four digits, in text."""

CORE_WAYS_MAX = 12
"""Cyclomatic complexity of a function of the core; parts of a condition count."""

CORE_CLAUSES_MAX = 3
"""Clauses of a condition that is tested where it stands; a longer one is a function that says what it is."""

FILE_LINES_MAX = 400
FUNCTION_LINES_USUAL, FUNCTION_USUAL_SHARE_MIN = 30, 0.90
FUNCTION_LINES_LONG, FUNCTION_LONG_SHARE_MAX = 50, 0.04
VAGUE_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc|stuff)($|_)")
MOCK_LIBRARIES = re.compile(r"(unittest\.)?mock(\.|$)|pytest_mock|flexmock|mockito|asynctest|doublex")


def spelt(text: str) -> str:
    """The text without its gaps, which keep this file free of what it forbids."""
    return text.replace("~", "")


FORBIDDEN_TEXT = re.compile(
    spelt(
        r"(?<![\w./-])/(?:w~ork|f~arm)(?=/|\b(?![\w-]))"
        r"|/opt/(?:p~ypi|w~heels)"
        r"|p~ypi\.org|p~ythonhosted\.org|p~roxy\.golang\.org|r~egistry\.npmjs\.org|a~rtifactory"
    )
)

Module = tuple[str, ast.Module]


def module_of(path: str, source: str) -> Module:
    return path, ast.parse(source)


@cache
def nodes_of(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All parts of a module, sought once: fifteen rules look at each."""
    return tuple(ast.walk(tree))


def imports_of(module: Module) -> Iterator[tuple[int, str]]:
    """Every imported name with its line, in full: ``from a.b import c`` is ``a.b.c``."""
    path, tree = module
    for node in nodes_of(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.removesuffix(".py").split("/")[: -node.level] if node.level else []
            start = ".".join([*package, *filter(None, [node.module])])
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def is_within(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in places)


def starts_with(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == entry or name.startswith(f"{entry}.") for entry in allowed)


def wrong_arrows(module: Module) -> Iterator[str]:
    path, _ = module
    room = max((entry for entry in ARROWS if is_within(path, (entry,))), key=len)
    for line, name in imports_of(module):
        if name.split(".")[0] in ROOMS and not starts_with(name, ARROWS[room]):
            yield f"{path}:{line}: {room} may not import {name}"


def uses_of_one_exchange(module: Module) -> Iterator[str]:
    """What trades knows the port; which exchange stands behind it is decided where the parts are joined."""
    path, _ = module
    if is_within(path, ONE_EXCHANGE):
        return
    for line, name in imports_of(module):
        if starts_with(name, ("exchange.binance",)):
            yield f"{path}:{line}: {name}: only fsm/bootstrap.py names an exchange; ask the port, or exchange/"


@cache
def port_classes() -> frozenset[str]:
    """Classes behind a port: they place orders and look, waiting for answers, or they are an event stream."""
    marks = ({"place_order", "place_algo", "look"}, {"run", "is_open", "expect"})
    found = (node for _, tree in modules_under(*ROOMS) for node in nodes_of(tree) if isinstance(node, ast.ClassDef))
    return frozenset(
        node.name
        for node in found
        if not any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
        and any(mark <= {getattr(part, "name", "") for part in node.body} for mark in marks)
        and any(isinstance(part, ast.AsyncFunctionDef) for part in node.body)
    )


def ports_built_elsewhere(module: Module) -> Iterator[str]:
    """What trades is handed its exchange, so that the same parts run before any other one."""
    path, tree = module
    if is_within(path, ("exchange", "fsm/bootstrap.py", "fsm/proofs")):
        return
    for node in nodes_of(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in port_classes():
                yield f"{path}:{node.lineno}: {called} stands behind a port: only fsm/bootstrap.py builds it"


CARRIERS = frozenset({"LiveContext", "Daemon", "JournalWriter"})
"""Who holds one of these is part of a running bot."""

JOINED_ONCE = frozenset({"LiveContext", "Daemon", "StreamListener"})
"""A test may put a single part before a daemon that runs, such as a reload; a second daemon it may not join."""


@cache
def live_parts() -> frozenset[str]:
    """Classes of the live shell that are made with its context, its daemon or its journal, and these themselves."""
    found = {"LiveContext", "JournalWriter"}
    for _, tree in modules_under("fsm/live"):
        for node in nodes_of(tree):
            if isinstance(node, ast.ClassDef):
                makers = (part.args for part in node.body if getattr(part, "name", "") == "__init__")
                given = [each.annotation for args in makers for each in (*args.args, *args.kwonlyargs)]
                if any(isinstance(kind, ast.Name) and kind.id in CARRIERS for kind in given):
                    found.add(node.name)
    return frozenset(found)


def live_parts_joined_elsewhere(module: Module) -> Iterator[str]:
    """Production and proofs have their daemon from one function; what differs is an argument of it."""
    path, tree = module
    is_product = path.split("/")[0] in ROOMS
    if is_within(path, ("fsm/live",)) or not any(starts_with(name, ("fsm.live",)) for _, name in imports_of(module)):
        return
    own = {node.name for node in nodes_of(tree) if isinstance(node, ast.ClassDef)}
    parts = (live_parts() if is_product else JOINED_ONCE) - own
    for node in nodes_of(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in parts:
                yield f"{path}:{node.lineno}: {called}: only fsm/live/process/assembly.py joins a daemon; call that"


def states_that_call_states(module: Module) -> Iterator[str]:
    """What two states share belongs to neither: it stands beside them in fsm/core."""
    path, _ = module
    if not is_within(path, ("fsm/core/states",)):
        return
    for line, name in imports_of(module):
        if starts_with(name, ("fsm.core.states",)):
            yield f"{path}:{line}: {name}: no state calls another; put what both need into fsm/core"


def states_that_reach_states(modules: Iterable[Module]) -> Iterator[str]:
    """Nor does it call one by way of what it shares."""
    core = {path.removesuffix(".py").replace("/", "."): (path, tree) for path, tree in modules}
    imported = {
        name: {each for each in core if any(starts_with(found, (each,)) for _, found in imports_of(module))} - {name}
        for name, module in core.items()
    }
    states = [name for name in core if starts_with(name, ("fsm.core.states",)) and not name.endswith("__init__")]
    for state in states:
        reached, ahead = {state}, [state]
        while ahead:
            further = imported[ahead.pop()] - reached
            reached |= further
            ahead += further
        for other in sorted(reached.intersection(states) - {state}):
            yield f"{core[state][0]}: reaches {other}: no state calls another, by way of whatever"


def uses_of_proofs(module: Module) -> Iterator[str]:
    path, _ = module
    if is_within(path, PROVERS):
        return
    for line, name in imports_of(module):
        if starts_with(name, ("fsm.proofs", "fsm.cli.proofs")):
            yield f"{path}:{line}: {name}: proofs are imported by their commands and by tests alone"


def old_places(module: Module) -> Iterator[str]:
    """What the restructuring of 2026-11-29 left, or renamed, does not come back under another roof."""
    path, _ = module
    parts = path.removesuffix(".py").split("/")
    if is_within(path, OLD_PLACES) or not OLD_WORDS.isdisjoint(parts):
        yield f"{path}: an old name: ARCHITECTURE.md says where things are now, and what they are called"
    folder = path.rpartition("/")[0]
    if folder in FLAT_NO_MORE and path not in FLAT_ALL_THE_SAME:
        yield f"{path}: give it its place in one of the packages of {folder}"


def wrong_doors(module: Module) -> Iterator[str]:
    path, _ = module
    for line, name in imports_of(module):
        library = name.split(".")[0]
        if library in ROOMS or library in sys.stdlib_module_names:
            continue
        if library not in DOORS:
            yield f"{path}:{line}: {library} has no door: add one with a reason, or do without"
        elif not is_within(path, DOORS[library]):
            yield f"{path}:{line}: {library} comes in only through {', '.join(DOORS[library])}"


def impurities(module: Module) -> Iterator[str]:
    path, tree = module
    if not is_within(path, ("fsm/core",)):
        return
    for line, name in imports_of(module):
        library = name.split(".")[0]
        if library in IMPURE_MODULES:
            yield f"{path}:{line}: the core is pure and may not import {library}"
        elif library not in (*ROOMS, *sys.stdlib_module_names, *CORE_LIBRARIES):
            yield f"{path}:{line}: the core may not import {library}"
    for node in nodes_of(tree):
        if isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)):
            yield f"{path}:{node.lineno}: the core never waits"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            yield f"{path}:{node.lineno}: the core may not call {node.func.id}"
        elif isinstance(node, ast.Attribute) and node.attr in WALL_CLOCK:
            yield f"{path}:{node.lineno}: the core may not read the clock ({node.attr})"
        elif isinstance(node, ast.Global):
            yield f"{path}:{node.lineno}: the core has no global state"


def numbers_of_an_exchange(module: Module) -> Iterator[str]:
    """The core knows reasons (``exchange/refusals.py``); the numbers behind them are the business of each client."""
    path, tree = module
    if not is_within(path, ("fsm/core",)):
        return
    for node in nodes_of(tree):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            value = node.operand.value
            if isinstance(value, int) and value >= 1000:
                yield f"{path}:{node.lineno}: -{value} is a number of one exchange: ask for the reason"
        elif isinstance(node, ast.Constant) and (found := EXCHANGE_NUMBER.search(str(node.value))):
            yield f"{path}:{node.lineno}: {found.group()} is a number of one exchange: ask for the reason"


def hasty_words(module: Module) -> Iterator[str]:
    path, tree = module
    if is_within(path, WRITERS):
        return
    for node in nodes_of(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in WRITING_CALLS:
                yield f"{path}:{node.lineno}: {called} may wait for whoever reads: log it, or tell the observer"
        elif isinstance(node, ast.Attribute) and node.attr in STREAMS and ast.unparse(node.value) == "sys":
            yield f"{path}:{node.lineno}: sys.{node.attr} may wait for whoever reads: log it, or tell the observer"


def loose_beginnings(module: Module) -> Iterator[str]:
    path, tree = module
    if is_within(path, BEGINNERS):
        return
    for node in nodes_of(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in BEGINNINGS:
                yield f"{path}:{node.lineno}: {called}: what runs beside trading is begun by the supervisor alone"


def lost_endings(module: Module) -> Iterator[str]:
    """On Python 3.11 ``wait_for`` forgets that it was cancelled where an answer comes at the same moment, and the task
    goes on for ever; ``asyncio.timeout`` does not."""
    path, tree = module
    for node in nodes_of(tree):
        if isinstance(node, ast.Attribute) and node.attr == "wait_for" and ast.unparse(node.value) == "asyncio":
            yield f"{path}:{node.lineno}: asyncio.timeout, not wait_for, which can lose the word that the bot ends"


def mode_decisions(module: Module) -> Iterator[str]:
    path, tree = module
    if path.startswith(MODE_DECIDERS):
        return
    for node in nodes_of(tree):
        tests: list[ast.expr] = []
        if isinstance(node, (ast.If, ast.IfExp, ast.While, ast.Assert)):
            tests = [node.test]
        elif isinstance(node, ast.Match):
            tests = [node.subject]
        elif isinstance(node, ast.comprehension):
            tests = node.ifs
        for test in tests:
            if word := asked_mode(test):
                yield f"{path}:{test.lineno}: asks for the mode ({word}); only bootstrap and config decide by it"


def asked_mode(test: ast.expr) -> str | None:
    """The mode that a condition asks for: as a flag, or in a comparison. A collection called ``live`` is no flag."""
    if isinstance(test, ast.BoolOp):
        return next(filter(None, map(asked_mode, test.values)), None)
    if isinstance(test, ast.UnaryOp):
        return asked_mode(test.operand)
    if isinstance(test, ast.Call):
        return asked_mode(test.func)
    if isinstance(test, (ast.Name, ast.Attribute)):
        name = test.id if isinstance(test, ast.Name) else test.attr
        return name if name in MODE_NAMES else None
    if isinstance(test, ast.Compare):
        for node in ast.walk(test):
            if isinstance(node, ast.Constant) and node.value in MODES:
                return str(node.value)
            if isinstance(node, ast.Attribute) and node.attr.isupper() and node.attr.lower() in MODES:
                return node.attr
    return None


def missing_opening(module: Module) -> Iterator[str]:
    path, tree = module
    if not tree.body:
        return
    opening = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
    if not re.match(r"[A-Z`\"'].{15,}?[.:](\s|$)", opening):
        yield f"{path}:1: a module opens with one sentence: what it is responsible for"


def vague_names(module: Module) -> Iterator[str]:
    path, tree = module
    for part in path.removesuffix(".py").split("/"):
        if VAGUE_NAMES.search(part):
            yield f"{path}: {part} says nothing: name it after what it holds"
    for node in nodes_of(tree):
        if isinstance(node, ast.ClassDef):
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.name).lower()
            if VAGUE_NAMES.search(words):
                yield f"{path}:{node.lineno}: {node.name} says nothing: name it after what it does"


def too_long(path: str, source: str) -> Iterator[str]:
    lines = source.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{path}: {lines} lines, {FILE_LINES_MAX} are allowed: it holds more than one noun"


def function_lines(module: Module) -> Iterator[tuple[int, str]]:
    path, tree = module
    for node in nodes_of(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno:
            yield node.end_lineno - node.lineno + 1, f"{path}:{node.lineno} {node.name}"


def long_functions(modules: list[Module]) -> Iterator[str]:
    sizes = sorted(size for module in modules for size in function_lines(module))
    usual = sum(lines < FUNCTION_LINES_USUAL for lines, _ in sizes) / len(sizes)
    long = sum(lines > FUNCTION_LINES_LONG for lines, _ in sizes) / len(sizes)
    longest = ", ".join(f"{name} ({lines})" for lines, name in sizes[:-9:-1])
    if usual < FUNCTION_USUAL_SHARE_MIN:
        yield f"only {usual:.1%} of functions are under {FUNCTION_LINES_USUAL} lines; longest: {longest}"
    if long > FUNCTION_LONG_SHARE_MAX:
        yield f"{long:.1%} of functions are above {FUNCTION_LINES_LONG} lines; longest: {longest}"


def complexity(function: ast.AST) -> int:
    """Ways through a function: one, and one more for each branch, loop, handler, assertion and part of a condition."""
    ways = 1
    for node in ast.walk(function):
        if isinstance(node, (ast.If, ast.IfExp, ast.For, ast.While, ast.ExceptHandler, ast.Assert, ast.match_case)):
            ways += 1
        elif isinstance(node, ast.BoolOp):
            ways += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            ways += 1 + len(node.ifs)
    return ways


def tangled_functions(module: Module) -> Iterator[str]:
    """In the core a condition of many parts is a predicate with a name."""
    path, tree = module
    if not is_within(path, ("fsm/core",)):
        return
    for node in nodes_of(tree):
        if isinstance(node, ast.FunctionDef) and (ways := complexity(node)) > CORE_WAYS_MAX:
            yield f"{path}:{node.lineno}: {ways} ways through {node.name}, {CORE_WAYS_MAX} are allowed"


def clauses(condition: ast.expr) -> int:
    if isinstance(condition, ast.BoolOp):
        return sum(map(clauses, condition.values))
    return clauses(condition.operand) if isinstance(condition, ast.UnaryOp) else 1


def long_conditions(module: Module) -> Iterator[str]:
    """In the core a condition of more than three clauses is a predicate with a name."""
    path, tree = module
    if not is_within(path, ("fsm/core",)):
        return
    for node in nodes_of(tree):
        tested: list[ast.expr] = []
        if isinstance(node, (ast.If, ast.IfExp, ast.While, ast.Assert)):
            tested = [node.test]
        elif isinstance(node, ast.comprehension):
            tested = node.ifs
        elif isinstance(node, ast.match_case) and node.guard is not None:
            tested = [node.guard]
        if (found := sum(map(clauses, tested))) > CORE_CLAUSES_MAX:
            yield f"{path}:{tested[0].lineno}: {found} clauses where {CORE_CLAUSES_MAX} may be: name the condition"


def unreal_tests(module: Module) -> Iterator[str]:
    path, tree = module
    for line, name in imports_of(module):
        if MOCK_LIBRARIES.match(name):
            yield f"{path}:{line}: tests use real parts, not {name}"
        if name == "time.sleep":
            yield f"{path}:{line}: tests never sleep"
    for node in nodes_of(tree):
        if isinstance(node, ast.arg) and node.arg == "mocker":
            yield f"{path}:{node.lineno}: tests use real parts, not mocker"
        if isinstance(node, ast.Attribute) and node.attr == "sleep" and ast.unparse(node.value) == "time":
            yield f"{path}:{node.lineno}: tests never sleep"


def forbidden_text(path: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if found := FORBIDDEN_TEXT.search(line):
            yield f"{path}:{number}: names a place of one machine: {found.group()}"


def tracked_files() -> list[str]:
    """What git tracks or is about to; without git, everything that lies there."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        hidden = re.compile(r"(^|/)(\.(?!ci/|env\.example)|var/|__pycache__|build/|dist/)|\.egg-info/")
        paths = (str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file())
        return [name for name in paths if not hidden.search(name)]


@cache
def modules_under(*places: str) -> list[Module]:
    """Read and parsed once: seven of the tests below look at the same modules."""
    files = sorted(path for place in places for path in (ROOT / place).rglob("*.py"))
    return [module_of(str(path.relative_to(ROOT)), path.read_text("utf-8")) for path in files]


def assert_none(problems: Iterable[str]) -> None:
    found = list(problems)
    assert not found, "\n" + "\n".join(found)


class TestThisRepository:
    @pytest.mark.parametrize(
        "check",
        [
            wrong_arrows,
            uses_of_one_exchange,
            ports_built_elsewhere,
            live_parts_joined_elsewhere,
            states_that_call_states,
            uses_of_proofs,
            old_places,
            wrong_doors,
            impurities,
            numbers_of_an_exchange,
            tangled_functions,
            long_conditions,
            hasty_words,
            loose_beginnings,
            lost_endings,
            mode_decisions,
            missing_opening,
            vague_names,
        ],
        ids=lambda check: check.__name__,
    )
    def test_product_code_keeps_the_rule(self, check: Callable[[Module], Iterator[str]]) -> None:
        assert_none(problem for module in modules_under(*ROOMS) for problem in check(module))

    def test_no_state_reaches_another_by_way_of_what_it_shares(self) -> None:
        assert_none(states_that_reach_states(modules_under("fsm/core")))

    def test_no_file_is_too_long(self) -> None:
        files = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
        assert_none(problem for path in files for problem in too_long(str(path.relative_to(ROOT)), path.read_text()))

    def test_functions_are_short(self) -> None:
        assert_none(long_functions(modules_under(*ROOMS)))

    def test_tests_use_real_parts_and_never_sleep(self) -> None:
        assert_none(problem for module in modules_under("tests") for problem in unreal_tests(module))

    def test_tests_and_benchmarks_join_no_daemon_of_their_own(self) -> None:
        modules = (*modules_under("tests"), *modules_under("benchmarks"))
        assert_none(problem for module in modules for problem in live_parts_joined_elsewhere(module))

    def test_tests_cannot_reach_beyond_this_machine(self) -> None:
        for host in ("192.0.2.1", "example.com"):
            with pytest.raises(BaseException, match="tests need nothing but this machine"):
                socket.create_connection((host, 80), timeout=0.01)

    def test_tests_are_no_packages(self) -> None:
        assert list((ROOT / "tests").rglob("__init__.py")) == []

    def test_no_file_names_a_place_of_one_machine(self) -> None:
        found: list[str] = []
        for name in tracked_files():
            try:
                found += forbidden_text(name, (ROOT / name).read_text("utf-8"))
            except UnicodeDecodeError:
                continue
        assert_none(found)

    def test_every_room_is_there(self) -> None:
        assert [room for room in ROOMS if not (ROOT / room / "__init__.py").is_file()] == []


class TestTheRulesThemselves:
    """Each rule is broken on purpose and must notice."""

    @pytest.mark.parametrize(
        ("path", "source"),
        [
            ("indicators/x.py", "import rules"),
            ("indicators/x.py", "def f():\n    from exchange.types import Side"),
            ("rules/x.py", "from fsm.core.model.records import State"),
            ("exchange/x.py", "from indicators.catalog import CATALOG"),
            ("exchange/x.py", "from indicators import catalog"),
            ("store/x.py", "from exchange.errors import Refusal"),
            ("web/x.py", "import fsm.config"),
            ("web/x.py", "from exchange.types import Side"),
            ("fsm/core/x.py", "from store import journal"),
            ("fsm/core/x.py", "from exchange.port import Exchange"),
            ("fsm/core/x.py", "from ..config import Config"),
            ("fsm/core/x.py", "from fsm.live.context.clock import Clock"),
            ("rules/source/x.py", "from rules.load import load_rules"),
            ("rules/language/x.py", "from rules.source.yaml_source import Source"),
            ("exchange/sim/core/x.py", "from exchange.sim.playback.feed import SymbolFeed"),
            ("exchange/sim/core/x.py", "from exchange.sim.server.app import App"),
            ("exchange/sim/playback/x.py", "from exchange.sim.server.world import World"),
            ("fsm/core/model/x.py", "from fsm.core.engine import Engine"),
            ("fsm/config/x.py", "from fsm.core.engine import Engine"),
            ("fsm/journal/x.py", "from fsm.live.context.clock import Clock"),
            ("fsm/backtest/x.py", "from fsm.live.context.clock import Clock"),
            ("fsm/live/trading/x.py", "from fsm.backtest.run import run_backtest"),
            ("fsm/live/trading/x.py", "from fsm.bootstrap import live"),
            ("fsm/live/trading/x.py", "from fsm.cli import output"),
        ],
    )
    def test_a_wrong_arrow(self, path: str, source: str) -> None:
        assert list(wrong_arrows(module_of(path, source)))

    @pytest.mark.parametrize(
        ("path", "source"),
        [
            ("fsm/core/x.py", "from exchange import filters\nfrom . import states\nimport rules.regime"),
            ("exchange/x.py", "from indicators.candle import Candle\nfrom exchange.errors import Refusal"),
            ("fsm/live/x.py", "from store.journal import Journal\nimport web"),
        ],
    )
    def test_a_right_arrow(self, path: str, source: str) -> None:
        assert list(wrong_arrows(module_of(path, source))) == []

    @pytest.mark.parametrize(
        "path", ["fsm/live/trading/x.py", "fsm/bootstrap.py", "fsm/cli/run.py", "fsm/backtest/x.py", "web/x.py"]
    )
    @pytest.mark.parametrize(
        "source",
        [
            "from fsm.proofs.testkit.virtual_time import VirtualLoop",
            "from fsm import proofs",
            "import fsm.proofs.torture.run",
            "def f():\n    from fsm.cli.proofs import torture",
        ],
    )
    def test_a_proof_that_trading_stands_on(self, path: str, source: str) -> None:
        assert list(uses_of_proofs(module_of(path, source)))
        assert list(uses_of_proofs(module_of("fsm/proofs/torture/x.py", source))) == []
        assert list(uses_of_proofs(module_of("fsm/cli/proofs/x.py", source))) == []

    @pytest.mark.parametrize("source", ["BinanceClient(base_url=x)", "in_process.SimPort(stage)", "UserStream(keys=k)"])
    def test_an_exchange_that_is_built_beside_the_one_that_was_chosen(self, source: str) -> None:
        assert list(ports_built_elsewhere(module_of("fsm/live/trading/x.py", source)))
        assert list(ports_built_elsewhere(module_of("fsm/bootstrap.py", source))) == []
        assert list(ports_built_elsewhere(module_of("fsm/live/trading/x.py", "SymbolWorker(live)"))) == []

    @pytest.mark.parametrize("path", ["fsm/bootstrap.py", "fsm/proofs/torture/x.py", "fsm/cli/x.py"])
    @pytest.mark.parametrize(
        "source",
        [
            "from fsm.live.trading.stream_listener import StreamListener\nStreamListener(queue, live, {})",
            "from fsm.live.trading import stream_listener\nstream_listener.StreamListener(queue, live, {})",
            "from fsm.live.process.daemon import Daemon\nDaemon(live, alerts=alerts)",
            "from fsm.live.context.live_context import LiveContext\nLiveContext(engine=engine)",
            "from fsm.live.operator.reload import Reload\nReload(daemon, config=config)",
            "from fsm.live.process.timekeeping import Timekeeper\nTimekeeper(clock, journal, alerts)",
        ],
    )
    def test_a_daemon_that_is_joined_in_a_second_place(self, path: str, source: str) -> None:
        assert list(live_parts_joined_elsewhere(module_of(path, source)))
        assert list(live_parts_joined_elsewhere(module_of("fsm/live/process/assembly.py", source))) == []

    def test_a_daemon_that_a_test_joins_by_itself(self) -> None:
        source = "from fsm.live.trading.stream_listener import StreamListener\nStreamListener(EventQueue(), live, {})"
        assert list(live_parts_joined_elsewhere(module_of("tests/integration/test_x.py", source)))
        alone = "from fsm.live.operator.reload import Reload\nReload(bot.running, config=config)"
        assert list(live_parts_joined_elsewhere(module_of("tests/integration/test_x.py", alone))) == []

    @pytest.mark.parametrize(
        "path", ["fsm/live/x.py", "fsm/core/x.py", "exchange/port.py", "fsm/config/x.py", "web/x.py"]
    )
    @pytest.mark.parametrize("source", ["import exchange.binance", "from exchange.binance.client import BinanceClient"])
    def test_one_exchange_where_any_would_do(self, path: str, source: str) -> None:
        assert list(uses_of_one_exchange(module_of(path, source)))
        assert list(uses_of_one_exchange(module_of("fsm/bootstrap.py", source))) == []
        assert list(uses_of_one_exchange(module_of("exchange/binance/x.py", source))) == []

    @pytest.mark.parametrize(
        "source",
        ["from fsm.core.states.closing import leave", "from fsm.core.states import closing", "from . import closing"],
    )
    def test_a_state_that_calls_another(self, source: str) -> None:
        assert list(states_that_call_states(module_of("fsm/core/states/entering.py", source)))
        assert list(states_that_call_states(module_of("fsm/core/decide.py", source))) == []

    def test_a_state_that_reaches_another_by_way_of_what_it_shares(self) -> None:
        closing = module_of("fsm/core/states/closing.py", "x = 1")
        shared = module_of("fsm/core/leaving.py", "from fsm.core.states.closing import x")
        entering = module_of("fsm/core/states/entering.py", "from fsm.core.leaving import x")
        (problem,) = states_that_reach_states([closing, shared, entering])
        assert problem.startswith("fsm/core/states/entering.py: reaches fsm.core.states.closing")
        assert list(states_that_reach_states([closing, module_of("fsm/core/leaving.py", "x = 1"), entering])) == []

    @pytest.mark.parametrize(
        "path",
        ["fsm/lab/x.py", "fsm/lab/__init__.py", "fsm/live/lane.py", "fsm/live/x.py", "fsm/why.py", "fsm/core/judge.py",
         "rules/kinds.py", "fsm/live/shared/x.py", "fsm/proofs/x.py", "web/shield.py"],
    )  # fmt: skip
    def test_an_old_name_that_comes_back(self, path: str) -> None:
        assert list(old_places(module_of(path, "")))

    @pytest.mark.parametrize(
        "path",
        ["fsm/live/trading/symbol_worker.py", "fsm/core/decide.py", "fsm/proofs/overview.py", "fsm/bootstrap.py"],
    )
    def test_a_new_name(self, path: str) -> None:
        assert list(old_places(module_of(path, ""))) == []

    @pytest.mark.parametrize(
        ("path", "source"),
        [
            ("rules/x.py", "import talipp"),
            ("store/x.py", "import numpy as np"),
            ("exchange/binance/x.py", "from starlette.applications import Starlette"),
            ("fsm/core/engine.py", "from transitions import Machine"),
            ("fsm/live/x.py", "import peewee"),
            ("fsm/x.py", "import yaml"),
            ("rules/x.py", "import pandas"),
        ],
    )
    def test_a_wrong_door(self, path: str, source: str) -> None:
        assert list(wrong_doors(module_of(path, source)))
        assert list(wrong_doors(module_of("fsm/core/machine.py", "import transitions, decimal"))) == []

    @pytest.mark.parametrize(
        "source",
        [
            "import asyncio",
            "from time import time",
            "import random",
            "from os import environ",
            "import logging",
            "import structlog",
            "async def f(): ...",
            "x = open('f')",
            "from datetime import datetime\nx = datetime.now()",
            "def f():\n    global x",
        ],
    )
    def test_an_impure_core(self, source: str) -> None:
        assert list(impurities(module_of("fsm/core/x.py", source)))
        assert list(impurities(module_of("fsm/live/x.py", source))) == []

    @pytest.mark.parametrize("source", ["x = {-4116}", "if code == -2021: pass", '"""-4509: it lags."""'])
    def test_a_number_of_an_exchange_in_the_core(self, source: str) -> None:
        assert list(numbers_of_an_exchange(module_of("fsm/core/states/x.py", source)))
        assert list(numbers_of_an_exchange(module_of("exchange/binance/x.py", source))) == []
        assert list(numbers_of_an_exchange(module_of("fsm/core/x.py", "x = -1\ny = 'of 2026-11-2021'"))) == []

    @pytest.mark.parametrize(
        "source",
        [
            "import asyncio\nasyncio.create_task(f())",
            "import asyncio\nasyncio.ensure_future(f())",
            "from threading import Thread\nThread(target=f).start()",
            "asyncio.get_running_loop().run_in_executor(None, f)",
        ],
    )
    def test_a_task_that_nobody_looks_after(self, source: str) -> None:
        assert list(loose_beginnings(module_of("fsm/live/x.py", source)))
        assert list(loose_beginnings(module_of("fsm/live/process/supervisor.py", source))) == []

    def test_a_wait_that_can_lose_its_end(self) -> None:
        (problem,) = lost_endings(module_of("fsm/live/x.py", "import asyncio\nasyncio.wait_for(f(), 1)"))
        assert problem.startswith("fsm/live/x.py:2: ")
        assert list(lost_endings(module_of("fsm/live/x.py", "import asyncio\nasyncio.timeout(1)"))) == []

    @pytest.mark.parametrize(
        "source",
        [
            "print('x')",
            "import click\nclick.echo('x')",
            "import sys\nsys.stderr.write('x')",
            "import logging\nlogging.getLogger().addHandler(logging.StreamHandler())",
            "import structlog\nstructlog.PrintLoggerFactory()",
            "from rich.console import Console\nConsole()",
        ],
    )
    def test_words_that_may_wait_for_their_reader(self, source: str) -> None:
        assert list(hasty_words(module_of("fsm/live/x.py", source)))
        assert list(hasty_words(module_of("fsm/cli/x.py", source))) == []

    @pytest.mark.parametrize(
        "source",
        [
            "if live: pass",
            "if self.is_sim: pass",
            "x = 1 if env == 'mainnet' else 2",
            "if env is Env.TESTNET: pass",
            "while not backtest: pass",
            "x = [y for y in z if y.backtest]",
        ],
    )
    def test_a_decision_by_mode(self, source: str) -> None:
        assert list(mode_decisions(module_of("fsm/core/x.py", source)))
        assert list(mode_decisions(module_of("fsm/bootstrap.py", source))) == []

    @pytest.mark.parametrize("source", ["x = 1", '"""x"""', '"""no sentence at all, and in lower case"""\nx = 1'])
    def test_a_module_without_an_opening_sentence(self, source: str) -> None:
        assert list(missing_opening(module_of("fsm/x.py", source)))
        assert list(missing_opening(module_of("fsm/x.py", '"""What this one is there for, said once."""'))) == []

    @pytest.mark.parametrize(
        ("path", "source"),
        [
            ("fsm/utils.py", ""),
            ("rules/helpers/x.py", ""),
            ("web/common.py", ""),
            ("store/db_manager.py", ""),
            ("fsm/x.py", "class OrderManager: pass"),
        ],
    )
    def test_a_name_that_says_nothing(self, path: str, source: str) -> None:
        assert list(vague_names(module_of(path, source)))
        assert list(vague_names(module_of("fsm/commonly.py", "class Managed: pass"))) == []

    def test_a_function_of_the_core_with_too_many_ways_through_it(self) -> None:
        cases = "".join(f"    if a == {n} and b:\n        return {n}\n" for n in range(6))
        assert list(tangled_functions(module_of("fsm/core/x.py", f"def f(a, b):\n{cases}")))
        assert list(tangled_functions(module_of("fsm/live/x.py", f"def f(a, b):\n{cases}"))) == []
        assert complexity(ast.parse("def f(a):\n    return [x for x in a if x and a or x]")) == 5

    @pytest.mark.parametrize(
        "source",
        [
            "if a and b or c and not d: pass",
            "x = 1 if a and (b or c or d) else 2",
            "while not (a or b or c or d): pass",
            "x = [y for y in z if y.a and y.b if y.c and y.d]",
            "match x:\n    case 1 if a and b and c and d: pass",
        ],
    )
    def test_a_condition_of_the_core_that_has_no_name(self, source: str) -> None:
        assert list(long_conditions(module_of("fsm/core/x.py", source)))
        assert list(long_conditions(module_of("fsm/live/x.py", source))) == []
        named = "def is_over(a, b, c, d):\n    return a and b and c and d\nif is_over(1, 2, 3, 4) and b and c: pass"
        assert list(long_conditions(module_of("fsm/core/x.py", named))) == []

    def test_a_file_that_is_too_long(self) -> None:
        assert list(too_long("fsm/x.py", "x\n" * 401))
        assert list(too_long("fsm/x.py", "x\n" * 400)) == []

    def test_functions_that_are_too_long(self) -> None:
        short, middle, long = (f"def f{n}():\n" + "    x = 1\n" * n for n in (5, 35, 60))
        assert list(long_functions([module_of("x.py", short * 8 + middle * 2)]))
        assert list(long_functions([module_of("x.py", short * 19 + long)]))
        assert list(long_functions([module_of("x.py", short * 29 + long)])) == []

    @pytest.mark.parametrize(
        "source",
        [
            "from unittest import mock",
            "from unittest.mock import Mock",
            "import mock",
            "def test_x(mocker): ...",
            "import time\ntime.sleep(1)",
            "from time import sleep",
        ],
    )
    def test_a_test_with_mocks_or_sleep(self, source: str) -> None:
        assert list(unreal_tests(module_of("tests/test_x.py", source)))

    @pytest.mark.parametrize(
        "text", ["see /w~ork/shared/data", "cd /f~arm", "--index-url https://p~ypi.org/simple", "/opt/w~heels"]
    )
    def test_a_place_of_one_machine(self, text: str) -> None:
        (problem,) = forbidden_text("docs/x.md", f"first\n{spelt(text)}\n")
        assert problem.startswith("docs/x.md:2: names a place of one machine: ")

    @pytest.mark.parametrize("text", ["https://example.com/w~ork", "netw~ork/x", "a/w~orker", "/w~orkers", "../w~ork"])
    def test_a_word_that_is_no_place(self, text: str) -> None:
        assert list(forbidden_text("docs/x.md", spelt(text))) == []
