"""The alert rules name existing metrics, labels and statuses, in the form that Prometheus reads."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # has no types of its own

from sagas._core.status import ENDED
from sagas._temporal.metrics import DESCRIPTIONS, DURATION, STUCK_DURATION
from sagas.operator import Status

RULES = Path(__file__).parents[3] / "deploy" / "alerts" / "sagas.rules.yaml"
GUIDE = RULES.parents[2] / "docs" / "telemetry.md"
SUFFIXES = {
    name: [f"{name}_seconds_{part}" for part in ("bucket", "sum", "count")]
    if name in (DURATION, STUCK_DURATION)
    else [f"{name}_total"]
    for name in DESCRIPTIONS
}
EXPORTED = {name for names in SUFFIXES.values() for name in names}
LABELS = {"namespace", "workflow_type", "status", "le"}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    assert group.keys() == {"name", "rules"}
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_every_rule_has_the_form_that_prometheus_reads() -> None:
    """No key is missing or misspelt, and every name is unique."""
    names = []
    for rule in rules():
        names.append(rule.get("alert") or rule["record"])
        if "record" in rule:
            assert rule.keys() == {"record", "expr"}
            continue
        assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}, names[-1]
        assert rule["labels"]["severity"] in {"info", "warn", "page"}, names[-1]
        assert rule["annotations"].keys() == {"summary", "description"}, names[-1]
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m")), names[-1]
    assert len(names) == len(set(names)) > 5


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_use_only_exported_metrics_and_labels(rule: dict[str, Any]) -> None:
    """Metrics and labels exist under these names, and the brackets match."""
    expression = rule["expr"]
    recorded = {each["record"] for each in rules() if "record" in each}

    metrics = set(re.findall(r"[a-z_:]*saga_[a-z_:]+", expression))
    labels = {
        label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")
    } | set(re.findall(r"[{,]\s*(\w+)=", expression))

    assert metrics
    assert metrics <= EXPORTED | recorded
    assert labels <= LABELS
    assert set(re.findall(r'status="(\w+)"', expression)) <= ENDED <= set(Status)
    for pair in ("()", "{}", "[]"):
        assert expression.count(pair[0]) == expression.count(pair[1])


def test_the_guide_shows_the_recording_rule_for_stuck_sagas() -> None:
    """docs/telemetry.md shows the expression, without the namespace and the lower bound."""
    (expression,) = re.findall(r"```\n(sum by .*?)```", GUIDE.read_text(), re.DOTALL)
    (rule,) = [each["expr"] for each in rules() if each.get("record") == "workflow_type:saga_stuck:estimate"]

    floored = re.fullmatch(r"clamp_min\((.*), 0\)", " ".join(rule.split()))

    assert floored is not None
    assert " ".join(expression.split()) == floored[1].strip().replace("namespace, ", "")


def test_only_sagas_that_stay_stuck_page_a_person() -> None:
    """Every other alert has a lower severity."""
    assert [rule["alert"] for rule in rules() if rule.get("labels", {}).get("severity") == "page"] == [
        "SagaStaysStuck"
    ]
