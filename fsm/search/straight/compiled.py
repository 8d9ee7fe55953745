"""The kernel in its two forms: as it stands, over memory views, or compiled by numba where the extra is installed."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fsm.search.straight import kernel
from indicators import windows
from indicators.series import FloatArray

PARTS = ("account", "pricing", "plan", "closing", "kernel", "averages")
"""In the order in which they use one another."""

FOLDER = "fsm.search.straight"
COPIES = f"{FOLDER}.compiled_"


class Form(NamedTuple):
    """What the kernel works with: ``view`` makes it of an array that others see, ``own`` of one that is its own."""

    live: Callable[..., int]
    view: Callable[[npt.NDArray[Any]], Any]
    own: Callable[[npt.NDArray[Any]], Any]
    is_compiled: bool


T = TypeVar("T")
Compile = Callable[[FunctionType], Any]

Wanted = Form | Literal["fastest"] | None
"""None: without the kernel."""

PLAIN = Form(kernel.live, lambda array: np.ascontiguousarray(array).data, lambda array: array.tolist(), False)


@lru_cache(maxsize=1)
def form() -> Form:
    """The faster of those that are here."""
    if find_spec("numba") is None:
        return PLAIN
    try:
        return _compiled()
    except (OSError, RuntimeError):  # numba has no place for what it compiles, and would compile in each process
        return PLAIN


def form_for(symbols: int, wanted: Wanted) -> Form | None:
    """None: without the kernel, which knows one symbol."""
    if symbols != 1:
        return None
    return form() if wanted == "fastest" else wanted


def _compiled() -> Form:
    import numba

    config: Any = numba.config
    place = _place(numba.__version__)
    before, config.CACHE_DIR = config.CACHE_DIR, str(place)
    try:
        made = copied(numba.njit(cache=True, error_model="numpy", forceinline=True))
    finally:
        config.CACHE_DIR = before
    live, *averages = (
        one_at_a_time(function, place / "lock")
        for function in (made["kernel"].live, made["averages"].wilder, made["averages"].exponential)
    )
    windows.go_on_by(windows.Ways(*map(_filled, averages)))
    return Form(live, np.ascontiguousarray, np.ascontiguousarray, True)


def _filled(average: Callable[..., None]) -> windows.Way:
    def found(values: FloatArray, first: float, rest: float, part: float) -> FloatArray:
        result = np.empty(len(values))
        average(np.ascontiguousarray(values), first, rest, part, result)
        return result

    return found


def one_at_a_time(compiled: Callable[..., T], lock: Path) -> Callable[..., T]:
    """Its first call compiles for many seconds: of processes that begin together one does, and the others read that."""
    is_compiled = False

    def called(*arguments: Any) -> T:
        nonlocal is_compiled
        if is_compiled:
            return compiled(*arguments)
        with lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            found = compiled(*arguments)
        is_compiled = True
        return found

    return called


def _place(version: str) -> Path:
    """Where compiled code is kept: by every word of the kernel, since numba looks at one file of it at a time."""
    found = hashlib.sha256(version.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    folder = Path.home() / ".cache" / "fsm" / f"kernel-{found.hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def copied(compile_: Compile, edit: Callable[[str, str], str] = lambda part, text: text) -> dict[str, ModuleType]:
    """The kernel once more, each of its functions compiled, and calling those that are.

    ``edit``: of the text of a part, for tests that want to see a mistake noticed.
    """
    made: dict[str, ModuleType] = {}
    for name in PARTS:
        made[name] = _copy(name, made, compile_, edit)
    return made


def _copy(name: str, made: dict[str, ModuleType], compile_: Compile, edit: Callable[[str, str], str]) -> ModuleType:
    original = importlib.import_module(f"{FOLDER}.{name}")
    path = str(original.__file__)
    copy = ModuleType(COPIES + name)
    sys.modules[copy.__name__] = copy  # numba's cache looks modules up by their name
    exec(compile(edit(name, Path(path).read_text("utf-8")), path, "exec"), vars(copy))  # noqa: S102
    for key, value in list(vars(copy).items()):
        if not isinstance(value, FunctionType):
            continue
        if value.__module__ == copy.__name__:
            setattr(copy, key, compile_(value))
        else:
            setattr(copy, key, getattr(made[value.__module__.rpartition(".")[2]], key))
    return copy
