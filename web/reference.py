"""Writes docs/api.md and docs/metrics.md from the API's own description: ``python -m web.reference [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from web import catalogue, openapi

_INTRODUCTION = """# HTTP API

Drawn from the program by `python -m web.reference`; the same as JSON (OpenAPI 3.1) is at `GET /api/openapi.json`.

* **Who may ask.** Send `Authorization: Bearer <DASHBOARD_TOKEN>` or `X-Dashboard-Token: <DASHBOARD_TOKEN>`. A browser
  exchanges the token for a session (`POST /api/login`): an HttpOnly, SameSite=Strict cookie; what changes anything then
  also needs the header `X-CSRF-Token` with the value of `GET /api/session`. Without a `DASHBOARD_TOKEN`, programs on
  the same machine may read and nobody may act. `open` calls need nothing.
* **Errors** have one shape, `{"error": {"code", "message", "hint"}}`, and 409 also `guard`: the name of what refuses.
* **Times** are milliseconds UTC on the exchange's clock (simulated, where the exchange is), *amounts* decimal text in
  USDT. What is counted back from "now" (`/api/pnl?range=1d`) is counted from the newest time in the journal.
* **Pages.** `/api/transitions` gives a `cursor` for the page after it; the other lists take `limit` and `offset`.
* **Commands** answer 202 at once. `GET /api/commands/{id}` says what became of it: `posted`, `taken`, then `done`, or
  `refused` with the guard. With no bot running a command is kept and applied at its next start.
* **Events** (`GET /api/events`) are Server-Sent Events: `transition`, `alert`, `command`, `hello` at the beginning and
  `reset` when too much was missed to tell one by one. Send the last id as `Last-Event-ID` to go on from there.
"""


def api() -> str:
    """docs/api.md."""
    document = openapi.document()
    lines = [_INTRODUCTION, "## Calls", "", "| call | who | what |", "|---|---|---|"]
    operations = [
        (path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
    ]
    for path, method, operation in operations:
        who = "open" if not operation["security"] else "acts" if method == "post" else "reads"
        lines.append(f"| `{method.upper()} {path}` | {who} | {operation['summary']} |")
    lines += ["", "## Parameters and answers", ""]
    for path, method, operation in operations:
        lines += _operation(path, method, operation)
    lines += ["## Shapes", ""]
    for name, schema in document["components"]["schemas"].items():
        lines += _shape(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _operation(path: str, method: str, operation: dict[str, Any]) -> list[str]:
    answers = {code: found for code, found in operation["responses"].items() if code.startswith("2")}
    ((code, answer),) = answers.items()
    ((media_type, content),) = answer["content"].items()
    shown = _type(content["schema"]) if media_type == "application/json" else f"`{media_type}`"
    errors = ", ".join(code for code in operation["responses"] if not code.startswith("2"))
    lines = [
        f"### {method.upper()} {path}",
        "",
        f"{operation['summary']}. {code}: {shown}; errors: {errors or 'none'}.",
    ]
    if "requestBody" in operation:
        lines[-1] += f" Body: {_type(operation['requestBody']['content']['application/json']['schema'])}."
    lines.append("")
    for parameter in operation.get("parameters", ()):
        needed = ", needed" if parameter["required"] else ""
        lines.append(f"* `{parameter['name']}` ({parameter['in']}{needed}): {_type(parameter['schema'])}")
    return [*lines, ""] if operation.get("parameters") else lines


def _shape(name: str, schema: dict[str, Any]) -> list[str]:
    lines = [f"### {name}", ""]
    words = " ".join(schema.get("description", "").split())
    lines += [words, ""] if words else []
    if "enum" in schema:
        return [*lines, _type(schema), ""]
    lines += [f"* `{field}`: {_type(found)}" for field, found in schema.get("properties", {}).items()]
    return [*lines, ""]


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    kind = {"decimal": "decimal text", "moment": "milliseconds or ISO time"}.get(
        schema.get("format", ""), schema.get("type", "anything")
    )
    limits = [f"{word} {schema[key]}" for key, word in _LIMITS.items() if key in schema]
    default = f", otherwise `{schema['default']}`" if schema.get("default") is not None else ""
    return f"{kind}{' (' + ', '.join(limits) + ')' if limits else ''}{default}"


_LIMITS = {"minimum": "from", "maximum": "to", "pattern": "matches", "maxLength": "at most characters:"}


def main(folder: Path) -> None:
    (folder / "api.md").write_text(api(), "utf-8")
    (folder / "metrics.md").write_text(catalogue.document(), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
