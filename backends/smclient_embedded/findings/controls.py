"""The controls: pure functions from a secret, the time and parameters to a verdict.

SecretsManager.1 to .5 are Security Hub's, by the words of their documentation and of the AWS Config
rules behind them; SMClient.1 to .4 are this project's own. Where AWS leaves something open, it is
decided here: an age counts from the last access or rotation, else from the creation of the secret.
A replica is rotated by its primary, so rotation is judged there. A secret that is marked for
deletion is not judged.

Sources: Security Hub user guide, "Controls for Secrets Manager"; AWS Config developer guide, the
rules named below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Literal

from smclient.errors import ConfigError
from smclient_embedded.findings.exposure import foreign_accounts, public_reasons
from smclient_embedded.kms import MANAGED_ALIAS
from smclient_embedded.store.records import SecretRecord

Status = Literal["PASSED", "FAILED"]
SeverityLabel = Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]

_LATE = timedelta(days=2)
"""A scheduled rotation may be that late."""
_MOST_TAG_KEYS = 6


@dataclass(frozen=True, slots=True)
class FindingParameters:
    """The parameters of the controls, with Security Hub's defaults and bounds.

    Attributes:
        maximum_allowed_rotation_frequency: SecretsManager.1: days between rotations, 1 to 365.
        unused_for_days: SecretsManager.3, 1 to 365.
        max_days_since_rotation: SecretsManager.4, 1 to 180.
        required_tag_keys: SecretsManager.5, up to six; without any, one tag of whatever key.
        trusted_accounts: SMClient.2: accounts that may be granted access.
        kms_key_arns: SMClient.3: the customer keys that may be used; any unless given.
        never_rotated_after_days: SMClient.4: how long a secret may be without a first rotation.
    """

    maximum_allowed_rotation_frequency: int | None = None
    unused_for_days: int = 90
    max_days_since_rotation: int = 90
    required_tag_keys: tuple[str, ...] = ()
    trusted_accounts: tuple[str, ...] = ()
    kms_key_arns: tuple[str, ...] = ()
    never_rotated_after_days: int = 0

    def __post_init__(self) -> None:
        """Raises ``ConfigError`` where a number is out of its bounds or a list is none."""
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is None and name == "maximum_allowed_rotation_frequency":
                continue
            if type(value) is not int or not least <= value <= most:
                raise ConfigError(f"{name} is a number from {least} to {most}, not {value!r}")
        for name in ("required_tag_keys", "trusted_accounts", "kms_key_arns"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
                raise ConfigError(f"{name} is a list of texts, not {value!r}")
        if len(self.required_tag_keys) > _MOST_TAG_KEYS:
            raise ConfigError(f"required_tag_keys has {_MOST_TAG_KEYS} keys at most")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> FindingParameters:
        """Of plain data, lists for tuples, by the names above or AWS's (``unusedForDays``).

        Raises:
            ConfigError: a name that there is not, or a value that is out of bounds.
        """
        known = {field.name for field in fields(cls)}
        by_aws = {aws_name(name): name for name in known}
        read: dict[str, Any] = {}
        for name, value in given.items():
            own = by_aws.get(name, name)
            if own not in known:
                raise ConfigError(
                    f"{name!r} is no parameter of a control; there are {', '.join(sorted(by_aws))}"
                )
            read[own] = tuple(value) if isinstance(value, list) else value
        return cls(**read)


_BOUNDS = {
    "maximum_allowed_rotation_frequency": (1, 365),
    "unused_for_days": (1, 365),
    "max_days_since_rotation": (1, 180),
    "never_rotated_after_days": (0, 365),
}


def aws_name(name: str) -> str:
    """A parameter as AWS spells it."""
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a control says of a secret, and why."""

    status: Status
    reason_code: str
    reason: str


Judge = Callable[[SecretRecord, datetime, FindingParameters], Verdict | None]
"""``None`` where the control does not apply."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control.

    Attributes:
        parameters: the fields of ``FindingParameters`` that it reads.
        config_rule: AWS Config's rule behind it, if there is one.
        requirements: the requirements that Security Hub relates it to.
    """

    control_id: str
    title: str
    description: str
    severity: SeverityLabel
    judge: Judge
    parameters: tuple[str, ...] = ()
    config_rule: str | None = None
    requirements: tuple[str, ...] = ()

    @property
    def is_aws(self) -> bool:
        """Whether it is one of Security Hub's own."""
        return self.control_id.startswith("SecretsManager.")


