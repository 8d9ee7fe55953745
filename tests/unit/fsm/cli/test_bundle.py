"""`bundle`: everything that is needed, in one file that opens without the product, and no secret in any spelling."""

from __future__ import annotations

import base64
import html
import json
import shutil
import sqlite3
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from fsm.config.masking import Mask, secrets_known

KEY = "kX9" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY" * 2
SECRETS = {
    "BINANCE_API_KEY": KEY[:64],
    "BINANCE_API_SECRET": "Zz" + KEY[3:65],
    "DASHBOARD_TOKEN": 'dash "board" & token/+ä=',
    "TG_BOT_TOKEN": "7654321098:AAF-planted_planted_planted_planted",
    "TG_CHAT_ID": "-1001234567",
    "PING_URL": "https://hc.example/0b5e-planted",
    "ODD": "back\\slash'quote planted",
}
ROTATED = ("9876543210:AAFrotatedrotatedrotatedrotatedrota", "Qq" * 32)
"""Keys of yesterday: no file knows them any more, only their shape does."""


def spellings(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(json.dumps(secret))[3:-3]
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield html.escape(secret)
    yield base64.b64encode(secret.encode()).decode().rstrip("=")
    yield secret.encode().hex()


def planted() -> list[str]:
    return [text for secret in (*SECRETS.values(),) for text in spellings(secret)] + list(ROTATED)


@pytest.fixture
def incident(project: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database, files and a log with every secret in every spelling in them."""
    everything = " | ".join(planted())
    lines = [
        f"{name}={json.dumps(value, ensure_ascii=False)}" if name != "ODD" else "" for name, value in SECRETS.items()
    ]
    (project / ".env").write_text("BINANCE_ENV=sim\n" + "\n".join(lines) + "\n")
    monkeypatch.setenv("ODD_API_TOKEN", SECRETS["ODD"])
    for name in ("config.yaml", "rules.yaml"):
        with (project / name).open("a") as file:
            file.write(f"# {everything}\n")
    (project / "bot.log").write_text(
        "".join(f'{{"event": "answer", "body": {json.dumps(text)}}}\n' for text in planted())
    )
    database = Path(shutil.copy(journal, project / "incident.sqlite"))
    connection = sqlite3.connect(database)
    for table, column in (("alerts", "text"), ("intents", "outcome_json"), ("documents", "body_json")):
        connection.execute(f"UPDATE {table} SET {column} = ?", (json.dumps({"answer": everything}),))
    for table in ("transitions", "errors", "system_events"):
        for (trigger,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)
        ).fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute("UPDATE transitions SET event_json = ?", (json.dumps({"from": everything}),))
    connection.execute("UPDATE system_events SET facts_json = ?", (json.dumps({"from": everything}),))
    connection.commit()
    connection.close()
    return database


def test_no_secret_is_in_a_bundle_wherever_it_was_and_however_it_was_spelt(fsm, project, incident) -> None:
    ended = fsm("bundle", "--since", "40d", "--log", "bot.log", "--out", "b.zip", "--db", incident)
    assert ended.code == 0, ended.stderr
    with zipfile.ZipFile(project / "b.zip") as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    found = [(name, text) for name, content in texts.items() for text in planted() if text in content]
    assert found == []
    assert texts["database/transitions.jsonl"].count("***") > 10
    assert "***" in texts["files/config.yaml"]
    assert "***" in texts["logs/1-bot.log"]


def test_it_opens_without_the_product_and_says_what_is_in_it(fsm, project, journal) -> None:
    ended = fsm("bundle", "--since", "7d", "--json", "--db", journal)
    target = project / ended.document["bundle"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        assert {entry["name"] for entry in manifest} | {"manifest.json"} == set(archive.namelist())
        rows = [json.loads(line) for line in archive.read("database/transitions.jsonl").splitlines()]
        assert json.loads(archive.read("about.json"))["packages"]["peewee"]
        assert any(entry["check"] == "disk" for entry in json.loads(archive.read("doctor.json")))
        assert archive.read("files/rules.yaml").decode() == (project / "rules.yaml").read_text()
    assert rows
    assert min(row["at_ms"] for row in rows) >= ended.document["since_ms"]
    assert ended.document["until_ms"] - ended.document["since_ms"] == 7 * 86_400_000


def test_it_is_written_while_the_files_are_what_is_broken(fsm, project, journal) -> None:
    (project / "config.yaml").write_text("risk: [")
    (project / "rules.yaml").unlink()
    ended = fsm("bundle", "--out", "b.zip", "--db", journal)
    assert ended.code == 0, ended.stderr
    with zipfile.ZipFile(project / "b.zip") as archive:
        assert archive.read("files/config.yaml") == b"risk: ["
        assert b"cannot be read" in archive.read("files/rules.yaml")
        assert b"could not look" in archive.read("doctor.json")


def test_no_file_is_overwritten_and_no_half_of_one_stays(fsm, project, journal) -> None:
    (project / "b.zip").write_text("mine")
    ended = fsm("bundle", "--out", "b.zip", "--db", journal)
    assert (ended.code, (project / "b.zip").read_text()) == (2, "mine")
    assert "exists already" in ended.stderr
    assert fsm("bundle", "--out", "no/such/folder/b.zip", "--db", journal).code == 2
    assert [path.name for path in project.iterdir() if ".part" in path.name] == []


LONG = KEY[:64]
PARTS = {
    "ALERT_URLS": "mailtos://sender:mail-Planted-1@mail.example.com ntfys://tk_plantedplanted2@ntfy.example/planted-topic-3",
    "ESCALATION_URLS": "ntfys://planted-topic-4",
    "PING_URL": "https://watch.example/ping/5b0e-planted-5?key=planted-key-6&period=60",
}
PIECES = (
    "mail-Planted-1",
    "tk_plantedplanted2",
    "planted-topic-3",
    "planted-topic-4",
    "5b0e-planted-5",
    "planted-key-6",
)
"""Of an address anybody may write a part alone: a library that is refused, a server's log."""


def wrapped(text: str, width: int, glue: str) -> str:
    return glue.join(text[first : first + width] for first in range(0, len(text), width))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a line that was wrapped", wrapped(LONG, 40, "\n")),
        ("wrapped, with an indent", wrapped(LONG, 24, "\r\n    ")),
        ("wrapped within JSON", json.dumps(json.dumps(wrapped(LONG, 20, "\n")))[3:-3]),
        ("base64 in lines of a letter", base64.encodebytes(f"user:{LONG}:end".encode()).decode()),
        ("base64 of more", base64.b64encode(f"api:{LONG}".encode()).decode()),
        ("base64 of still more", base64.b64encode(f"keys={LONG}&x=1".encode()).decode()),
        ("base64 for addresses", base64.urlsafe_b64encode(f"?{LONG}?".encode()).decode()),
        ("hex in capitals", LONG.encode().hex().upper()),
        ("hex with spaces", LONG.encode().hex(" ")),
        ("an address within an address", quote(quote(SECRETS["DASHBOARD_TOKEN"], safe=""), safe="")),
        ("every letter escaped", "".join(f"%{byte:02X}" for byte in LONG.encode())),
        ("every letter as JSON may", "".join(f"\\u{ord(letter):04x}" for letter in LONG)),
    ],
    ids=lambda given: given if given.isascii() and len(given) < 30 and " " in given else "text",
)
def test_a_known_secret_is_found_however_it_was_cut_and_packed(name: str, text: str) -> None:
    """What is left tells nothing: no eight characters of it in a row."""
    mask = Mask((LONG, SECRETS["DASHBOARD_TOKEN"]))
    masked = "".join(mask.lines(f"before {text} after\nthe next line\n".splitlines(keepends=True)))
    assert masked.startswith("before ")
    assert masked.endswith("after\nthe next line\n")
    bare = "".join(masked.split())
    plain = "".join(text.split())
    assert not [plain[at : at + 8] for at in range(len(plain) - 8) if plain[at : at + 8] in bare], masked


