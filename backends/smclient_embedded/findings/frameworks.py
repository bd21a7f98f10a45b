"""What a control evidences in the frameworks that auditors ask by.

PCI DSS v4.0.1 on SecretsManager.1, .2 and .4 is what Security Hub relates them to. All else is this
project's reading of the requirement's text: a place to begin, not an auditor's opinion. A control
that passes evidences the part that is said, never the whole requirement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from smclient_embedded.findings.controls import CONTROLS
from smclient_embedded.findings.summary import is_open

_ROTATED = ("SecretsManager.1", "SecretsManager.2", "SecretsManager.4", "SMClient.4")
_OPEN = ("SMClient.1", "SMClient.2")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement, and the controls that evidence a part of it.

    Attributes:
        evidences: which part.
        by_aws: whether Security Hub relates these controls to it.
    """

    requirement_id: str
    controls: tuple[str, ...]
    evidences: str
    by_aws: bool = False


FRAMEWORKS: Mapping[str, tuple[Requirement, ...]] = {
    "pci": (
        Requirement(
            "PCI DSS v4.0.1/8.6.3",
            ("SecretsManager.1", "SecretsManager.2", "SecretsManager.4"),
            "passwords of application and system accounts are changed periodically",
            by_aws=True,
        ),
        Requirement(
            "PCI DSS v4.0.1/8.3.9",
            ("SecretsManager.1", "SecretsManager.2", "SecretsManager.4"),
            "passwords that are the only factor are changed at least every 90 days",
            by_aws=True,
        ),
        Requirement(
            "PCI DSS v4.0.1/7.2.5",
            _OPEN,
            "application accounts get no access from outside their accounts",
        ),
        Requirement(
            "PCI DSS v4.0.1/3.6.1",
            ("SMClient.3",),
            "keys that protect stored secrets are the customer's to restrict",
        ),
        Requirement(
            "PCI DSS v4.0.1/8.2.6", ("SecretsManager.3",), "credentials that nobody uses are found"
        ),
    ),
    "hipaa": (
        Requirement(
            "45 CFR 164.308(a)(5)(ii)(D)", _ROTATED, "passwords are changed by a procedure"
        ),
        Requirement(
            "45 CFR 164.312(a)(1)", _OPEN, "only those granted rights can reach the secrets"
        ),
        Requirement(
            "45 CFR 164.312(a)(2)(iv)", ("SMClient.3",), "secrets are encrypted under own keys"
        ),
        Requirement(
            "45 CFR 164.308(a)(3)(ii)(C)",
            ("SecretsManager.3",),
            "access that is not needed any more is found and ended",
        ),
    ),
    "soc2": (
        Requirement(
            "CC6.1",
            (*_ROTATED, "SMClient.3"),
            "credentials are managed over their life and protected by encryption keys",
        ),
        Requirement("CC6.3", _OPEN, "access is granted by least privilege"),
        Requirement("CC6.2", ("SecretsManager.3",), "credentials that are not needed are removed"),
        Requirement("CC6.6", ("SMClient.1",), "nobody from outside can reach the secrets"),
        Requirement("CC7.2", ("SecretsManager.2",), "rotations that fail are noticed"),
    ),
    "iso27001": (
        Requirement("A.5.17", _ROTATED, "authentication information is changed and not shared"),
        Requirement("A.5.15", _OPEN, "access to secrets follows rules"),
        Requirement(
            "A.5.18", ("SecretsManager.3", "SMClient.2"), "access rights are reviewed and removed"
        ),
        Requirement("A.8.24", ("SMClient.3",), "cryptographic keys are under own management"),
        Requirement("A.5.9", ("SecretsManager.5",), "secrets are inventoried with their owners"),
    ),
    "gdpr": (
        Requirement("Art. 32(1)(a)", ("SMClient.3",), "credentials to personal data are encrypted"),
        Requirement(
            "Art. 32(1)(b)",
            (*_ROTATED, *_OPEN),
            "confidentiality of what the credentials open is ensured",
        ),
        Requirement(
            "Art. 32(1)(d)", ("SecretsManager.2",), "measures are tested: rotations succeed"
        ),
        Requirement(
            "Art. 25(2)",
            ("SecretsManager.3", "SMClient.1"),
            "by default no more is accessible than is needed",
        ),
    ),
}
"""Framework to its requirements."""


def by_requirement(framework: str, findings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each requirement of a framework its controls, what they evidence, and how many findings
    passed, failed and are open.

    Raises:
        KeyError: there is no such framework.
    """
    told: list[dict[str, Any]] = []
    every = list(findings)
    titles = {control.control_id: control.title for control in CONTROLS}
    for requirement in FRAMEWORKS[framework]:
        of_it = [
            one
            for one in every
            if one.get("Compliance", {}).get("SecurityControlId") in requirement.controls
            and one["RecordState"] == "ACTIVE"
        ]
        failed = [one for one in of_it if one["Compliance"].get("Status") == "FAILED"]
        opened = [one for one in failed if is_open(one)]
        told.append(
            {
                "framework": framework,
                "requirement": requirement.requirement_id,
                "evidences": requirement.evidences,
                "related_by": "Security Hub" if requirement.by_aws else "smclient",
                "controls": {control: titles[control] for control in requirement.controls},
                "passed": len(of_it) - len(failed),
                "failed": len(failed),
                "open": len(opened),
                "resources": sorted({one["Resources"][0]["Id"] for one in failed}),
            }
        )
    return told
