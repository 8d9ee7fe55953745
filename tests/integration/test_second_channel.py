"""The second way to the operator: by severity, each address for itself, told again where nobody acknowledges.

The addresses are real ones of apprise, before an ntfy and a mail server on loopback.
"""

from __future__ import annotations

import asyncio
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from exchange.secrets import Secret
from fsm.config import Secrets
from fsm.live.operator.apprised import Unusable, delivery, name_of, notifier
from fsm.live.operator.channel import Channel
from fsm.live.operator.courier import Courier
from fsm.live.operator.escalation import Escalation, Waiting
from fsm.live.preflight import host_checks
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import quiet
from store import queries
from store.errors import JournalError
from store.inbox import Inbox

Make = Callable[..., InProcessBot]
HOURS = quiet(60_000.0, 5)
SECRET = "a-topic-that-nobody-guesses"


@pytest.fixture(autouse=True)
def _no_pause_between_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """apprise waits 5.5 s between two messages to a public service; the servers here are ours."""
    from apprise.plugins.base import NotifyBase

    monkeypatch.setattr(NotifyBase, "request_rate_per_sec", 0.0)


@dataclass
class Ntfy:
    url: str = ""
    down: bool = False
    longest: int = 10_000
    taken: list[dict[str, Any]] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [str(each["message"]) for each in self.taken]


@contextmanager
def ntfy() -> Iterator[Ntfy]:
    found = Ntfy()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            is_taken = not found.down and len(body["message"]) <= found.longest
            if is_taken:
                found.taken.append(body)
            self.send_response(200 if is_taken else 413)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        found.url = f"ntfy://127.0.0.1:{port}/{SECRET}"
        yield found


@contextmanager
def mail(letters: list[str]) -> Iterator[str]:
    """As much of SMTP as takes a letter."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline().decode().strip():
                if line.upper() == "DATA":
                    self.wfile.write(b"354 go on\r\n")
                    letters.append("".join(iter(lambda: self.rfile.readline().decode(), ".\r\n")))
                self.wfile.write(b"221 bye\r\n" if line.upper() == "QUIT" else b"250 fine\r\n")

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"mailto://127.0.0.1:{port}/?from=bot@example.com&to=me@example.com&mode=insecure"


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[misc]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def channel_of(r: InProcessBot, url: str, *, only_escalated: bool = False) -> Channel:
    """Sends at once, on the loop: the bot's time is not real."""
    notify = notifier(url)

    async def deliver(severity: str, title: str, text: str) -> None:
        notify(severity, title, text)

    live = r.running.live
    return Channel(
        name_of(url),
        deliver,
        journal=live.journal,
        active=live.active,
        clock=r.clock,
        wall=r.clock,
        only_escalated=only_escalated,
        count=r.running.troubles.count,
    )


def escalation_of(r: InProcessBot) -> Escalation:
    live = r.running.live
    found = Escalation(journal=live.journal, alerts=r.running.alerts, active=live.active, clock=r.clock, wall=r.clock)
    r.running.commands.on_ack = found.acknowledge
    return found


class TestRouting:
    def test_what_is_severe_enough_arrives_once_and_what_waited_through_an_outage_together(
        self, rehearse: Make
    ) -> None:
        async def script(r: InProcessBot) -> None:
            with ntfy() as phone:
                await r.start()
                channel = channel_of(r, phone.url)
                await channel.round()
                assert phone.texts == [], "what was told before the address was there is history"
                r.running.say("lifecycle", "Something small.", key="1")
                r.running.say("api_errors", "The exchange fails.", key="2")
                await channel.round()
                assert phone.texts == ["The exchange fails."]
                phone.down = True
                r.running.say("kill_switch", "A limit was hit.", key="3")
                pauses = [await channel.round() for _ in range(3)]
                assert pauses == [5, 15, 30]
                r.running.say("api_errors", "It fails again.", key="4")
                phone.down = False
                await channel.round()
                await channel.round()
                assert phone.texts[1:] == ["A limit was hit.\nIt fails again."]
                again = channel_of(r, phone.url)
                await again.round()
                assert len(phone.texts) == 2, "a restart sends nothing twice"
                errors = [row.error for row in queries.errors(r.running.live.journal.store)]
                assert SECRET not in " ".join(errors)

        rehearse(BTCUSDT=HOURS).run(script)

    def test_what_is_too_long_together_arrives_in_parts(self, rehearse: Make) -> None:
        """It was tried again in one piece for three days."""

        async def script(r: InProcessBot) -> None:
            with ntfy() as phone:
                await r.start()
                channel = channel_of(r, phone.url)
                phone.longest = 60
                told = [f"The exchange fails, {number}." for number in range(3)]
                for number, text in enumerate(told):
                    r.running.say("api_errors", text, key=f"{number}")
                for _ in range(15):  # the library itself waits some seconds between two messages
                    await channel.round()
                assert "\n".join(phone.texts).splitlines() == told

        rehearse(BTCUSDT=HOURS).run(script)

    def test_config_says_which_severity(self, rehearse: Make) -> None:
        async def script(r: InProcessBot) -> None:
            with ntfy() as phone:
                await r.start()
                channel = channel_of(r, phone.url)
                r.running.say("api_errors", "The exchange fails.", key="2")
                r.running.say("kill_switch", "A limit was hit.", key="3")
                await channel.round()
                assert phone.texts == ["A limit was hit."]

        rehearse(BTCUSDT=HOURS, escalation={"severity_min": "critical"}).run(script)

    def test_an_e_mail_arrives(self) -> None:
        letters: list[str] = []
        with mail(letters) as url:
            notifier(url)("critical", "Trading bot: critical", "BTCUSDT has no stop.")
        assert len(letters) == 1
        assert "Subject: Trading bot: critical" in letters[0]


