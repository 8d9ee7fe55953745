"""Who may ask: every route against every way of asking, logins, cross-site requests, guessing, and loopback."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from web import access
from web.commanding import KINDS
from web.page import FILES
from web.routes import READS
from web.tokens import TokenFile

TOKEN = "a-token-that-nobody-guesses-7Q"
WRONG = "b-token-that-nobody-guesses-7Q"
CLOSED = [read.path for read in READS if read.access is access.Access.READ] + ["/api/openapi.json", "/metrics"]
OPEN = ["/api/health", "/api/session", *FILES]
ACTIONS = [f"/api/bot/{kind}" for kind in KINDS]
EXAMPLES = {"{symbol}": "BTCUSDT", "{id}": "1"}

HEADER_FORMS: dict[str, tuple[dict[str, str], bool]] = {
    "none": ({}, False),
    "bearer": ({"Authorization": f"Bearer {TOKEN}"}, True),
    "bearer in lower case": ({"authorization": f"bearer {TOKEN}"}, True),
    "own header": ({"X-Dashboard-Token": TOKEN}, True),
    "both, alike": ({"Authorization": f"Bearer {TOKEN}", "X-Dashboard-Token": TOKEN}, True),
    "both, different": ({"Authorization": f"Bearer {TOKEN}", "X-Dashboard-Token": WRONG}, False),
    "wrong bearer": ({"Authorization": f"Bearer {WRONG}"}, False),
    "wrong own header": ({"X-Dashboard-Token": WRONG}, False),
    "a prefix": ({"Authorization": f"Bearer {TOKEN[:-1]}"}, False),
    "one sign more": ({"Authorization": f"Bearer {TOKEN}x"}, False),
    "no scheme": ({"Authorization": TOKEN}, False),
    "basic": ({"Authorization": f"Basic {TOKEN}"}, False),
    "empty": ({"Authorization": "Bearer "}, False),
    "a made-up cookie": ({"Cookie": f"fsm_session={TOKEN}"}, False),
}


def concrete(path: str) -> str:
    for name, example in EXAMPLES.items():
        path = path.replace(name, example)
    return path


@pytest.mark.parametrize("form", HEADER_FORMS)
def test_the_matrix_of_routes_and_header_forms(visit: Any, daemon: Any, clock: Any, form: str) -> None:
    headers, right = HEADER_FORMS[form]
    with visit() as client:
        for path in OPEN:
            assert client.get(path, headers=headers).status_code == 200, path
        for path in CLOSED:
            clock.now_s += 61  # each within a window of its own
            answer = client.get(concrete(path), headers=headers)
            assert (answer.status_code in (200, 404)) is right, path
            if not right:
                assert answer.status_code == 401
                assert answer.json()["error"]["code"] == "UNAUTHORIZED"
                assert answer.headers["www-authenticate"] == "Bearer"
        for path in ACTIONS:
            clock.now_s += 61
            assert client.post(path, headers=headers).status_code == (202 if right else 401), path


def test_the_matrix_of_routes_and_sessions(visit: Any, daemon: Any) -> None:
    """A cookie reads everything; it acts only together with the session's own cross-site token."""
    with visit() as client:
        csrf = client.post("/api/login", json={"token": TOKEN}).json()["csrf"]
        for path in CLOSED:
            assert client.get(concrete(path)).status_code in (200, 404), path
        for path in ACTIONS:
            for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": csrf + "x"}, {"X-CSRF-Token": TOKEN}):
                answer = client.post(path, headers=headers)
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CSRF"), path
            assert client.post(path, headers={"X-CSRF-Token": csrf}).status_code == 202, path
            assert client.post(
                path, headers={"Authorization": f"Bearer {WRONG}", "X-CSRF-Token": csrf}
            ).status_code == (401), "a wrong token is not forgiven for a good cookie"
        client.cookies.clear()
        for path in ACTIONS:
            assert client.post(path, headers={"X-CSRF-Token": csrf}).status_code == 401, path


def test_events_need_the_token_too(visit: Any) -> None:
    with visit() as client:
        assert client.get("/api/events").status_code == 401


def test_a_token_in_the_address_is_never_looked_at(visit: Any) -> None:
    with visit() as client:
        assert client.get("/api/summary", params={"token": TOKEN}).status_code == 401


