"""Reads a YAML file strictly and remembers where each part of it was written, so that every complaint has a position.

Only the part of YAML that cannot surprise is accepted: one document of mappings with text keys, lists and scalars.
Duplicate keys, anchors, aliases, merge keys, tags, directives, tabs and the words of plain_scalars.py are refused.
Everything has a limit, so that a hostile or broken file is answered at once.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rules.source.plain_scalars import PlainScalarError, Scalar, comma_hint, read_plain_scalar
from rules.source.schema_fit import fits

BYTES_MAX = 256 * 1024  # a rules file of 500 conditions has 60 kB
LINE_LENGTH_MAX = 2_000
DEPTH_MAX = 20
NODES_MAX = 20_000
PROBLEMS_MAX = 100  # more than anyone reads at once

KeyPath = tuple[str | int, ...]
Event = Any  # PyYAML's stubs know neither the anchors of its events nor that their marks are always there

# Tabs, control characters, line separators that editors do not count, a lone \r, and signs that reorder text on screen.
_FORBIDDEN = re.compile(
    "[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]|\r(?!\n)"
)

_SYNTAX_HINTS = (
    ("mapping values are not allowed", "a second ':' in an unquoted value, or wrong indentation; quote the value"),
    ("could not find expected ':'", "a key without ':', or text that goes on in the next line; quote the text"),
    ("expected <block end>", "the indentation does not match the lines above, or an unquoted value starts oddly"),
    ("block sequence entries are not allowed", "a list item '- ' cannot start here; put it on its own line"),
    ("found unexpected end of stream", "a quote that is opened here is never closed"),
    ("expected ',' or", "a bracket is not closed, or a comma is missing"),
    ("cannot start any token", "this character cannot start a value; put the value in quotes"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One complaint about one place of a file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class SourceError(Exception):
    """A file cannot be used. ``problems`` is never empty; the text lists all of them, one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a node was written; offsets count characters of the text, line and column count from 0."""

    line: int
    column: int
    start: int
    end: int
    style: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: its text, its content as plain Python, and the place of every node."""

    name: str
    text: str
    data: Any
    _values: Mapping[KeyPath, _Span]
    _keys: Mapping[KeyPath, _Span]

    def problem(self, path: KeyPath, message: str, *, key: bool = False, offset: int = 0) -> Problem:
        """A problem at the node of ``path`` (at its key with ``key``), or at its nearest parent that was written.

        ``offset`` counts characters within the text of a scalar and also finds its place in a text of several lines.
        """
        while path and path not in self._values:
            path, offset = path[:-1], 0
        span = self._keys.get(path) if key else None
        if span is None:
            span = self._values.get(path, _Span(0, 0, 0, 0))
        line, column = span.line, span.column
        if offset > 0:
            written = self.text[span.start : span.end]
            index = _written_index(written, self._value_at(path), offset, span.style)
            line += written.count("\n", 0, index)
            column = column + index if line == span.line else index - written.rfind("\n", 0, index) - 1
        return Problem(self.name, line + 1, column + 1, message)

    def place(self, path: KeyPath) -> slice:
        """Where in the text a node is written. Raises KeyError."""
        return slice(self._values[path].start, self._values[path].end)

    def _value_at(self, path: KeyPath) -> str:
        node = self.data
        for step in path:
            node = node[step]
        return node if isinstance(node, str) else ""


def _written_index(written: str, value: str, offset: int, style: str | None) -> int:
    """Index in the written form of a scalar of the character ``value[offset]``: quotes, folding, indentation."""
    index = {"'": 1, '"': 1, "|": written.find("\n") + 1, ">": written.find("\n") + 1}.get(style or "", 0)
    if style == '"' and "\\" in written:
        return 0
    for char in value[:offset]:
        if not char.isspace():
            index = _skip_space(written, index)
            index += 2 if style == "'" and char == "'" else 1
    return _skip_space(written, index) if not value[offset : offset + 1].isspace() else index


def _skip_space(text: str, index: int) -> int:
    while index < len(text) and text[index].isspace():
        index += 1
    return index


