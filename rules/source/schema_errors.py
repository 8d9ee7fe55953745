"""Says in plain words where and how data differs from a JSON Schema (draft 2020-12)."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
from jsonschema.exceptions import ValidationError

_TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_SHOWN_MAX = 60

# JSON Schema lets 3.0 pass as an integer; our readers of integers do not.
_Validator: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # the stubs leave it untyped
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


@dataclass(frozen=True, slots=True)
class SchemaError:
    """One difference: the path of the node, whether its key is at fault, and the message, which names the path."""

    path: tuple[str | int, ...]
    at_key: bool
    message: str


@dataclass(frozen=True, slots=True)
class _Mismatch:
    """What jsonschema found, with what we read from it spelt out as types."""

    path: tuple[str | int, ...]
    keyword: str | None
    wanted: Any
    found: Any
    schema: Mapping[str, Any]
    of_key: bool
    kinds: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, error: ValidationError) -> _Mismatch:
        return cls(
            path=tuple(error.absolute_path),
            keyword=error.validator if isinstance(error.validator, str) else None,
            wanted=error.validator_value,
            found=error.instance,
            schema=error.schema if isinstance(error.schema, Mapping) else {},
            of_key="propertyNames" in error.relative_schema_path,
            kinds=tuple(_kinds(error)),
        )


def _kinds(error: ValidationError) -> Iterator[tuple[str, Any]]:
    """What each of several alternatives would have taken: a type, a value, or one of some."""
    for inner in error.context or ():
        if inner.validator in ("anyOf", "oneOf"):
            yield from _kinds(inner)
        elif not inner.relative_path and inner.validator in ("type", "const", "enum"):
            yield str(inner.validator), inner.validator_value


def explain_errors(data: Any, schema: Mapping[str, Any]) -> Iterator[SchemaError]:
    """All differences. A key that is missing because it was misspelt is reported once, at the misspelt key."""
    errors = [_Mismatch.of(part) for error in _Validator(schema).iter_errors(data) for part in _leaves(error)]
    suggested = {
        (*error.path, guess)
        for error in errors
        if error.keyword in _UNKNOWN_KEYS
        for name in _unknown_keys(error)
        if (guess := _guess(name, _known_keys(error)))
    }
    for error in errors:
        yield from _explain(error, suggested)


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The errors that a reader can act on: for alternatives, those of the branch that was most likely meant."""
    if error.validator not in ("anyOf", "oneOf") or not error.context:
        yield error
        return
    branches: dict[Any, list[ValidationError]] = defaultdict(list)
    for inner in error.context:
        branches[inner.relative_schema_path[0]].append(inner)
    meant = [errors for errors in branches.values() if not any(map(_is_other_kind, errors))]
    if not meant:
        yield error
        return
    for inner in min(meant, key=len):
        yield from _leaves(inner)


def _is_other_kind(error: ValidationError) -> bool:
    """Whether this error shows that its branch was not meant at all: the value itself is of another kind."""
    return not error.relative_path and error.validator in ("type", "const", "enum", None)


def _explain(error: _Mismatch, suggested: set[tuple[str | int, ...]]) -> Iterator[SchemaError]:
    path = error.path
    if error.of_key:
        path = (*path, str(error.found))
        yield SchemaError(path, True, f"{_dotted(path)}: this key is not allowed: {_message(error)}")
    elif error.keyword in _UNKNOWN_KEYS:
        for name in _unknown_keys(error):
            guess = _guess(name, _known_keys(error))
            where = f" in {_dotted(path)}" if path else ""
            hint = f"; did you mean {guess}?" if guess else _capitals(error, name) or _known_hint(_known_keys(error))
            yield SchemaError((*path, name), True, f"unknown key {name}{where}{hint}")
    elif error.keyword == "required":
        missing = [name for name in error.wanted if name not in error.found]
        missing = [name for name in missing if (*path, name) not in suggested]
        if missing:
            what = f"key {missing[0]} is" if len(missing) == 1 else f"keys {', '.join(missing)} are"
            yield SchemaError(path, True, _prefixed(path, f"{what} missing"))
    else:
        yield SchemaError(path, error.keyword is None, _prefixed(path, _message(error)))


_UNKNOWN_KEYS = ("additionalProperties", "unevaluatedProperties")


def _unknown_keys(error: _Mismatch) -> list[str]:
    patterns = error.schema.get("patternProperties", {})
    known = error.schema.get("properties", {})
    return [
        name for name in error.found if name not in known and not any(re.search(pattern, name) for pattern in patterns)
    ]


def _capitals(error: _Mismatch, name: str) -> str:
    wanted = name.upper()
    fits = any(re.search(pattern, wanted) for pattern in error.schema.get("patternProperties", {}))
    return f"; names of one's own stand in capitals here: {wanted}" if fits else ""


