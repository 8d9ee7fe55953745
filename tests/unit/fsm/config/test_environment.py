""".env and the process environment: which exchange, which secrets, and what is refused."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path

import pytest

from exchange.environment import Network, resolve
from exchange.secrets import Secret
from fsm.config import Environment, Secrets, load_config, read_environment
from rules.source.yaml_source import SourceError

ROOT = Path(__file__).parents[4]
TOKEN = "0123456789abcdef"
KEYS = {"BINANCE_API_KEY": "k" * 64, "BINANCE_API_SECRET": "s" * 64}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / ".env"
    path.write_text(text)
    return path


def revealed(secret: Secret | None) -> str:
    assert secret is not None
    return secret.reveal()


def problems_of(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SourceError) as caught:
        read_environment(written(tmp_path, text), environ or {})
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


class TestWhichExchange:
    def test_without_a_file_it_is_the_embedded_exchange(self, tmp_path: Path) -> None:
        environment = read_environment(tmp_path / ".env", {})
        assert environment == Environment(name=Network.SIM, secrets=Secrets())
        assert environment.database_path == Path("var/sim.sqlite")

    def test_a_file_without_the_key_is_not_guessed_at(self, tmp_path: Path) -> None:
        assert problems_of(tmp_path, f"DASHBOARD_TOKEN={TOKEN}\n") == [
            ".env:1:1: BINANCE_ENV is missing: write BINANCE_ENV=sim, paper, testnet or mainnet"
        ]

    def test_a_file_that_was_asked_for_must_exist(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="none:1:1: cannot be read: No such file"):
            read_environment(tmp_path / "none", {}, required=True)

    def test_the_file_chooses_and_the_process_wins(self, tmp_path: Path) -> None:
        path = written(tmp_path, "BINANCE_ENV=testnet            # testnet | mainnet\nBINANCE_API_KEY=a\n")
        environment = read_environment(path, {**KEYS, "BINANCE_ENV": "mainnet"})
        assert environment.name is Network.MAINNET
        assert revealed(environment.secrets.api_key) == "k" * 64
        assert read_environment(path, KEYS).name is Network.TESTNET
        assert environment.database_path == Path("var/mainnet.sqlite")

    def test_an_empty_value_of_the_process_is_not_given(self, tmp_path: Path) -> None:
        path = written(tmp_path, "BINANCE_ENV=sim\n")
        assert read_environment(path, {"BINANCE_ENV": ""}).name is Network.SIM

    @pytest.mark.parametrize(("value", "guess"), [("Mainnet", "mainnet"), ("test", "testnet"), ("simulator", "sim")])
    def test_another_word_is_refused_with_a_guess(self, tmp_path: Path, value: str, guess: str) -> None:
        assert problems_of(tmp_path, f"# first\n\n  BINANCE_ENV = {value}\n") == [
            f".env:3:17: BINANCE_ENV must be sim, paper, testnet or mainnet; did you mean {guess}?"
        ]

    def test_switching_exchange_needs_no_other_change(self, tmp_path: Path) -> None:
        for name in ("testnet", "mainnet"):
            text = f"BINANCE_ENV={name}\n" + "".join(f"{key}={value}\n" for key, value in KEYS.items())
            assert read_environment(written(tmp_path, text), {}).name == name

    def test_the_template_is_ready_once_the_keys_are_in(self, tmp_path: Path) -> None:
        text = (ROOT / ".env.example").read_text()
        assert read_environment(written(tmp_path, text), KEYS).name is Network.TESTNET
        places = [problem.split(": ")[0] for problem in problems_of(tmp_path, text)]
        lines = text.splitlines()
        assert [lines[int(place.split(":")[1]) - 1] for place in places] == ["BINANCE_API_KEY=", "BINANCE_API_SECRET="]


class TestKeys:
    @pytest.mark.parametrize("name", ["testnet", "mainnet"])
    def test_testnet_and_mainnet_need_both_keys(self, tmp_path: Path, name: str) -> None:
        assert problems_of(tmp_path, f"BINANCE_ENV={name}\n") == [
            f".env:1:1: BINANCE_API_KEY is missing: {name} needs it",
            f".env:1:1: BINANCE_API_SECRET is missing: {name} needs it",
        ]

    def test_commands_that_only_read_need_none(self, tmp_path: Path) -> None:
        path = written(tmp_path, "BINANCE_ENV=mainnet\n")
        assert read_environment(path, {}, needs_keys=False).secrets == Secrets()

    def test_a_running_emulator_needs_keys_too(self, tmp_path: Path) -> None:
        text = "BINANCE_ENV=sim\nSIM_REST_URL=http://127.0.0.1:8090\n"
        assert "a running emulator (SIM_REST_URL) needs it" in problems_of(tmp_path, text)[0]
        environment = read_environment(written(tmp_path, text), KEYS)
        assert environment.sim_rest_url == "http://127.0.0.1:8090"

    @pytest.mark.parametrize("value", ["a b", "schlüssel", "..."])
    def test_a_key_that_cannot_be_one_is_refused_without_repeating_it(self, tmp_path: Path, value: str) -> None:
        problems = problems_of(tmp_path, f"BINANCE_ENV=testnet\nBINANCE_API_KEY={value}\nBINANCE_API_SECRET=abc\n")
        assert len(problems) == 1
        assert problems[0].startswith(".env:2:17: BINANCE_API_KEY ")
        assert value not in problems[0].removeprefix(".env")

    def test_a_short_dashboard_token_is_refused(self, tmp_path: Path) -> None:
        (problem,) = problems_of(tmp_path, 'BINANCE_ENV=sim\nexport DASHBOARD_TOKEN="hunter2"\n')
        assert problem.startswith(".env:2:25: DASHBOARD_TOKEN has 7 characters, at least 16 are needed")
        assert "hunter2" not in problem
        assert revealed(read_environment(None, {"DASHBOARD_TOKEN": TOKEN}).secrets.dashboard_token) == TOKEN

    def test_telegram_needs_both_or_neither(self, tmp_path: Path) -> None:
        assert problems_of(tmp_path, "BINANCE_ENV=sim\nTG_BOT_TOKEN=1:x\n") == [
            ".env:2:14: TG_CHAT_ID is missing: TG_BOT_TOKEN alone sends nothing; give both or neither"
        ]
        assert "must be a number" in problems_of(tmp_path, "BINANCE_ENV=sim\nTG_BOT_TOKEN=1:x\nTG_CHAT_ID=me\n")[0]

    @pytest.mark.parametrize("url", ["http://telegram.example", "ftp://127.0.0.1", "https://", "nonsense"])
    def test_telegrams_address_is_safe(self, url: str) -> None:
        with pytest.raises(SourceError, match="environment:1:1: TG_BASE_URL must be https"):
            read_environment(None, {"TG_BASE_URL": url})
        assert read_environment(None, {"TG_BASE_URL": "http://127.0.0.1:9"}).tg_base_url == "http://127.0.0.1:9"
        assert read_environment(None, {}).tg_base_url == "https://api.telegram.org"


class TestEmulator:
    @pytest.mark.parametrize(
        "url",
        [
            "http://10.0.0.1:80",
            "https://fapi.binance.com",
            "http://127.0.0.1.example.com",
            "http://localhost@example.com",
            "http://[::1",
            "127.0.0.1:80",
        ],
    )
    def test_an_address_that_is_not_loopback_is_refused(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(SourceError, match=r"environment:1:1: SIM_REST_URL .*http://127\.0\.0\.1:PORT"):
            read_environment(None, {**KEYS, "SIM_REST_URL": url})

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
    def test_every_loopback_address_is_accepted(self, host: str) -> None:
        given = {**KEYS, "SIM_REST_URL": f"http://{host}:8090", "SIM_WS_URL": f"ws://{host}:8090"}
        assert read_environment(None, given).sim_ws_url == f"ws://{host}:8090"

    def test_it_is_what_the_exchange_room_resolves(self) -> None:
        environment = read_environment(None, {**KEYS, "SIM_REST_URL": "http://127.0.0.1:8090"})
        assert resolve(environment.addresses).ws_urls == ("ws://127.0.0.1:8090",)
        for name in Network:
            given = read_environment(None, {**KEYS, "BINANCE_ENV": name})
            assert resolve(given.addresses).network is name
            assert resolve(given.addresses).database == str(given.database_path)

    def test_a_stream_address_alone_is_refused(self) -> None:
        with pytest.raises(SourceError, match="SIM_WS_URL is set without SIM_REST_URL"):
            read_environment(None, {"SIM_WS_URL": "ws://127.0.0.1:1"})

    def test_under_another_exchange_it_is_ignored_and_said(self) -> None:
        environment = read_environment(None, {**KEYS, "BINANCE_ENV": "testnet", "SIM_REST_URL": "http://127.0.0.1:1"})
        assert environment.sim_rest_url is None
        assert environment.ignored == ("SIM_REST_URL",)


class TestTheFile:
    def test_keys_of_others_are_left_alone_and_near_misses_are_not(self, tmp_path: Path) -> None:
        path = written(tmp_path, "BINANCE_ENV=sim\nCOMPOSE_PROJECT_NAME=bot\n")
        assert read_environment(path, {}).name is Network.SIM
        assert problems_of(tmp_path, "BINANCE_ENV=sim\nDASHBORD_TOKEN=x\n") == [
            ".env:2:1: unknown key DASHBORD_TOKEN; did you mean DASHBOARD_TOKEN?"
        ]

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (
                "BINANCE_ENV=sim\nBINANCE_ENV=mainnet\n",
                ".env:2:1: BINANCE_ENV is written twice; it is already in line 1",
            ),
            ("BINANCE_ENV=sim\nDASHBOARD_TOKEN\n", ".env:2:1: DASHBOARD_TOKEN has no value"),
            ('BINANCE_ENV=sim\nTG_CHAT_ID="1\nTG_BOT_TOKEN="\n', ".env:2:1: TG_CHAT_ID goes over several lines"),
            ("BINANCE_ENV=sim\nDASHBOARD_TOKEN='abc\n", ".env:2:1: not KEY=value; is a quote left open?"),
        ],
    )
    def test_a_line_that_cannot_be_meant_is_refused(self, tmp_path: Path, text: str, told: str) -> None:
        assert any(problem.startswith(told) for problem in problems_of(tmp_path, text))

    def test_values_are_taken_as_they_stand(self, tmp_path: Path) -> None:
        token = "a$HOME${X}b#c=d0123"
        path = written(tmp_path, f"BINANCE_ENV=sim\nDASHBOARD_TOKEN={token}\n")
        assert revealed(read_environment(path, {"X": "no"}).secrets.dashboard_token) == token

    def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(self, tmp_path: Path) -> None:
        path = tmp_path / ".env"
        path.write_bytes(b"\xef\xbb\xbfBINANCE_ENV=sim\r\nDASHBOARD_TOKEN=" + TOKEN.encode() + b"\r\n")
        assert revealed(read_environment(path, {}).secrets.dashboard_token) == TOKEN

    def test_what_is_no_text_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "latin").write_bytes(b"DASHBOARD_TOKEN=\xe9\n")
        (tmp_path / "big").write_bytes(b"# x\n" * 20_000)
        for path, told in [
            (tmp_path, "Is a directory"),
            (tmp_path / "latin", "not UTF-8"),
            (tmp_path / "big", "64 kB"),
        ]:
            with pytest.raises(SourceError, match=told):
                read_environment(path, {})


class TestSecrets:
    def test_secrets_do_not_show_themselves(self) -> None:
        secrets = Secrets(api_key=Secret("hunter2"))
        assert "hunter2" not in f"{secrets} {secrets!r} {secrets.shown()}"
        with pytest.raises(TypeError):
            pickle.dumps(secrets)

    def test_texts_of_others_are_masked(self) -> None:
        secrets = Secrets(tg_bot_token=Secret("1:abc"))
        assert (
            secrets.redact("POST https://api.telegram.org/bot1:abc/send") == "POST https://api.telegram.org/bot***/send"
        )

    def test_what_is_shown_and_what_is_raised_holds_no_secret(self, tmp_path: Path) -> None:
        environ = {**KEYS, "BINANCE_ENV": "testnet", "DASHBOARD_TOKEN": TOKEN}
        shown = str(load_config(ROOT / "config.yaml", None, environ).shown())
        assert "'api_key': '***'" in shown
        assert not any(value in shown for value in (*KEYS.values(), TOKEN))
        try:
            load_config(tmp_path / "none.yaml", None, {**environ, "TG_CHAT_ID": "me"})
        except SourceError:
            told = traceback.format_exc()
            assert not any(value in told for value in (*KEYS.values(), TOKEN))


class TestTogether:
    def test_problems_of_both_files_come_at_once(self, tmp_path: Path) -> None:
        config = tmp_path / "config.yaml"
        config.write_text("version: 1\nsymbols: {BTCUSDT: {}}\nrisk: {max_open_positions: 0}\n")
        env = written(tmp_path, "BINANCE_ENV=main\nDASHBOARD_TOKEN=short\n")
        with pytest.raises(SourceError) as caught:
            load_config(config, env, {})
        assert [str(problem).removeprefix(f"{tmp_path}/").split(": ")[0] for problem in caught.value.problems] == [
            ".env:1:13",
            ".env:2:17",
            "config.yaml:3:28",
        ]

    def test_the_hash_does_not_depend_on_environment_or_secrets(self) -> None:
        one = load_config(ROOT / "config.yaml", None, {})
        other = load_config(ROOT / "config.yaml", None, {**KEYS, "BINANCE_ENV": "mainnet"})
        assert one.hash == other.hash
        assert one.text == (ROOT / "config.yaml").read_text()


class TestSecretsInFiles:
    def file(self, tmp_path: Path, text: str, name: str = "secret") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    def test_a_secret_may_stand_in_a_file_of_its_own(self, tmp_path: Path) -> None:
        key, token = self.file(tmp_path, "k" * 64 + "\n"), self.file(tmp_path, TOKEN + "\r\n", "token")
        path = written(tmp_path, f"BINANCE_ENV=testnet\nBINANCE_API_KEY_FILE={key}\nBINANCE_API_SECRET={'s' * 64}\n")
        found = read_environment(path, {"DASHBOARD_TOKEN_FILE": str(token)})
        assert revealed(found.secrets.api_key) == "k" * 64
        assert revealed(found.secrets.dashboard_token) == TOKEN
        assert found.dashboard_token_file == token
        assert set(found.secret_files.values()) == {key, token}

    def test_so_may_addresses_one_a_line_and_each_is_masked(self, tmp_path: Path) -> None:
        from fsm.config.masking import secrets_known

        ping = self.file(tmp_path, "https://ping.example/a-secret\n")
        urls = self.file(tmp_path, "ntfys://topic-one\nmailtos://me:pass@mail.example\n", "urls")
        environ = {"PING_URL_FILE": str(ping), "ALERT_URLS_FILE": str(urls), "ESCALATION_URLS_FILE": str(ping)}
        secrets = read_environment(written(tmp_path, "BINANCE_ENV=sim\n"), environ).secrets
        assert revealed(secrets.ping_url) == "https://ping.example/a-secret"
        assert [url.reveal() for url in secrets.alert_urls] == ["ntfys://topic-one", "mailtos://me:pass@mail.example"]
        assert len(secrets.escalation_urls) == 1
        assert {"ntfys://topic-one", "mailtos://me:pass@mail.example"} <= set(secrets_known(tmp_path / ".env", environ))

    def test_of_two_in_one_place_neither_is_guessed_at(self, tmp_path: Path) -> None:
        key = self.file(tmp_path, "k" * 64)
        text = f"BINANCE_ENV=sim\nBINANCE_API_KEY={'a' * 64}\nBINANCE_API_KEY_FILE={key}\n"
        assert problems_of(tmp_path, text) == [
            ".env:3:22: BINANCE_API_KEY and BINANCE_API_KEY_FILE are both given: leave one out"
        ]

    def test_the_process_wins_in_either_form(self, tmp_path: Path) -> None:
        key = self.file(tmp_path, "k" * 64)
        path = written(tmp_path, f"BINANCE_ENV=sim\nBINANCE_API_KEY_FILE={key}\n")
        assert revealed(read_environment(path, {"BINANCE_API_KEY": "p" * 64}).secrets.api_key) == "p" * 64
        path = written(tmp_path, f"BINANCE_ENV=sim\nBINANCE_API_KEY={'a' * 64}\n")
        assert revealed(read_environment(path, {"BINANCE_API_KEY_FILE": str(key)}).secrets.api_key) == "k" * 64

    @pytest.mark.parametrize(("content", "told"), [(None, "cannot be read: No such file"), ("\n", "is empty")])
    def test_a_file_without_a_secret_is_told_with_its_place(
        self, tmp_path: Path, content: str | None, told: str
    ) -> None:
        if content is not None:
            self.file(tmp_path, content)
        text = f"BINANCE_ENV=sim\nTG_BOT_TOKEN_FILE={tmp_path}/secret\n"
        (problem,) = problems_of(tmp_path, text)
        assert problem.startswith(f".env:2:19: TG_BOT_TOKEN_FILE: {tmp_path}/secret {told}")

    def test_reading_what_is_stored_takes_no_secret(self, tmp_path: Path) -> None:
        path = written(tmp_path, "BINANCE_ENV=testnet\nBINANCE_API_KEY_FILE=/nobody/may/read\n")
        assert read_environment(path, {}, needs_keys=False).database_path == Path("var/testnet.sqlite")

    def test_a_secret_in_a_file_is_judged_as_any_other_and_named_by_its_file(self, tmp_path: Path) -> None:
        token = self.file(tmp_path, "short")
        (problem,) = problems_of(tmp_path, f"BINANCE_ENV=sim\nDASHBOARD_TOKEN_FILE={token}\n")
        assert problem.startswith("secret:1:1: DASHBOARD_TOKEN has 5 characters")

    def test_what_stands_in_such_a_file_is_masked_like_the_others(self, tmp_path: Path) -> None:
        from fsm.config.masking import secrets_known

        key, token = self.file(tmp_path, "k1" * 32 + "\n"), self.file(tmp_path, TOKEN, "token")
        path = written(tmp_path, f"BINANCE_ENV=sim\nBINANCE_API_KEY_FILE={key}\n")
        assert {"k1" * 32, TOKEN} <= set(secrets_known(path, {"DASHBOARD_TOKEN_FILE": str(token)}))