# --- Security Hub's -------------------------------------------------------------------------------


def _rotation_is_on(secret: SecretRecord, _: datetime, given: FindingParameters) -> Verdict | None:
    if secret.primary_region is not None:
        return None
    rotation = secret.rotation
    if rotation is None or not rotation.enabled:
        return Verdict("FAILED", "ROTATION_OFF", "Automatic rotation is off.")
    days, most = rotation.automatically_after_days, given.maximum_allowed_rotation_frequency
    if most is not None and days is not None and days > most:
        return Verdict(
            "FAILED", "ROTATION_TOO_RARE", f"It is rotated every {days} days; {most} are allowed."
        )
    return Verdict("PASSED", "ROTATION_ON", "Automatic rotation is on.")


def _rotates_on_time(secret: SecretRecord, now: datetime, _: FindingParameters) -> Verdict | None:
    rotation = secret.rotation
    if secret.primary_region is not None or rotation is None or not rotation.enabled:
        return None
    due = rotation.window_ends_at or rotation.next_rotation_at
    if due is not None and due + _LATE < now:
        return Verdict(
            "FAILED",
            "ROTATION_OVERDUE",
            f"The rotation that was due by {due:%Y-%m-%d} has not succeeded.",
        )
    return Verdict("PASSED", "ROTATION_ON_TIME", "No scheduled rotation is overdue.")


def _is_used(secret: SecretRecord, now: datetime, given: FindingParameters) -> Verdict:
    last: date = secret.accessed_on or secret.created_at.date()
    days = (now.date() - last).days
    if days > given.unused_for_days:
        since = "was last read" if secret.accessed_on else "was created, and never read,"
        return Verdict(
            "FAILED", "UNUSED", f"It {since} {days} days ago; {given.unused_for_days} are allowed."
        )
    return Verdict("PASSED", "USED", f"It was read or created within {given.unused_for_days} days.")


def _is_rotated_in_time(
    secret: SecretRecord, now: datetime, given: FindingParameters
) -> Verdict | None:
    if secret.primary_region is not None:
        return None
    last = _last_rotation(secret)
    days, most = (now - (last or secret.created_at)).days, given.max_days_since_rotation
    if days > most:
        since = "was last rotated" if last else "was created, and never rotated,"
        return Verdict("FAILED", "NOT_ROTATED", f"It {since} {days} days ago; {most} are allowed.")
    return Verdict("PASSED", "ROTATED", f"It was rotated or created within {most} days.")


def _is_tagged(secret: SecretRecord, _: datetime, given: FindingParameters) -> Verdict:
    keys = {key for key, _ in secret.tags or () if not key.lower().startswith("aws:")}
    missing = [key for key in given.required_tag_keys if key not in keys]
    if missing:
        return Verdict("FAILED", "TAGS_MISSING", f"It has no tag {', '.join(missing)}.")
    if not keys:
        return Verdict("FAILED", "TAGS_MISSING", "It has no tag.")
    return Verdict("PASSED", "TAGGED", "It has the tags that are required.")


# --- our own --------------------------------------------------------------------------------------


def _is_not_public(secret: SecretRecord, _: datetime, __: FindingParameters) -> Verdict:
    reasons = public_reasons(secret.policies)
    if reasons:
        return Verdict("FAILED", "PUBLIC_POLICY", " ".join(reasons))
    return Verdict("PASSED", "NOT_PUBLIC", "No resource policy grants access to everybody.")


def _is_not_shared(secret: SecretRecord, _: datetime, given: FindingParameters) -> Verdict:
    foreign = foreign_accounts(secret.policies, secret.scope.account)
    untrusted = sorted(foreign - set(given.trusted_accounts))
    if untrusted:
        return Verdict(
            "FAILED", "CROSS_ACCOUNT", f"A resource policy grants access to {', '.join(untrusted)}."
        )
    return Verdict("PASSED", "NOT_SHARED", "No resource policy grants access to other accounts.")