def read_source(path: str | Path) -> Source:
    """Reads and parses a file. Raises SourceError, also when the file cannot be read."""
    name = str(path)
    try:
        content = contents(Path(path))
    except FileNotFoundError:
        raise SourceError([Problem(name, 1, 1, "there is no such file")]) from None
    except IsADirectoryError:
        raise SourceError([Problem(name, 1, 1, "this is a directory; name a file")]) from None
    except ValueError:
        raise SourceError([Problem(name, 1, 1, "cannot be read: its name holds a null character")]) from None
    except OSError as error:
        raise SourceError([Problem(name, 1, 1, f"cannot be read: {error.strerror or error}")]) from None
    if len(content) > BYTES_MAX:
        raise SourceError([_too_large(name)])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", errors="replace")
        place = _place_of(before, len(before))
        message = f"not UTF-8 (byte 0x{content[error.start]:02x}): save the file as UTF-8"
        raise SourceError([Problem(name, *place, message)]) from None
    return parse_source(text, name)


def contents(path: Path) -> bytes:
    """As much as may count. Whoever reads a pipe or a device may wait for ever, and everything would wait with it: they
    are refused unread. Raises OSError."""
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(opened).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "it is a directory")
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a file")
        with open(opened, "rb", closefd=False) as file:
            return file.read(BYTES_MAX + 1)
    finally:
        os.close(opened)


def parse_source(text: str, name: str) -> Source:
    """Parses YAML text; ``name`` stands for the file in problems. Raises SourceError with everything found."""
    if len(text) > BYTES_MAX or len(text.encode(errors="replace")) > BYTES_MAX:
        raise SourceError([_too_large(name)])
    problems = list(_text_problems(text, name))
    if problems:
        raise SourceError(problems)
    if yaml.__with_libyaml__:
        try:
            return _QuickParsing(text, name).run()
        except _Doubtful:
            pass
    return _Parsing(text, name).run()


def validate(source: Source, schema: Mapping[str, Any]) -> list[Problem]:
    """Everything in which the content differs from a JSON Schema (draft 2020-12), in the order of the file."""
    if fits(source.data, schema):
        return []
    from rules.source.schema_errors import explain_errors

    found = {
        source.problem(error.path, error.message, key=error.at_key) for error in explain_errors(source.data, schema)
    }
    return sorted(found, key=lambda problem: (problem.line, problem.column, problem.message))[:PROBLEMS_MAX]


def _too_large(name: str) -> Problem:
    return Problem(name, 1, 1, f"the file is larger than {BYTES_MAX // 1024} kB")