class TestEscalation:
    def test_what_nobody_acknowledges_is_told_again_four_times_and_to_others(self, rehearse: Make) -> None:
        async def script(r: InProcessBot) -> None:
            with ntfy() as mine, ntfy() as others:
                await r.start()
                first, second = channel_of(r, mine.url), channel_of(r, others.url, only_escalated=True)
                escalation = escalation_of(r)
                r.running.say("kill_switch", "A limit was hit.", key="3")
                for minute in range(120):
                    escalation.look()
                    await first.round()
                    await second.round()
                    if minute < 15:
                        assert others.texts == []
                    await r.clock.sleep(60.0)
                assert others.texts == [
                    f"A critical message was not acknowledged for {minutes} min. The first: A limit was hit. `ack` "
                    "says that somebody has read it."
                    for minutes in (15, 30, 45, 60)
                ]
                assert mine.texts == ["A limit was hit.", *others.texts]

        rehearse(BTCUSDT=HOURS).run(script)

    def test_whoever_acknowledges_in_time_hears_no_more_also_over_a_restart(self, rehearse: Make) -> None:
        async def script(r: InProcessBot) -> None:
            await r.start()
            escalation = escalation_of(r)
            r.running.say("kill_switch", "A limit was hit.", key="3")
            escalation.look()
            await r.clock.sleep(600.0)
            escalation = escalation_of(r)
            escalation.look()
            assert escalation.waiting.count == 1
            command = Inbox(r.running.live.journal.store).post("ack", None, "cli", r.clock.wall_ms())
            await r.clock.sleep(1.0)
            found = Inbox(r.running.live.journal.store).get(command)
            assert found is not None
            assert (found.state, found.detail) == ("done", "1 critical message acknowledged")
            await r.clock.sleep(3_600.0)
            escalation.look()
            told = [row.kind for row in queries.alerts(r.running.live.journal.store)]
            assert "escalation" not in told

        rehearse(BTCUSDT=HOURS).run(script)

    def test_a_death_beside_it_loses_none(self, rehearse: Make) -> None:
        class Dies(Escalation):
            def _keep(self, waiting: Waiting) -> None:
                if waiting.told:
                    raise JournalError("the process dies here", "")
                super()._keep(waiting)

        async def script(r: InProcessBot) -> None:
            await r.start()
            live = r.running.live
            beside = Dies(
                journal=live.journal, alerts=r.running.alerts, active=live.active, clock=r.clock, wall=r.clock
            )
            r.running.say("kill_switch", "A limit was hit.", key="3")
            beside.look()
            await r.clock.sleep(16 * 60.0)
            with pytest.raises(JournalError):
                beside.look()
            (newest,) = queries.alerts(live.journal.store, limit=1)
            assert "was not acknowledged for 1" in newest.text

        rehearse(BTCUSDT=HOURS).run(script)

    def test_null_never_escalates(self, rehearse: Make) -> None:
        async def script(r: InProcessBot) -> None:
            await r.start()
            escalation = escalation_of(r)
            r.running.say("kill_switch", "A limit was hit.", key="3")
            escalation.look()
            await r.clock.sleep(7_200.0)
            escalation.look()
            assert "escalation" not in [row.kind for row in queries.alerts(r.running.live.journal.store)]

        rehearse(BTCUSDT=HOURS, escalation={"unacknowledged_ms": None}).run(script)


class TestAddresses:
    def test_through_the_thread_as_the_bot_does_it(self) -> None:
        async def script() -> None:
            with ntfy() as phone:
                courier = Courier("test")
                await delivery(phone.url, courier)("critical", "title", "text")
                phone.down = True
                with pytest.raises(OSError, match="did not take the message"):
                    await delivery(phone.url, courier)("critical", "title", "text")
                courier.end()
                assert phone.texts == ["text"]

        asyncio.run(script())

    def test_an_address_that_leads_nowhere_is_named_without_its_secret(self) -> None:
        with pytest.raises(Unusable, match="no address that apprise knows") as caught:
            notifier("nothing://user:a-password@host")
        assert "a-password" not in str(caught.value)
        secrets = Secrets(alert_urls=(Secret("nothing://user:a-password@host"),))
        assert host_checks.second_channel(secrets).verdict == "fail"
        good = Secrets(alert_urls=(Secret("ntfys://topic"),))
        assert host_checks.second_channel(good).verdict == "ok"
        assert good.redact("sent to ntfys://topic") == "sent to ***"

    def test_without_any_nothing_is_looked_at(self) -> None:
        assert host_checks.second_channel(Secrets()).verdict == "skip"
        assert host_checks.ping(Secrets()).verdict == "skip"
        assert host_checks.ping(Secrets(ping_url=Secret("https://watch.example/secret"))).verdict == "ok"