def _has_customer_key(secret: SecretRecord, _: datetime, given: FindingParameters) -> Verdict:
    key, allowed = secret.kms_key_id, given.kms_key_arns  # the book gives ARNs, whatever was named
    if key is None or key.endswith(MANAGED_ALIAS):
        return Verdict("FAILED", "DEFAULT_KEY", "It is under aws/secretsmanager, the default key.")
    if allowed and key not in allowed:
        return Verdict("FAILED", "OTHER_KEY", f"It is under {key}, which is none of those allowed.")
    return Verdict("PASSED", "CUSTOMER_KEY", "It is under a customer key.")


def _was_ever_rotated(
    secret: SecretRecord, now: datetime, given: FindingParameters
) -> Verdict | None:
    if secret.primary_region is not None:
        return None
    if _last_rotation(secret) is not None:
        return Verdict("PASSED", "ROTATED", "It was rotated before.")
    days = (now - secret.created_at).days
    if days < given.never_rotated_after_days:
        return Verdict("PASSED", "NEW", f"It was created {days} days ago.")
    return Verdict("FAILED", "NEVER_ROTATED", "It was never rotated.")


def _last_rotation(secret: SecretRecord) -> datetime | None:
    return None if secret.rotation is None else secret.rotation.last_rotated_at


_NIST_AND_PCI = (
    "NIST.800-53.r5 AC-2(1)",
    "NIST.800-53.r5 AC-3(15)",
    "PCI DSS v4.0.1/8.6.3",
    "PCI DSS v4.0.1/8.3.9",
)

CONTROLS: Sequence[Control] = (
    Control(
        "SecretsManager.1",
        "Secrets Manager secrets should have automatic rotation enabled",
        "Checks that a secret is rotated automatically, and often enough if that is asked for.",
        "MEDIUM",
        _rotation_is_on,
        ("maximum_allowed_rotation_frequency",),
        "secretsmanager-rotation-enabled-check",
        _NIST_AND_PCI,
    ),
    Control(
        "SecretsManager.2",
        "Secrets Manager secrets configured with automatic rotation should rotate successfully",
        "Checks that the last scheduled rotation of a secret took place.",
        "MEDIUM",
        _rotates_on_time,
        (),
        "secretsmanager-scheduled-rotation-success-check",
        _NIST_AND_PCI,
    ),
    Control(
        "SecretsManager.3",
        "Remove unused Secrets Manager secrets",
        "Checks that somebody has read a secret lately.",
        "MEDIUM",
        _is_used,
        ("unused_for_days",),
        "secretsmanager-secret-unused",
        _NIST_AND_PCI[:2],
    ),
    Control(
        "SecretsManager.4",
        "Secrets Manager secrets should be rotated within a specified number of days",
        "Checks that a secret was rotated lately, automatically or not.",
        "MEDIUM",
        _is_rotated_in_time,
        ("max_days_since_rotation",),
        "secretsmanager-secret-periodic-rotation",
        _NIST_AND_PCI,
    ),
    Control(
        "SecretsManager.5",
        "Secrets Manager secrets should be tagged",
        "Checks that a secret has the tags that are required.",
        "LOW",
        _is_tagged,
        ("required_tag_keys",),
        "tagged-secretsmanager-secret",
    ),
    Control(
        "SMClient.1",
        "Secrets should not be open to the public",
        "Checks that no resource policy of a secret grants access to everybody.",
        "CRITICAL",
        _is_not_public,
    ),
    Control(
        "SMClient.2",
        "Secrets should be shared with trusted accounts only",
        "Checks that no resource policy of a secret grants access to an account that is not named "
        "as trusted.",
        "HIGH",
        _is_not_shared,
        ("trusted_accounts",),
    ),
    Control(
        "SMClient.3",
        "Secrets should be encrypted under a customer key",
        "Checks that a secret is under a KMS key of the customer, whose policy can be limited and "
        "which can be shared and disabled.",
        "LOW",
        _has_customer_key,
        ("kms_key_arns",),
        "secretsmanager-using-cmk",
    ),
    Control(
        "SMClient.4",
        "Secrets should have been rotated at least once",
        "Checks that the value which whoever set the secret up has seen is not in use any more.",
        "MEDIUM",
        _was_ever_rotated,
        ("never_rotated_after_days",),
    ),
)
BY_ID: Mapping[str, Control] = {control.control_id: control for control in CONTROLS}