def _place_of(text: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of a character of the text."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def _text_problems(text: str, name: str) -> Iterator[Problem]:
    """What is wrong before any YAML is looked at; at most one problem of each kind."""
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        char = forbidden.group()
        what = (
            "a tab: indent and separate with spaces" if char == "\t" else f"character U+{ord(char):04X} is not allowed"
        )
        yield Problem(name, *_place_of(text, forbidden.start()), what)
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > LINE_LENGTH_MAX:
            yield Problem(name, number, LINE_LENGTH_MAX + 1, f"the line is longer than {LINE_LENGTH_MAX} characters")
            return


class _Parsing:
    """One pass over the events of PyYAML's parser. What can be gone past is collected, what cannot is raised."""

    _loader: Any = yaml.SafeLoader

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._events: Iterator[Event] = yaml.parse(text, Loader=self._loader)
        self._problems: list[Problem] = []
        self._values: dict[KeyPath, _Span] = {}
        self._keys: dict[KeyPath, _Span] = {}
        self._nodes = 0

    def run(self) -> Source:
        try:
            data = self._document()
        except yaml.MarkedYAMLError as error:
            self._problems.append(self._syntax_problem(error))
        if self._problems:
            raise SourceError(sorted(self._problems, key=lambda problem: (problem.line, problem.column)))
        return Source(self._name, self._text, data, self._values, self._keys)

    def _document(self) -> Any:
        next(self._events)  # the start of the stream
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            self._stop(event, "the file is empty")
        if isinstance(event, yaml.DocumentStartEvent) and (event.version or event.tags):
            self._complain(event, "directives (%YAML, %TAG) are not allowed: remove the line")
        data = self._node(next(self._events), ())
        next(self._events)  # the end of the document
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            self._complain(event, "a second document ('---') is not allowed: one file, one document")
        return data

    def _node(self, event: Event, path: KeyPath) -> Any:
        self._check(event, path)
        start, end = event.start_mark, event.end_mark
        style = (event.style or None) if isinstance(event, yaml.ScalarEvent) else None
        self._values[path] = _Span(start.line, start.column, start.index, end.index, style)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return self._scalar(event)

    def _check(self, event: Event, path: KeyPath) -> None:
        """Limits, and what YAML allows on any node but we do not."""
        self._nodes += 1
        if self._nodes > NODES_MAX:
            self._stop(event, f"the file has more than {NODES_MAX} values")
        if len(path) > DEPTH_MAX:
            self._stop(event, f"nested deeper than {DEPTH_MAX} levels")
        if isinstance(event, yaml.AliasEvent):
            self._complain(event, f"aliases (*{event.anchor}) are not allowed: write the value out")
        elif getattr(event, "anchor", None) is not None:
            self._complain(event, f"anchors (&{event.anchor}) are not allowed: write the value out where it is used")
        if getattr(event, "tag", None) is not None:
            self._complain(event, f"tags ({_short_tag(event.tag)}) are not allowed: write the plain value")

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        content: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path)
            if key is None:
                self._node(next(self._events), (*path, "?"))
                continue
            child = (*path, key)
            if key in content:
                first = self._keys[child]
                self._complain(event, f'"{key}" is written twice; it is already in line {first.line + 1}')
                self._node(next(self._events), (*path, "?"))
                continue
            start, end = event.start_mark, event.end_mark
            self._keys[child] = _Span(start.line, start.column, start.index, end.index)
            content[key] = self._node(next(self._events), child)
        return content

    def _key(self, event: Event, path: KeyPath) -> str | None:
        """The text of a key, or None after a complaint (then the value is still looked through)."""
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._complain(event, "a key must be text; if a value with { or [ is meant, put it in quotes")
            self._node(event, (*path, "?"))
            return None
        known = len(self._problems)
        self._check(event, path)
        if isinstance(event, yaml.ScalarEvent) and not event.style and event.value == "<<":
            self._complain(event, "merge keys (<<) are not allowed: write the keys out")
            return None
        key = self._scalar(event, is_key=True)
        if len(self._problems) > known:
            return None
        if not isinstance(key, str):
            self._complain(event, f'a key must be text: write "{event.value}"')
            return None
        return key

    def _sequence(self, path: KeyPath) -> list[Any]:
        content: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            content.append(self._node(event, (*path, len(content))))
        return content

    def _scalar(self, event: Event, *, is_key: bool = False) -> Scalar:
        if not isinstance(event, yaml.ScalarEvent):
            return None
        if event.style:
            return str(event.value)
        try:
            return read_plain_scalar(event.value, is_key=is_key)
        except PlainScalarError as error:
            self._complain(event, f"{error}{comma_hint(event.value, self._text, event.start_mark)}")
            return None

    def _complain(self, event: Event, message: str) -> None:
        mark = event.start_mark
        self._problems.append(Problem(self._name, mark.line + 1, mark.column + 1, message))
        if len(self._problems) >= PROBLEMS_MAX:
            raise SourceError(self._problems)

    def _stop(self, event: Event, message: str) -> None:
        self._complain(event, message)
        raise SourceError(self._problems)

    def _syntax_problem(self, error: yaml.MarkedYAMLError) -> Problem:
        told = error.problem or "not YAML"
        mark = error.context_mark if "end of stream" in told and error.context_mark else error.problem_mark
        hint = next((hint for part, hint in _SYNTAX_HINTS if part in told), None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return Problem(self._name, line, column, f"not valid YAML: {told}" + (f" ({hint})" if hint else ""))


class _Doubtful(Exception):
    """The text has something in which libyaml and PyYAML's own parser differ, or something to complain about."""


class _QuickParsing(_Parsing):
    """The same by libyaml, at a twentieth of the time, as long as both say the same in everything that we read.

    They differ in where a value is that was left out, in question marks within plain text, in comments right behind
    the sign of a text of several lines, and in how they word an error.
    """

    _loader: Any = getattr(yaml, "CSafeLoader", None)

    def run(self) -> Source:
        try:
            data = self._document()
        except yaml.YAMLError as error:
            raise _Doubtful from error
        return Source(self._name, self._text, data, self._values, self._keys)

    def _scalar(self, event: Event, *, is_key: bool = False) -> Scalar:
        if isinstance(event, yaml.ScalarEvent) and self._may_differ(event):
            raise _Doubtful
        return super()._scalar(event, is_key=is_key)

    def _may_differ(self, event: Event) -> bool:
        if not event.style:
            return event.value == "" or "?" in event.value
        first = event.start_mark.index
        return event.style in "|>" and "#" in self._text[first : self._text.find("\n", first) + 1 or None]

    def _complain(self, event: Event, message: str) -> None:
        raise _Doubtful


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