class TestWithoutAToken:
    def test_loopback_reads_and_nobody_acts(self, visit: Any, daemon: Any) -> None:
        with visit(token=None) as client:
            for path in CLOSED:
                assert client.get(concrete(path)).status_code in (200, 404), path
            for path in ACTIONS:
                answer = client.post(path)
                assert answer.status_code == 403
                assert answer.json()["error"]["code"] == "NO_TOKEN_SET"

    @pytest.mark.parametrize("peer", ["192.168.1.5", "10.0.0.1", "2001:db8::1"])
    def test_other_machines_read_nothing(self, visit: Any, peer: str) -> None:
        with visit(token=None, peer=peer) as client:
            assert {client.get(concrete(path)).status_code for path in CLOSED} == {403}

    @pytest.mark.parametrize("host", ["attacker.example", "attacker.example:8080", "127.0.0.1.attacker.example"])
    def test_a_name_that_was_pointed_at_loopback_reads_nothing(self, visit: Any, host: str) -> None:
        with visit(token=None, host=host) as client:
            assert client.get("/api/summary").status_code == 403

    @pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:9", "[::1]:8080"])
    def test_names_of_this_machine_are_its_own(self, visit: Any, host: str) -> None:
        with visit(token=None, host=host) as client:
            assert client.get("/api/summary").status_code == 200

    def test_a_proxy_on_this_machine_speaks_for_somebody_else(self, visit: Any) -> None:
        with visit(token=None) as client:
            assert client.get("/api/summary", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 403

    def test_there_is_nothing_to_log_in_to(self, visit: Any) -> None:
        with visit(token=None) as client:
            assert client.post("/api/login", json={"token": TOKEN}).status_code == 403


class TestLogin:
    def test_the_cookie_cannot_be_read_by_scripts_nor_sent_from_other_sites(self, visit: Any) -> None:
        with visit() as client:
            cookie = client.post("/api/login", json={"token": TOKEN}).headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert "Secure" not in cookie  # plain HTTP on loopback; behind HTTPS it is set

    def test_over_https_the_cookie_is_secure(self, visit: Any) -> None:
        with visit() as client:
            client.base_url = "https://bot.example"
            assert "Secure" in client.post("/api/login", json={"token": TOKEN}).headers["set-cookie"]

    def test_a_session_reads_and_acts_only_with_the_cross_site_token(self, visit: Any, daemon: Any) -> None:
        with visit() as client:
            csrf = client.post("/api/login", json={"token": TOKEN}).json()["csrf"]
            assert client.get("/api/summary").status_code == 200
            assert client.get("/api/session").json()["csrf"] == csrf
            for wrong in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": csrf[:-1]}, {"X-CSRF-Token": TOKEN}):
                answer = client.post("/api/bot/pause", headers=wrong)
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CSRF")
            assert client.post("/api/bot/pause", headers={"X-CSRF-Token": csrf}).status_code == 202

    def test_logging_out_ends_the_session_on_this_side(self, visit: Any) -> None:
        with visit() as client:
            csrf = client.post("/api/login", json={"token": TOKEN}).json()["csrf"]
            cookie = client.cookies["fsm_session"]
            assert client.post("/api/logout").status_code == 403
            assert client.post("/api/logout", headers={"X-CSRF-Token": csrf}).status_code == 200
            stolen = client.get("/api/summary", headers={"Cookie": f"fsm_session={cookie}"})
            assert stolen.status_code == 401

    def test_a_session_ends_by_itself(self, visit: Any, clock: Any) -> None:
        with visit() as client:
            client.post("/api/login", json={"token": TOKEN})
            clock.now_s += access.SESSION_S + 1
            assert client.get("/api/summary").status_code == 401

    def test_sessions_are_bounded_and_the_oldest_goes_first(self, visit: Any) -> None:
        with visit() as client:
            client.post("/api/login", json={"token": TOKEN})
            first = client.cookies["fsm_session"]
            for _ in range(access.SESSIONS_MAX):
                client.post("/api/login", json={"token": TOKEN})
            client.cookies.clear()
            assert client.get("/api/summary", headers={"Cookie": f"fsm_session={first}"}).status_code == 401

    def test_the_answer_to_a_wrong_body_does_not_repeat_it(self, visit: Any) -> None:
        with visit() as client:
            for body in (f'{{"token": "{TOKEN}", "more": 1}}', f'"{TOKEN}"', f'{{"token": ["{TOKEN}"]}}', TOKEN):
                answer = client.post("/api/login", content=body)
                assert answer.status_code == 422
                assert TOKEN not in answer.text


class TestGuessing:
    def test_ten_wrong_tokens_slow_wrong_ones_down_for_a_minute(self, visit: Any, clock: Any) -> None:
        with visit() as client:
            for _ in range(10):
                assert client.post("/api/login", json={"token": WRONG}).status_code == 401
            answer = client.post("/api/login", json={"token": WRONG})
            assert answer.status_code == 429
            assert answer.json()["error"]["code"] == "TOO_MANY_FAILURES"
            assert 0 < int(answer.headers["retry-after"]) <= 60
            clock.now_s += 61
            assert client.post("/api/login", json={"token": WRONG}).status_code == 401

    def test_the_right_token_passes_however_many_wrong_ones_came_from_its_address_or_others(self, visit: Any) -> None:
        """Ten wrong ones must not lock `flatten` out, and behind a proxy everybody has one address."""
        with visit() as client:
            for _ in range(400):
                client.post("/api/login", json={"token": WRONG})
            assert client.post("/api/bot/halt", headers={"X-Dashboard-Token": TOKEN}, json={}).status_code == 202
            assert client.get("/api/summary", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
            assert client.post("/api/login", json={"token": TOKEN}).status_code == 200

    def test_who_is_logged_in_is_not_affected(self, visit: Any) -> None:
        with visit() as client:
            client.post("/api/login", json={"token": TOKEN})
            for _ in range(12):
                client.get("/api/summary", headers={"Authorization": f"Bearer {WRONG}"})
            assert client.get("/api/summary").status_code == 200

    def test_a_guesser_with_many_addresses_is_slowed_down_too(self, clock: Any) -> None:
        gate = access.Gate(TOKEN, clock)
        refused: list[int] = []
        for number in range(400):
            with pytest.raises(access.ApiError) as caught:
                gate.check_token(WRONG, f"198.51.100.{number}")
            refused.append(caught.value.status)
        assert refused[0] == 401
        assert refused[-1] == 429

    def test_what_is_remembered_of_addresses_is_bounded(self, clock: Any) -> None:
        gate = access.Gate(TOKEN, clock)
        for number in range(5_000):
            clock.now_s += 1
            with pytest.raises(access.ApiError):
                gate.check_token(WRONG, f"2001:db8::{number:x}")
        assert len(gate.throttle._windows) <= 1_024


class TestAnotherTokenInItsFile:
    """A token is exchanged while the window is open: the next request needs the new one."""

    @pytest.fixture
    def gate(self, tmp_path: Path, clock: Any) -> access.Gate:
        (tmp_path / "token").write_text(f"{TOKEN}\n")
        return access.Gate(TOKEN, clock, newer=TokenFile(tmp_path / "token", clock))

    def asks(self, gate: access.Gate, token: str) -> bool:
        scope = {"type": "http", "headers": [(b"x-dashboard-token", token.encode())], "client": ("198.51.100.7", 1)}
        try:
            gate.admit(Request(scope), access.Access.READ)
        except access.ApiError:
            return False
        return True

    def test_the_new_one_is_needed_and_logins_of_the_old_one_end(
        self, gate: access.Gate, tmp_path: Path, clock: Any
    ) -> None:
        name, _ = gate.log_in(TOKEN, "198.51.100.7")
        cookie = {"type": "http", "headers": [(b"cookie", f"{access.COOKIE}={name}".encode())]}
        assert gate.session_of(Request(cookie)) is not None
        (tmp_path / "next").write_text(f"{WRONG}\n")
        (tmp_path / "next").rename(tmp_path / "token")
        clock.now_s += 2
        assert self.asks(gate, WRONG)
        assert not self.asks(gate, TOKEN)
        assert gate.session_of(Request(cookie)) is None

    @pytest.mark.parametrize("content", ["", "short", None])
    def test_what_is_no_token_changes_nothing(
        self, gate: access.Gate, tmp_path: Path, clock: Any, content: str | None
    ) -> None:
        if content is None:
            (tmp_path / "token").unlink()
        else:
            (tmp_path / "token").write_text(content)
        clock.now_s += 2
        assert self.asks(gate, TOKEN)
        (tmp_path / "token").write_text(WRONG)
        clock.now_s += 2
        assert self.asks(gate, WRONG)


def test_tokens_are_compared_as_digests_of_equal_length(monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def watched(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return compare(left, right)

    gate = access.Gate(TOKEN, clock)
    monkeypatch.setattr(hmac, "compare_digest", watched)
    for given in ("", "x", WRONG, TOKEN * 100, "\udce4 not quite text"):
        with pytest.raises(access.ApiError):
            gate.check_token(given, "127.0.0.1")
    assert {len(side) for pair in compared for side in pair} == {32}
    assert compared[0][1] == hashlib.sha256(TOKEN.encode()).digest()


def test_a_token_that_is_too_short_is_refused(clock: Any) -> None:
    with pytest.raises(ValueError, match="at least 16"):
        access.Gate("fifteen-letters", clock)
