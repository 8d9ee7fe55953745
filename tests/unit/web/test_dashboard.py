"""What surrounds every answer: headers, one shape of errors, limits on requests, files, secrets, other databases."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from store.database import open_store
from web.page import FILES, STATIC
from web.routes import READS

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-that-nobody-guesses-7Q"
EVERYTHING = [
    *(read.path.format(symbol="BTCUSDT", id="3", old="0" * 64, new="1" * 64) for read in READS),
    *FILES,
    "/metrics",
    "/api/openapi.json",
]

LASTING = "private, max-age=31536000, immutable"


def test_every_answer_has_the_headers_that_keep_others_out(browser: Any) -> None:
    for path in [*EVERYTHING, "/nothing/here"]:
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
        lasting = path in FILES and FILES[path].is_lasting
        expected = LASTING if lasting else "no-cache" if path in FILES else "no-store"
        assert headers["cache-control"] == expected


def test_errors_of_the_server_itself_have_the_same_shape(browser: Any) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/api/trades", 405), ("GET", "/api/login", 405)):
        answer = browser.request(method, path)
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"code", "message", "hint"}


@pytest.mark.parametrize("address", ["/api/login", "/api/bot/pause"])
def test_a_body_that_is_too_large_is_413(browser: Any, address: str) -> None:
    answer = browser.post(address, content=b"x" * 5_000)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "TOO_LARGE"
    assert browser.post(address, content=iter([b"y" * 3_000, b"y" * 3_000])).status_code == 413


@pytest.mark.parametrize(
    "address",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "//etc/passwd", "/static/"],
)
def test_no_address_leads_to_another_file(browser: Any, address: str) -> None:
    assert browser.get(address).status_code == 404


def test_the_page_holds_no_data_and_asks_nobody_else(browser: Any) -> None:
    for path, file in FILES.items():
        if "vendor" in path:
            continue
        text = file.body.decode()
        assert "BTCUSDT" not in text
        addresses = set(re.findall(r"https?://[\w./-]+", text)) - {"http://www.w3.org/2000/svg"}
        assert addresses == set(), path
    page = browser.get("/").text
    assert "<script>" not in page
    assert "style=" not in page
    assert "onclick=" not in page


def test_files_are_sent_once_and_then_only_confirmed(browser: Any) -> None:
    first = browser.get("/static/app.js")
    again = browser.get("/static/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_the_page_asks_for_is_kept_by_browsers_and_has_another_address_when_it_changes(browser: Any) -> None:
    page = browser.get("/")
    assert page.headers["cache-control"] == "no-cache"
    asked = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    assert len(asked) > 20
    (version,) = {address.split("/")[2] for address in asked}
    for address in asked:
        answer = browser.get(address)
        assert answer.headers["cache-control"] == LASTING, address
        assert answer.content == browser.get(address.replace(f"/{version}", "")).content
    assert browser.get(f"/static/{version[::-1]}/app.js").status_code == 404


@pytest.mark.parametrize("name", ["lightweight-charts", "codemirror"])
def test_what_comes_from_others_is_the_file_its_note_says(browser: Any, name: str) -> None:
    library = (STATIC / "vendor" / f"{name}.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() in (STATIC / "vendor" / "README.txt").read_text("utf-8")
    assert (STATIC / "vendor" / f"{name}.LICENSE.txt").exists()
    assert not re.search(rb"\beval\(|new Function|innerHTML", library)


def test_the_editor_is_made_of_packages_that_are_held_to_their_hashes() -> None:
    lock = json.loads((ROOT / "web" / "editor" / "package-lock.json").read_text("utf-8"))
    wanted = json.loads((ROOT / "web" / "editor" / "package.json").read_text("utf-8"))
    assert all(version[0].isdigit() for version in (wanted["dependencies"] | wanted["devDependencies"]).values())
    for name, package in lock["packages"].items():
        assert not name or package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, "where it was taken from says nothing about what it is"


def test_no_secret_is_in_any_answer_header_or_page(
    browser: Any, daemon: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET", "TG_BOT_TOKEN"):
        monkeypatch.setenv(name, f"{name.lower()}-1234567890")
    secrets = (TOKEN, "-1234567890")
    said = []
    for path in [*EVERYTHING, "/nothing"]:
        answer = browser.get(path)
        said.append(answer.text + str(answer.headers))
    for path in ("/api/bot/pause", "/api/bot/no"):
        said.append(browser.post(path, content=f'{{"symbol": 3, "token": "{TOKEN}"}}').text)
    browser.headers.pop("authorization")
    login = browser.post("/api/login", json={"token": TOKEN})
    said += [login.text + str(login.headers), browser.post("/api/login", json={"token": TOKEN, "x": 1}).text]
    logged = capfd.readouterr()
    for text in [*said, logged.out, logged.err]:
        assert not any(secret in text for secret in secrets)


def test_a_line_break_in_a_header_or_a_symbol_gets_nowhere(browser: Any, daemon: Any) -> None:
    answer = browser.get("/api/why/BTC%0d%0aSet-Cookie:%20x=1")
    assert "set-cookie" not in answer.headers
    answer = browser.post("/api/bot/pause", json={"symbol": "BTC\r\nX: 1"})
    assert answer.status_code == 404
    assert "x" not in answer.headers


def test_a_database_that_takes_the_place_of_another_is_read_at_once(visit: Any, path: Path, tmp_path: Path) -> None:
    with visit(token=None) as client:
        before = client.get("/api/summary").json()
        fresh = tmp_path / "fresh" / "new.sqlite"
        with open_store(fresh, mode="write", at_ms=1) as store:
            store.bind(environment="sim", account=None, at_ms=1, database_id="01234567")
        for old in path.parent.glob("journal.sqlite*"):
            shutil.move(old, tmp_path / "fresh" / old.name)
        assert client.get("/api/summary").json()["error"]["code"] == "DATABASE_MISSING"
        shutil.copy(fresh, path)
        after = client.get("/api/summary").json()
    assert (before["environment"], after["environment"]) == ("backtest", "sim")
    assert after["database_id"] == "01234567"


def test_a_file_that_is_no_database_is_503_without_its_path(visit: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.sqlite"
    bad.write_bytes(b"this is no database" * 1_000)
    with visit(token=None, db=bad) as client:
        answer = client.get("/api/summary")
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_r19_readers_hold_no_lock_that_the_writer_needs(browser: Any, daemon: Any) -> None:
    """A reader in the middle of a query, and another after one: every commit goes through at once."""
    reader = open_store(daemon.store.path, mode="read")
    rows = reader.connection.execute("SELECT * FROM transitions")
    next(rows)
    daemon.store.connection.set_busy_timeout(0)
    for number in range(50):
        browser.get("/api/transitions")
        daemon.alert(f"number {number}")
    assert next(rows)
    assert browser.get("/api/alerts", params={"limit": 1}).json()["alerts"][0]["text"] == "number 49"
    rows.close()
    reader.close()


def test_r50_pause_and_halt_are_shown_as_they_are_stored(browser: Any, daemon: Any) -> None:
    row = daemon.newest("DOGEUSDT", "IDLE")
    paused = row.effect_json.replace('"paused":false', '"paused":true')
    daemon.again(replace(row, effect_json=paused), 1_733_011_200_000)
    symbols = {found["symbol"]: found for found in browser.get("/api/machine").json()["symbols"]}
    assert symbols["DOGEUSDT"]["paused"] is True
