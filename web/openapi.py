"""The OpenAPI 3.1 document of the API, made from the same types that check parameters and make answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from web.access import Access
from web.commanding import (
    ACCOUNT_KINDS,
    JOB_WISHES,
    KINDS,
    TRADE_WISHES,
    AccountWish,
    Login,
    RulesEdit,
    RulesText,
    Wish,
)
from web.endpoint import Endpoint
from web.errors import ErrorAnswer
from web.routes import READS
from web.routes.rules import RulesCheck
from web.views import Accepted, SessionView

REFERENCE = "#/components/schemas/{name}"

_WORDS = {
    "400": "The request cannot be understood",
    "401": "No token, or a wrong one",
    "403": "Refused: no token is set, or the cross-site token is missing",
    "404": "There is no such thing",
    "408": "The body came too slowly",
    "409": "The stored state already shows that the machine would refuse; `guard` says why",
    "413": "The body is too large",
    "422": "A parameter or the body is not as expected",
    "429": "Too many wrong tokens",
    "503": "The database cannot be read now, or too much is asked at once",
}
_JOBS = {
    "backtest": "A backtest of the rules in force. Left for `fsm worker`, where config.yaml allows jobs",
    "study": "A search for better numbers of the rules in force. Left for `fsm worker`, where config.yaml allows jobs",
}
_COMMANDS = {
    "pause": "No new entries; positions stay managed",
    "resume": "Clear pause, halt and quarantine, unless their cause lasts",
    "flatten": "Halt, and close the position at market",
    "halt": "No new entries until the operator resumes; HALT once flat",
    "ack": "Acknowledge every critical message so far: they are not escalated then",
    "full-size": "End small steps: the next trades are of their full size",
    "release": "Hand the position over to the user; its stop stays unless asked otherwise",
    "reduce": "Close a part of the position at the market, once",
    "move-stop": "Move the stop towards safety, or away from it with a reason, within every cap",
    "move-target": "Move a target",
    "edit-rules": "Edit the rules, from the version that the edit was made from; only where config.yaml allows it",
}


@cache
def document() -> dict[str, Any]:
    """The whole document as plain data, which is the same for every reader."""
    shapes: list[Any] = [read.answer for read in READS]
    queries = [read.query for read in READS]
    _, components = msgspec.json.schema_components(
        [
            *shapes,
            *queries,
            Accepted,
            SessionView,
            Wish,
            AccountWish,
            *TRADE_WISHES.values(),
            *JOB_WISHES.values(),
            RulesEdit,
            RulesText,
            RulesCheck,
            Login,
            ErrorAnswer,
        ],
        ref_template=REFERENCE,
    )
    paths: dict[str, Any] = {read.path: {"get": _read(read, components)} for read in READS}
    paths["/api/openapi.json"] = {"get": _plain("This document", "application/json", {"type": "object"})}
    paths["/metrics"] = {"get": _plain("Metrics for Prometheus; docs/metrics.md", "text/plain", {"type": "string"})}
    paths["/api/events"] = {"get": _events()}
    paths["/api/session"] = {"get": _operation("What this browser may do", "session", "200", SessionView, (), [])}
    for name, summary, body in (
        ("login", "Exchange the token for a session cookie", Login),
        ("logout", "End the session", None),
    ):
        ends = ("401", "403", "408", "413", "422", "429") if body else ("403",)
        paths[f"/api/{name}"] = {"post": _operation(summary, name, "200", SessionView, ends, [], body)}
    wishes: dict[str, type[msgspec.Struct]] = {
        **dict.fromkeys(KINDS, Wish),
        **dict.fromkeys(ACCOUNT_KINDS, AccountWish),
        "edit-rules": RulesEdit,
    }
    for kind, wish in {**wishes, **TRADE_WISHES}.items():
        paths[f"/api/bot/{kind}"] = {
            "post": _operation(_COMMANDS[kind], kind, "202", Accepted, _CODES, _SECURITY, wish)
        }
    paths["/api/rules/check"] = {"post": _check_of_rules()}
    says = "What would these rules have done in the last 90 days? Left for `fsm worker`, where config.yaml allows jobs"
    paths["/api/jobs/what-if"] = {"post": _operation(says, "what_if", "202", Accepted, _CODES, _SECURITY, RulesText)}
    for kind, shape in JOB_WISHES.items():
        operation = _operation(_JOBS[kind], kind, "202", Accepted, _CODES, _SECURITY, shape)
        paths[f"/api/jobs/{kind}"] = {"post": operation}
    used = _used(paths, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trading bot",
            "version": "1",
            "description": "Times are milliseconds UTC on the exchange's clock, amounts decimal text in USDT.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {name: components[name] for name in sorted(used)},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "DASHBOARD_TOKEN"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Dashboard-Token"},
                "session": {"type": "apiKey", "in": "cookie", "name": "fsm_session"},
            },
        },
    }


_CODES = ("401", "403", "404", "408", "409", "413", "422", "429", "503")
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}, {"session": []}]


def _check_of_rules() -> dict[str, Any]:
    codes = ("401", "403", "408", "413", "422", "429", "503")
    says = "Every check of a text of rules, which nobody takes"
    return _operation(says, "check", "200", RulesCheck, codes, _SECURITY, RulesText)


def _read(read: Endpoint, components: dict[str, Any]) -> dict[str, Any]:
    codes = ["503"] if read.access is Access.OPEN else ["401", "403", "429", "503"]
    codes += ["404"] if read.may_miss else []
    security = [] if read.access is Access.OPEN else _SECURITY
    operation = _operation(read.summary, _name(read.path), "200", read.answer, (*codes, "422"), security)
    parameters = _parameters(read, components)
    return {**operation, "parameters": parameters} if parameters else operation


def _parameters(read: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    shape = components[read.query.__name__]
    found = []
    for name, schema in shape.get("properties", {}).items():
        in_path = name in read.path_parameters
        plain = {key: value for key, value in schema.items() if key != "description"}
        found.append(
            {
                "name": name,
                "in": "path" if in_path else "query",
                "required": in_path or name in shape.get("required", ()),
                "schema": _without_null(plain),
            }
        )
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An optional parameter is left out, not sent as null."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        return dict(options[0])
    if None in schema.get("enum", ()):
        return {"enum": [value for value in schema["enum"] if value is not None]}
    return schema


def _operation(
    summary: str,
    name: str,
    status: str,
    answer: type[msgspec.Struct],
    codes: Iterable[str],
    security: list[dict[str, list[str]]],
    body: type[msgspec.Struct] | None = None,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "security": security,
        "responses": {
            status: {"description": "The answer", "content": _content(answer)},
            **{code: {"description": _WORDS[code], "content": _content(ErrorAnswer)} for code in sorted(codes)},
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": body is not Wish, "content": _content(body)}
    return operation


def _plain(summary: str, media_type: str, schema: dict[str, str]) -> dict[str, Any]:
    codes = ("401", "403", "429") if media_type == "application/json" else ("401", "403", "429", "503")
    return {
        "operationId": "openapi" if media_type == "application/json" else "metrics",
        "summary": summary,
        "security": _SECURITY,
        "responses": {
            "200": {"description": "The answer", "content": {media_type: {"schema": schema}}},
            **{code: {"description": _WORDS[code], "content": _content(ErrorAnswer)} for code in codes},
        },
    }


def _events() -> dict[str, Any]:
    operation = _plain("What happens as it happens (Server-Sent Events)", "text/event-stream", {"type": "string"})
    last = {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"}}
    description = (
        "Events `transition`, `alert` and `command` carry what the call of that name gives, `hello` begins a stream,"
        " `reset` asks to read everything again. Send the last id as Last-Event-ID to go on from there."
    )
    return {**operation, "operationId": "events", "description": description, "parameters": [last]}


def _content(shape: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(name=shape.__name__)}}}


def _name(path: str) -> str:
    return "_".join(re.findall("[a-z]+", path.removeprefix("/api/")))


def _used(node: Any, components: dict[str, Any]) -> set[str]:
    """Names of all components that are reached from a part of the document."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                waiting.append(components[name])
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return found
