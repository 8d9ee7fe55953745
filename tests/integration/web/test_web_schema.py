"""Whatever the OpenAPI document allows or forbids is asked of a real window: no 5xx, every answer fits the document.

schemathesis makes the requests, the wrong ones included. It tries more wrong tokens than a person would,
and wants each of them refused as one: the window's patience is longer here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import Case, HookContext
from schemathesis.checks import load_all_checks
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.python._constants.orchestrator import make_constants_value_source
from schemathesis.specs.openapi.checks import negative_data_rejection
from schemathesis.specs.openapi.schemas import OpenApiSchema

from store.database import open_store
from tests.effort import examples
from tests.integration.web.chromium import TOKEN
from tests.integration.web.conftest import copied
from tests.integration.web.show import TO_MS, Show
from web import token_throttle
from web.app import create_app
from web.commanding import BODY_MAX
from web.endpoint import MS_MAX
from web.openapi import document
from web.server import WebServer

MOMENTS = st.one_of(
    st.integers(0, MS_MAX).map(str),
    st.dates().map(str),
    st.datetimes().map(lambda moment: moment.isoformat()),
)
schemathesis.openapi.format("moment", MOMENTS)

TOO_LARGE = 413
"""Nobody reads what is wrong in such a body."""

HEADERS = {"Authorization": f"Bearer {TOKEN}"}

UNENDING = "/api/events"
"""The stream of events never ends by itself; test_web_server.py reads it."""

OPERATIONS = [
    f"{method.upper()} {path}" for path, ways in document()["paths"].items() for method in ways if path != UNENDING
]


@pytest.fixture(scope="module")
def schema() -> OpenApiSchema:
    made: OpenApiSchema = schemathesis.openapi.from_dict(document()).exclude(path=UNENDING)
    made.hook(map_body)
    return made


def map_body(_: HookContext, body: Any) -> Any:
    """No schema says that of two days the last is not before the first: such a job is 422, as test_web_jobs sees."""
    if isinstance(body, dict) and isinstance(body.get("from"), str) and isinstance(body.get("to"), str):
        body["from"], body["to"] = sorted((body["from"], body["to"]))
    return body


@pytest.fixture(scope="module")
def traded(journal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with trades, an open position and everything that a running bot leaves."""
    path = copied(journal, tmp_path_factory.mktemp("traded"))
    with open_store(path, mode="write", at_ms=TO_MS) as store:
        Show(store).settle_in()
    return path


@pytest.fixture
def window(traded: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(token_throttle, "FAILURES_MAX", 10_000)
    monkeypatch.setattr(token_throttle, "ALL_FAILURES_MAX", 10_000)
    with WebServer.on(create_app(traded, token=TOKEN), host="127.0.0.1", port=0, token=TOKEN) as server:
        yield server.url


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_gets_a_5xx_or_an_answer_that_is_not_described(
    label: str, schema: OpenApiSchema, window: str
) -> None:
    """What schemathesis asks is made up here: its own plugin does so for all operations in each process that collects
    tests, which takes a third of that time."""
    operation = schema.find_operation_by_label(label)
    assert operation is not None, "schemathesis knows all operations"

    @settings(max_examples=examples(25), suppress_health_check=list(HealthCheck))
    def asked(case: Case) -> None:
        answer = case.call(base_url=window, headers=HEADERS)
        unread: list[Any] = []
        if answer.status_code == TOO_LARGE:
            assert len(answer.request.body or b"") > BODY_MAX
            unread = [negative_data_rejection]
        case.validate_response(answer, excluded_checks=unread)

    load_all_checks()
    feedback = FeedbackSources(constants_value_source=make_constants_value_source(schema))
    build_operation_test(
        config=schema.config, operation=operation, test_func=asked, given_kwargs={}, feedback=feedback
    )()
