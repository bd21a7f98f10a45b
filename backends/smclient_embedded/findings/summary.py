"""Findings, counted: one picture of what several products found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


def is_open(finding: Mapping[str, Any]) -> bool:
    """Whether something is to be done: it is active, has not passed, and nobody settled it."""
    return (
        finding.get("RecordState", "ACTIVE") == "ACTIVE"
        and finding.get("Compliance", {}).get("Status") != "PASSED"
        and finding.get("Workflow", {}).get("Status") not in ("SUPPRESSED", "RESOLVED")
    )


def summarise(findings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How many findings are open: in all, and by severity, product, control, account and
    resource; the most first."""
    opened = [finding for finding in findings if is_open(finding)]
    counts: dict[str, Counter[str]] = {
        "by_severity": Counter(finding["Severity"]["Label"] for finding in opened),
        "by_product": Counter(product_of(finding) for finding in opened),
        "by_generator": Counter(finding["GeneratorId"] for finding in opened),
        "by_account": Counter(finding["AwsAccountId"] for finding in opened),
        "by_resource": Counter(r["Id"] for finding in opened for r in finding["Resources"]),
    }
    return {"open": len(opened), **{name: dict(c.most_common()) for name, c in counts.items()}}


def product_of(finding: Mapping[str, Any]) -> str:
    """The name of the product that found it."""
    named = finding.get("ProductName")
    return str(named) if named else str(finding["ProductArn"]).rpartition("/")[2]
