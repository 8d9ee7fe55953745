"""Writes files that people go on editing: from templates, never over what is there, with a schema that editors find."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from fsm.cli.errors import CommandError, Exit

_MODELINE = "# yaml-language-server: $schema="


def template(name: str) -> str:
    """A template as it is shipped."""
    return resources.files("fsm.templates").joinpath(name).read_text(encoding="utf-8")


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises CommandError where one is."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(with_schema(text, path.parent))
    except FileExistsError:
        raise CommandError(
            f"{path} is there already: nothing was written",
            "name another file, or move it away first",
            exits=Exit.REFUSED,
            code="FILE_EXISTS",
        ) from None


def with_schema(text: str, folder: Path) -> str:
    """The first line names a schema beside the files of this program; elsewhere it names the installed one."""
    first, newline, rest = text.partition("\n")
    place = first.removeprefix(_MODELINE)
    if place == first or (folder / place).is_file():
        return text
    package, _, name = place.rpartition("/")
    installed = Path(str(resources.files(package.replace("/", ".")))) / name
    return f"{_MODELINE}{installed.as_uri()}{newline}{rest}"
