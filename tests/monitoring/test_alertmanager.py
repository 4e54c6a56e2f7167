"""Which receiver gets which alert, and which alerts are suppressed."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from monitoring.alertmanager import RECEIVERS, configuration
from monitoring.generate import ROOT
from monitoring.rules.model import Alert, RuleFile
from monitoring.rules.write import labels
from stack.processes import Programs

CONFIG = ROOT / "collector" / "backends" / "alertmanager" / "alertmanager.yml"


def expected_receiver(name: str, severity: str, category: str) -> str:
    """A critical alert pages, whatever its category."""
    if name == "Watchdog":
        return "watchdog"
    if severity == "critical":
        return "pager"
    return "security" if category == "security" else "team"


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(configuration())
    return loaded


def amtool(programs: Programs, *arguments: str) -> str:
    return subprocess.run([str(programs.amtool), *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.stack
def test_amtool_accepts_the_committed_configuration(programs: Programs) -> None:
    assert "SUCCESS" in amtool(programs, "check-config", str(CONFIG))


@pytest.mark.stack
def test_each_alert_reaches_its_receiver(programs: Programs, files: tuple[RuleFile, RuleFile]) -> None:
    routed, wanted = {}, {}
    for file in files:
        for alert in file.alerts:
            carried = {"alertname": alert.name, "job": "blogauto-backend", **labels(alert, file)}
            pairs = [f"{name}={value}" for name, value in carried.items()]
            key = " ".join((alert.name, *alert.labels.values()))
            routed[key] = amtool(programs, "config", "routes", "test", f"--config.file={CONFIG}", *pairs).strip()
            wanted[key] = expected_receiver(alert.name, alert.severity, alert.category)
    assert routed == wanted


def test_every_receiver_is_there_and_used(config: dict[str, Any]) -> None:
    used = {config["route"]["receiver"], *(route["receiver"] for route in config["route"]["routes"])}
    assert {receiver["name"] for receiver in config["receivers"]} == used == set(RECEIVERS)


def test_no_address_and_no_secret_is_in_the_configuration(config: dict[str, Any]) -> None:
    for receiver in config["receivers"]:
        for webhook in receiver["webhook_configs"]:
            assert set(webhook) == {"url_file", "send_resolved"}
    assert "://" not in configuration()


def test_a_label_that_both_sides_lack_never_counts_as_equal(config: dict[str, Any]) -> None:
    for rule in config["inhibit_rules"]:
        for side in ("source_matchers", "target_matchers"):
            demanded = {re.split(r"[=!]", matcher)[0] for matcher in rule[side] if not matcher.endswith('""')}
            assert set(rule.get("equal", [])) - {"alertname"} <= demanded, rule


def test_inhibitions_name_alerts_that_exist(config: dict[str, Any], alerts: list[Alert]) -> None:
    names = {alert.name for alert in alerts}
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            match = re.fullmatch(r'alertname=~?"(.+)"', matcher)
            for part in match[1].split("|") if match else []:
                assert any(re.fullmatch(part, name) for name in names), part