def test_each_part_of_an_address_that_may_be_a_secret_is_one(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\n".join(f"{name}={value}" for name, value in PARTS.items()))
    mask = Mask(secrets_known(tmp_path / ".env", {}))
    for piece in PIECES:
        assert piece not in mask(f"refused: ({piece}) by the server"), piece
    told = "mail.example.com answered 550 to a ping of the period 60"
    assert mask(told) == told


def test_an_address_that_carries_a_token_as_its_user_is_masked_though_nobody_knows_it() -> None:
    assert "abcdefghijkl" not in Mask(())("GET https://abcdefghijkl@ntfy.example/topic")


def test_names_of_files_are_masked_too(fsm, project, journal) -> None:
    (project / ".env").write_text("BINANCE_ENV=sim\nDASHBOARD_TOKEN=planted-token-in-a-name\n")
    (project / "bot-planted-token-in-a-name.log").write_text("nothing\n")
    ended = fsm("bundle", "--log", "bot-planted-token-in-a-name.log", "--out", "b.zip", "--db", journal)
    assert ended.code == 0, ended.stderr
    with zipfile.ZipFile(project / "b.zip") as archive:
        assert "logs/1-bot-***.log" in archive.namelist()
        assert "planted-token" not in "".join(archive.namelist()) + archive.read("manifest.json").decode()


def test_numbers_and_hashes_of_the_journal_are_not_taken_for_secrets() -> None:
    mask = Mask(("12345678", "short"))
    line = '{"hash":"' + "0a" * 32 + '","at_ms":1712345678901,"price":"0.12345678","reason":"TOO_SHORT_HISTORY"}'
    assert mask(line) == line
    assert mask('{"chat":12345678}') == '{"chat":***}'


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefghijkl",
        '{"dashboard_token": "abcdefghijkl"}',
        r'{"body": "{\"apiKey\": \"abcdefghijkl\"}"}',
        "smtp://someone:abcdefghijkl@mail.example",
        "password=abcdefghijkl",
        "GET /fapi/v1/order?symbol=BTCUSDT&signature=abcdefghijkl",
    ],
)
def test_what_looks_like_a_secret_is_masked_though_nobody_knows_it(text: str) -> None:
    masked = Mask(())(text)
    assert "abcdefghijkl" not in masked
    assert "***" in masked


def test_a_broken_env_file_still_tells_its_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        'BINANCE_ENV=nonsense\nBINANCE_API_KEY="planted-key-1"\nwhat is this\nOTHER=planted2\n'
    )
    assert set(secrets_known(tmp_path / ".env", {})) == {"planted-key-1", "planted2"}
