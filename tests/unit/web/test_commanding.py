"""Commands are checked against the stored state, handed over, and told of afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from exchange.sim.playback.symbols import shipped_brackets, shipped_filters
from fsm.core.commands import command
from fsm.core.model.decision import Rejected
from fsm.core.model.decision_context import NO_PORTFOLIO, DecisionContext
from fsm.core.model.events import Commanded
from fsm.core.model.records import AccountRecord, Flag, SmallSteps, State, SymbolRecord
from store.hand_wishes import read_hand_wish
from store.inbox import Inbox
from store.lock import ProcessLock
from store.queries import TransitionFilter, transitions
from web.commanding import KINDS, BacktestWish, parsed
from web.errors import ApiError

TO_MS = 1_733_011_200_000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [None, "{}", '{"symbol": "BTCUSDT"}', '{"symbol": null}'])
def test_a_command_lands_in_the_inbox_and_its_end_is_told(
    browser: Any, daemon: Any, kind: str, body: str | None
) -> None:
    answer = browser.post(f"/api/bot/{kind}", content=body)
    assert answer.status_code == 202
    accepted = answer.json()
    assert answer.headers["location"] == accepted["url"]
    inbox = Inbox(daemon.store)
    (taken,) = inbox.take(TO_MS)
    assert (taken.kind, taken.source, taken.id) == (kind, "web", accepted["id"])
    assert taken.symbol == ("BTCUSDT" if body and "BTC" in body else None)
    assert browser.get(accepted["url"]).json()["state"] == "taken"
    inbox.finish(taken.id, "refused", guard="LIMIT_DAY", detail="still exceeded", at_ms=TO_MS)
    ended = browser.get(accepted["url"]).json()
    assert (ended["state"], ended["guard"], ended["detail"]) == ("refused", "LIMIT_DAY", "still exceeded")
    assert browser.get("/api/commands").json()["commands"][0]["id"] == accepted["id"]


@pytest.mark.parametrize("body", [None, "{}"])
def test_critical_messages_are_acknowledged_here_too(browser: Any, daemon: Any, body: str | None) -> None:
    answer = browser.post("/api/bot/ack", content=body)
    assert answer.status_code == 202
    assert answer.json()["note"].startswith("no bot is running: ack is kept")
    (taken,) = Inbox(daemon.store).take(TO_MS)
    assert (taken.kind, taken.symbol, taken.source) == ("ack", None, "web")
    assert browser.post("/api/bot/ack", json={"symbol": "BTCUSDT"}).status_code == 422


def test_small_steps_are_ended_here_where_there_are_any(browser: Any, daemon: Any) -> None:
    steps = SmallSteps(cause="UPGRADE", since_ms=1, trades=2, ramp_trades=1)
    for found in (None, steps):
        daemon.account(AccountRecord(steps=found))
        answer = browser.post("/api/bot/full-size")
        if found is None:
            assert (answer.status_code, answer.json()["error"]["guard"]) == (409, "NO_SMALL_STEPS")
            assert Inbox(daemon.store).take(TO_MS) == []
        else:
            assert answer.status_code == 202
            assert [command.kind for command in Inbox(daemon.store).take(TO_MS)] == ["full-size"]


def test_without_a_daemon_a_command_is_kept_and_says_so(browser: Any) -> None:
    accepted = browser.post("/api/bot/pause").json()
    assert accepted["daemon_running"] is False
    assert "kept" in accepted["note"]
    assert browser.get(accepted["url"]).json()["state"] == "posted"


def test_with_a_daemon_the_answer_says_that_it_was_handed_over(browser: Any, daemon: Any) -> None:
    with ProcessLock(daemon.store.path):
        assert browser.post("/api/bot/pause").json()["daemon_running"] is True
        assert browser.get("/api/health").json()["status"] == "ok"


def test_a_symbol_that_is_not_traded_is_404_and_nothing_is_posted(browser: Any, daemon: Any) -> None:
    answer = browser.post("/api/bot/flatten", json={"symbol": "NOSUCHUSDT"})
    assert answer.status_code == 404
    assert "BTCUSDT" in answer.json()["error"]["hint"]
    assert Inbox(daemon.store).recent() == []


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "3",
        '"BTCUSDT"',
        '{"symbol": 3}',
        '{"symbol": ""}',
        '{"symbols": []}',
        "{",
        b"\xff",
        "nul",
        '{"symbol": "BTCUSDT", "symbol": null}',
    ],
)
def test_a_body_that_is_no_command_is_422(browser: Any, daemon: Any, body: str | bytes) -> None:
    assert browser.post("/api/bot/halt", content=body).status_code == 422
    assert Inbox(daemon.store).recent() == []


def test_resuming_an_exceeded_limit_is_409_with_its_name(browser: Any, daemon: Any) -> None:
    loss = {"name": "LIMIT_WEEK", "period": "w", "allowed": "5", "used": "6", "left": "-1"}
    daemon.document("limits", {"action": "BLOCK_ENTRIES", "losses": [loss]})
    for body in ({}, {"symbol": "BTCUSDT"}):
        answer = browser.post("/api/bot/resume", json=body)
        assert answer.status_code == 409
        assert answer.json()["error"]["guard"] == "LIMIT_WEEK"
    assert browser.post("/api/bot/flatten").status_code == 202
    assert [row.kind for row in Inbox(daemon.store).recent()] == ["flatten"]


def test_409_says_what_the_machine_itself_would_say(browser: Any, daemon: Any) -> None:
    """In every state, for every command: the window refuses only what the core refuses for the state alone."""
    (row,) = transitions(daemon.store, TransitionFilter(symbol="BTCUSDT", state="PROTECTED"), limit=1).rows
    for state in State:
        effect = row.effect_json.replace('"state":"PROTECTED"', f'"state":"{state.value}"')
        _be_in(daemon, row, effect, state)
        for kind in KINDS:
            answer = browser.post(f"/api/bot/{kind}", json={"symbol": "BTCUSDT"})
            refused = _refusal(kind, state)
            expected = (409, refused) if refused else (202, None)
            assert (answer.status_code, answer.json().get("error", {}).get("guard")) == expected, (state, kind)


def _be_in(daemon: Any, row: Any, effect: str, state: State) -> None:
    daemon.again(replace(row, effect_json=effect, dest=state.value), TO_MS)


def _refusal(kind: str, state: State) -> str | None:
    record = SymbolRecord(symbol="BTCUSDT", state=state, halt=Flag("OPERATOR", 0))
    wish = Commanded(symbol="BTCUSDT", at_ms=TO_MS, command=kind, cause="OPERATOR")
    context = DecisionContext(
        database_id="0" * 8,
        config_hash="c",
        rules_hash="r",
        policy=None,  # type: ignore[arg-type]  # what is asked here is decided before it is looked at
        rules=None,  # type: ignore[arg-type]
        filters=shipped_filters()["BTCUSDT"],
        brackets=shipped_brackets()["BTCUSDT"],
    )
    if kind == "flatten" and state not in (State.IDLE, State.HALT, State.FLATTEN):
        return None  # it goes on to close the position, which takes a trade; never refused
    try:
        command(record, wish, NO_PORTFOLIO, context)
    except Rejected as rejected:
        return rejected.guard
    return None


TRADE_BODIES: dict[str, list[tuple[dict[str, Any], str]]] = {
    "release": [({}, "release"), ({"cancel_stop": True}, "release cancel-stop")],
    "reduce": [({"amount": "25%"}, "reduce 25%"), ({"amount": "0.01"}, "reduce 0.01")],
    "move-stop": [
        ({"price": "59000.5"}, "move-stop 59000.5"),
        ({"price": "58000", "looser": True, "reason": "the  low"}, "move-stop 58000 looser: the low"),
    ],
    "move-target": [
        ({"price": "72000"}, "move-target 72000"),
        ({"price": "72000", "target": 2}, "move-target 72000 2"),
    ],
}


@pytest.mark.parametrize("kind", TRADE_BODIES)
def test_what_is_about_an_open_trade_lands_in_the_inbox_as_it_is_read_there(
    browser: Any, daemon: Any, kind: str
) -> None:
    (row,) = transitions(daemon.store, TransitionFilter(symbol="BTCUSDT", state="PROTECTED"), limit=1).rows
    daemon.again(row, TO_MS)
    for body, line in TRADE_BODIES[kind]:
        answer = browser.post(f"/api/bot/{kind}", json={"symbol": "BTCUSDT", **body})
        assert answer.status_code == 202, answer.text
        newest = Inbox(daemon.store).recent(limit=1)[0]
        assert (newest.kind, newest.symbol, newest.id) == (line, "BTCUSDT", answer.json()["id"])
        if kind != "release":
            assert read_hand_wish(newest.kind).words() == line


def test_a_looser_stop_without_a_reason_is_refused_and_nothing_is_posted(browser: Any, daemon: Any) -> None:
    for reason in ({}, {"reason": ""}, {"reason": " \u200b "}):
        body = {"symbol": "BTCUSDT", "price": "59000", "looser": True, **reason}
        answer = browser.post("/api/bot/move-stop", json=body)
        assert (answer.status_code, answer.json()["error"]["guard"]) == (409, "LOOSER")
    assert Inbox(daemon.store).recent() == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("reduce", {"amount": "half"}),
        ("reduce", {"amount": "0"}),
        ("reduce", {"amount": "101%"}),
        ("reduce", {"amount": 5}),
        ("reduce", {}),
        ("move-stop", {"price": "-1"}),
        ("move-stop", {"price": "59000", "looser": True, "reason": "two\u0000lines"}),
        ("move-stop", {"price": "59000", "looser": True, "reason": "x" * 201}),
        ("move-target", {"price": "72000", "target": 0}),
        ("move-target", {"price": "72000", "number": 2}),
        ("release", {"cancel_stop": "yes"}),
    ],
)
def test_a_wish_that_cannot_be_meant_is_422_and_nothing_is_posted(
    browser: Any, daemon: Any, kind: str, body: dict[str, Any]
) -> None:
    assert browser.post(f"/api/bot/{kind}", json={"symbol": "BTCUSDT", **body}).status_code == 422
    assert browser.post(f"/api/bot/{kind}", json=body).status_code == 422, "without a symbol"
    assert Inbox(daemon.store).recent() == []


@pytest.mark.parametrize("kind", ["reduce", "move-stop", "move-target"])
def test_409_where_the_stored_state_shows_what_the_machine_would_say(browser: Any, daemon: Any, kind: str) -> None:
    (row,) = transitions(daemon.store, TransitionFilter(symbol="BTCUSDT", state="PROTECTED"), limit=1).rows
    body = {"symbol": "BTCUSDT", **TRADE_BODIES[kind][0][0]}
    for state in State:
        effect = row.effect_json.replace('"state":"PROTECTED"', f'"state":"{state.value}"')
        _be_in(daemon, row, effect, state)
        answer = browser.post(f"/api/bot/{kind}", json=body)
        guard = "NOTHING_OPEN" if state in (State.IDLE, State.HALT) else "STATE"
        expected = (202, None) if state is State.PROTECTED else (409, guard)
        assert (answer.status_code, answer.json().get("error", {}).get("guard")) == expected, state


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"name":"a","from":"2026-13-01"}', "from '2026-13-01' is no day"),
        (b'{"name":"a","to":"tomorrow"}', "to 'tomorrow' is no day"),
        (b'{"name":"a","from":"2026-03-02","to":"2026-03-01"}', "to 2026-03-01 lies before from 2026-03-02"),
        (b'{"name":"a","from":"1969-03-02","to":"1969-03-01"}', "to 1969-03-01 lies before from 1969-03-02"),
        (b'{"name":"a","since":1}', "unknown field `since`"),
    ],
)
def test_a_backtest_that_cannot_be_meant_is_refused_in_the_words_of_its_body(body: bytes, said: str) -> None:
    with pytest.raises(ApiError) as refused:
        parsed(body, BacktestWish).job()
    assert said in refused.value.problem.message
    assert "from_" not in refused.value.problem.hint
