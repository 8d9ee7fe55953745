"""The exposition parses with the official parser, holds only what the catalogue names, and the alert rules fit it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from rules.source.yaml_source import parse_source
from store import queries
from tests.programs import needs_promtool
from web.catalogue import CATALOGUE

ROOT = Path(__file__).parents[3]
RULES = ROOT / "docs" / "alert-rules.yml"


def scrape(browser: Any) -> dict[str, Any]:
    answer = browser.get("/metrics")
    assert answer.status_code == 200
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(families: dict[str, Any], name: str, **labels: str) -> float:
    (found,) = (s.value for f in families.values() for s in f.samples if s.name == name and s.labels == labels)
    return float(found)


def test_what_is_exposed_is_in_the_catalogue_with_its_kind_and_labels(browser: Any) -> None:
    browser.get("/api/summary")
    families = scrape(browser)
    assert families.keys() == CATALOGUE.keys()
    for name, family in families.items():
        meter = CATALOGUE[name]
        assert (family.type, family.documentation) == (meter.kind, meter.meaning)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(meter.labels)


def test_openmetrics_is_spoken_to_those_who_ask_for_it(browser: Any) -> None:
    plain = scrape(browser)
    answer = browser.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in openmetrics.text_string_to_metric_families(answer.text)}
    assert families.keys() == plain.keys()
    for name, family in families.items():
        assert (family.type, family.documentation) == (CATALOGUE[name].kind, CATALOGUE[name].meaning)
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in families["fsm_protection_seconds"].samples}
    assert samples == {
        (s.name, tuple(sorted(s.labels.items()))): s.value for s in plain["fsm_protection_seconds"].samples
    }


def test_times_to_protection_are_histograms_that_only_rise(browser: Any) -> None:
    for name, count in (("fsm_protection_seconds", None), ("fsm_protection_real_seconds", 3)):
        samples = scrape(browser)[name].samples
        steps = [s.value for s in samples if s.name.endswith("_bucket")]
        assert steps == sorted(steps)
        assert samples[len(steps) - 1].labels["le"] == "+Inf"
        (total,) = (s.value for s in samples if s.name.endswith("_count"))
        assert total == steps[-1] > 0
        assert count in (None, total)


def test_the_numbers_are_those_of_the_journal(browser: Any, daemon: Any) -> None:
    families = scrape(browser)
    equity = queries.latest_equity(daemon.store)
    assert equity is not None
    assert value(families, "fsm_equity_usdt") == pytest.approx(float(equity.equity))
    assert value(families, "fsm_open_positions") == 1
    assert value(families, "fsm_positions_without_stop") == 0
    assert value(families, "fsm_symbol_state", symbol="BTCUSDT", state="PROTECTED") == 1
    assert value(families, "fsm_symbol_state", symbol="BTCUSDT", state="IDLE") == 0
    assert value(families, "fsm_stop_verified_age_seconds", symbol="BTCUSDT") == 4
    assert value(families, "fsm_loss_budget_used_usdt", limit="LIMIT_DAY") == 35.5


def test_transitions_are_counted_on_from_scrape_to_scrape(browser: Any, daemon: Any) -> None:
    def total() -> float:
        return sum(s.value for s in scrape(browser)["fsm_transitions"].samples if s.name.endswith("_total"))

    assert total() == queries.newest_ids(daemon.store).transition
    daemon.again(daemon.newest("DOGEUSDT", "SIGNALLED"), 1_733_011_200_000)
    assert total() == queries.newest_ids(daemon.store).transition


def test_wrong_tokens_are_counted(browser: Any) -> None:
    browser.get("/api/summary", headers={"Authorization": "Bearer wrong-wrong-wrong-wrong"})
    assert value(scrape(browser), "fsm_http_login_failures_total") == 1


def test_without_a_database_the_scrape_says_so_and_works(visit: Any, tmp_path: Path) -> None:
    with visit(token=None, db=tmp_path / "missing.sqlite") as client:
        assert value(scrape(client), "fsm_database_up") == 0


def rules() -> list[dict[str, Any]]:
    data: Any = parse_source(RULES.read_text("utf-8"), "alert-rules.yml").data
    return [rule for group in data["groups"] for rule in group["rules"]]


def test_alert_rules_speak_only_of_metrics_and_labels_that_there_are() -> None:
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "action", "runbook_url"}
        for name, selector in re.findall(r"(fsm_\w+)(?:\{([^}]*)\})?", rule["expr"]):
            meter = CATALOGUE[re.sub(r"_(total|bucket)$", "", name)]
            assert name.endswith("_total") == (meter.kind == "counter")
            assert set(re.findall(r"(\w+)=", selector)) <= set(meter.labels)


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    page = (ROOT / "docs" / "runbooks.md").read_text("utf-8")
    parts = dict(re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^## |\Z)", page))
    assert list(parts) == [rule["alert"] for rule in rules()]
    for name, text in parts.items():
        found = re.findall(r"(?m)^\*\*(\w+)\.\*\*", text)
        assert found == ["Means", "Look", "Do", "Over"], name
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{rule['alert'].lower()}"


@needs_promtool
def test_alert_rules_pass_the_check_of_their_own_tool() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_promtool
def test_alert_rules_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    cases = (ROOT / "tests" / "data" / "alert-rules.test.yml").read_text("utf-8")
    (tmp_path / "cases.yml").write_text(cases.replace("[RULES]", f"[{RULES}]"), "utf-8")
    command = ["promtool", "test", "rules", str(tmp_path / "cases.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_metrics_pass_the_check_of_their_own_tool(browser: Any) -> None:
    text = browser.get("/metrics").text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_goes_wrong_beside_trading_is_counted_and_every_enabled_symbol_is_there(browser: Any) -> None:
    """R69, R71, R72: a symbol without a transition had no line, like one that nobody trades."""
    families = scrape(browser)
    assert value(families, "fsm_task_failures", task="reload") == 2
    assert value(families, "fsm_output_lines_dropped", stream="stdout") == 7
    assert value(families, "fsm_output_errors", stream="stdout") == 1
    assert value(families, "fsm_files_looked_age_seconds") == 3
    assert value(families, "fsm_symbol_state", symbol="ETHUSDT", state="IDLE") == 1
    assert value(families, "fsm_symbol_halted", symbol="ETHUSDT") == 0
    health = browser.get("/api/health").json()
    assert health["task_failures"] == {"reload": 2}
    assert (health["output_lines_dropped"], health["output_errors"], health["files_looked_age_ms"]) == (7, 1, 3_000)