def _known_keys(error: _Mismatch) -> list[str]:
    return [name for name in error.schema.get("properties", {}) if name not in error.found]


def _guess(word: str, choices: list[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, choices, n=1, cutoff=0.7)), None)


def _known_hint(known: list[str]) -> str:
    return f"; known here and not yet used: {', '.join(known[:12])}" if known else "; no other keys are known here"


def _prefixed(path: tuple[str | int, ...], message: str) -> str:
    return f"{_dotted(path)}: {message}" if path else message


def _dotted(path: tuple[str | int, ...]) -> str:
    """A path as one would say it: ``risk.steps[2].name``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _message(error: _Mismatch) -> str:
    wording = _WORDINGS.get(error.keyword or "")
    return wording(error) if wording else f"not allowed here: {_shown(error.found)}"


def _type(error: _Mismatch) -> str:
    wanted = error.wanted
    return _expected([wanted] if isinstance(wanted, str) else wanted, error.found)


def _expected(types: list[str], value: Any) -> str:
    names = [_TYPE_NAMES.get(name, name) for name in types]
    return f"expected {' or '.join(names)}, found {_shown(value)}"


def _alternatives(error: _Mismatch) -> str:
    """No branch fits: name what each would have taken."""
    words: list[str] = []
    for keyword, wanted in error.kinds:
        if keyword == "type":
            words += [_TYPE_NAMES.get(name, name) for name in ([wanted] if isinstance(wanted, str) else wanted)]
        else:
            words += [_choice(choice) for choice in (wanted if keyword == "enum" else [wanted])]
    if not words:
        return f"fits none of the allowed forms: {_shown(error.found)}"
    return f"expected {' or '.join(dict.fromkeys(words))}, found {_shown(error.found)}"


def _enum(error: _Mismatch) -> str:
    choices = [_choice(choice) for choice in error.wanted]
    guess = _guess(str(error.found).lower(), [choice.lower() for choice in choices])
    hint = f"; did you mean {choices[[choice.lower() for choice in choices].index(guess)]}?" if guess else ""
    return f"must be one of {', '.join(choices)}; found {_shown(error.found)}{hint}"


def _choice(value: Any) -> str:
    return {"None": "null", "True": "true", "False": "false"}.get(repr(value), str(value))  # 1 == True, but reads 1


def _pattern(error: _Mismatch) -> str:
    described = error.schema.get("description")
    wanted = described.rstrip(".") if described else f"text that matches {error.wanted}"
    return f"{_shown(error.found)} is not {wanted[0].lower()}{wanted[1:]}"


def _count(noun: str, relation: str) -> Callable[[_Mismatch], str]:
    def wording(error: _Mismatch) -> str:
        return f"must have at {relation} {error.wanted} {noun}, has {len(error.found)}"

    return wording


def _bound(relation: str) -> Callable[[_Mismatch], str]:
    def wording(error: _Mismatch) -> str:
        return f"must be {relation} {error.wanted}, found {_shown(error.found)}"

    return wording


def _needs(error: _Mismatch) -> str:
    missing = [
        f"{name} needs {other}"
        for name, others in error.wanted.items()
        if name in error.found
        for other in others
        if other not in error.found
    ]
    return f"keys that go together: {', '.join(missing)}"


def _shown(value: Any) -> str:
    """A value as a reader of the file would name it."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        return f'the text "{value if len(value) <= _SHOWN_MAX else value[:_SHOWN_MAX] + "…"}"'
    return _choice(value) if value is None or isinstance(value, bool) else str(value)


_WORDINGS: dict[str, Callable[[_Mismatch], str]] = {
    "type": _type,
    "anyOf": _alternatives,
    "oneOf": _alternatives,
    "enum": _enum,
    "const": lambda error: f"must be {_choice(error.wanted)}, found {_shown(error.found)}",
    "pattern": _pattern,
    "minimum": _bound("at least"),
    "maximum": _bound("at most"),
    "exclusiveMinimum": _bound("greater than"),
    "exclusiveMaximum": _bound("less than"),
    "multipleOf": _bound("a multiple of"),
    "minLength": _count("characters", "least"),
    "maxLength": _count("characters", "most"),
    "minItems": _count("items", "least"),
    "maxItems": _count("items", "most"),
    "minProperties": _count("keys", "least"),
    "maxProperties": _count("keys", "most"),
    "uniqueItems": lambda _: "the same item is listed twice",
    "contains": lambda _: "none of the items is of the kind that is needed",
    "dependentRequired": _needs,
    "not": lambda error: f"not allowed here: {_shown(error.found)}",
}
