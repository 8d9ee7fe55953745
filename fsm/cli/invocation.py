"""How to call this program again from here, for commands that are printed to be pasted."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def invocation(*, anywhere: bool = False) -> str:
    """The command ``fsm`` if that was typed, else ``python -m fsm`` with the interpreter that runs now; as short as it
    works from the working directory, or from any other one."""
    typed = Path(sys.argv[0])
    if typed.name == "fsm" and typed.is_file():
        found = shutil.which("fsm")
        return "fsm" if found is not None and Path(found).samefile(typed) else _from_here(typed.absolute(), anywhere)
    interpreter = Path(sys.executable)
    found = shutil.which("python")
    if found is not None and Path(found) == interpreter:
        return "python -m fsm"
    return f"{_from_here(interpreter, anywhere)} -m fsm"


def _from_here(program: Path, anywhere: bool) -> str:
    here = Path.cwd()
    if program.is_relative_to(here) and not anywhere:
        program = program.relative_to(here)
    return shlex.quote(str(program))
