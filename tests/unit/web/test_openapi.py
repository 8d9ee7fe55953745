"""The description fits the answers: every call's answer, of every status, matches the schema it is documented with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from web import catalogue, openapi, reference
from web.routes import READS

ROOT = Path(__file__).parents[3]
DOCUMENT = openapi.document()
EXAMPLES = {"old": "0" * 64, "new": "1" * 64, "symbol": "BTCUSDT", "id": "3"}


def check(path: str, method: str, answer: Any) -> None:
    """Raises unless the answer is one that the document knows, in the shape that it says."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    code = str(answer.status_code)
    assert code in responses, f"{method} {path} answered {code}, which is not documented: {answer.text[:300]}"
    ((media_type, content),) = responses[code]["content"].items()
    assert answer.headers["content-type"].startswith(media_type)
    if media_type == "application/json":
        schema = {**content["schema"], "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.json())


def test_the_document_is_openapi_3_1_with_one_name_for_each_call() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    names = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


def test_every_route_is_described(browser: Any) -> None:
    described = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    answered = {(read.path, "get") for read in READS}
    assert answered <= described
    for path, method in described - answered:
        assert (
            browser.request(method, path, headers={"Accept": "*/*"}).status_code != 404
            if path != ("/api/events")
            else True
        )


@pytest.mark.parametrize("read", READS, ids=lambda read: read.path)
def test_every_read_answers_as_described(browser: Any, visit: Any, read: Any, tmp_path: Path) -> None:
    path = read.path.format(**EXAMPLES)
    check(read.path, "get", browser.get(path))
    check(read.path, "get", browser.get(path, params={"no_such": "1"}))
    with visit() as nobody:
        check(read.path, "get", nobody.get(path))
    with visit(token=None, peer="10.0.0.9") as other:
        check(read.path, "get", other.get(path))
    with visit(token=None, db=tmp_path / "missing.sqlite") as early:
        answer = early.get(path)
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text
        check(read.path, "get", answer)


def test_every_command_answers_as_described(browser: Any, visit: Any, daemon: Any) -> None:
    for kind in ("pause", "resume", "flatten", "halt"):
        path = f"/api/bot/{kind}"
        check(path, "post", browser.post(path))
        check(path, "post", browser.post(path, json={"symbol": "NOSUCH"}))
        check(path, "post", browser.post(path, content="["))
        check(path, "post", browser.post(path, content="x" * 5_000))
        with visit() as nobody:
            check(path, "post", nobody.post(path))
        with visit(token=None) as local:
            check(path, "post", local.post(path))


def test_every_wish_about_a_trade_answers_as_described(browser: Any, visit: Any, daemon: Any) -> None:
    for kind, more in (
        ("release", {}),
        ("reduce", {"amount": "25%"}),
        ("move-stop", {"price": "59000"}),
        ("move-target", {"price": "72000"}),
    ):
        path, body = f"/api/bot/{kind}", {"symbol": "BTCUSDT", **more}
        check(path, "post", browser.post(path, json=body))
        check(path, "post", browser.post(path, json={**body, "symbol": "NOSUCH"}))
        check(path, "post", browser.post(path, content="["))
        with visit() as nobody:
            check(path, "post", nobody.post(path, json=body))


def test_the_documentation_is_the_one_drawn_from_the_program() -> None:
    again = "draw it again with `python -m web.reference`"
    assert (ROOT / "docs" / "api.md").read_text("utf-8") == reference.api(), again
    assert (ROOT / "docs" / "metrics.md").read_text("utf-8") == catalogue.document(), again
