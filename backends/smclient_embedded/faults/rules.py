"""Which fault strikes which call: plain data and a pure decision."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, Literal, Self, get_args

from smclient.errors import ConfigError
from smclient_embedded.context import RequestContext
from smclient_embedded.store.records import Scope

EVERYTHING = "*"
Kind = Literal["throttling", "error", "latency", "outage"]

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_SUFFIX = re.compile(r"-[A-Za-z0-9?]{6}$|-\*$")


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, for whom, and how often. Durations are seconds.

    Attributes:
        kind: what happens.
        operation, principal: a name or ARN, or a glob of them (``Get*``).
        secret: a name, an ARN (whole or without suffix), or a glob of either. It is compared with
            what the caller asked by; an ARN also matches its name in the same account and region.
            A batch call is struck as a whole if any of its ids matches.
        count: how many calls it strikes at most.
        probability: how likely it strikes a call that matches.
        duration: for how long, from when it is added.
        code, message, status: of an error; AWS's code, and the HTTP status.
        seconds: of a latency.
    """

    kind: Kind
    operation: str = EVERYTHING
    secret: str = EVERYTHING
    principal: str = EVERYTHING
    count: int | None = None
    probability: float = 1.0
    duration: float | None = None
    code: str = ""
    message: str = ""
    status: int = 400
    seconds: float = 0.0

    def __post_init__(self) -> None:
        reason = _unfit(self)
        if reason:
            raise ConfigError(f"a fault of kind {self.kind!r}: {reason}")

    @classmethod
    def throttling(cls, **where: Any) -> Self:
        """``ThrottlingException``, ``Rate exceeded``."""
        return cls("throttling", **where)

    @classmethod
    def error(cls, code: str, message: str = "", **where: Any) -> Self:
        """A refusal with any code of AWS's. ``InternalServiceError`` goes out as a 500."""
        if code == "InternalServiceError":
            where.setdefault("status", 500)
        return cls("error", code=code, message=message, **where)

    @classmethod
    def latency(cls, seconds: float, **where: Any) -> Self:
        """Answers come later, by the service's clock."""
        return cls("latency", seconds=seconds, **where)

    @classmethod
    def outage(cls, **where: Any) -> Self:
        """No answers: connections are closed."""
        return cls("outage", **where)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The fault of plain data, as ``to_dict`` gives it.

        Raises:
            ConfigError: an unknown name, a missing kind, or a value that does not fit.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(plain) - set(known))
        if unknown or "kind" not in plain:
            wrong = f"no {unknown[0]!r} in a fault" if unknown else "a fault needs a 'kind'"
            raise ConfigError(f"{wrong}; known: {', '.join(known)}")
        if plain["kind"] == "error" and plain.get("code") == "InternalServiceError":
            plain = {"status": 500, **plain}
        return cls(**plain)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON: what was said, without what was left open."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        defaults = {f.name: f.default for f in fields(self) if f.default is not MISSING}
        return {n: v for n, v in values.items() if n not in defaults or v != defaults[n]}


def _unfit(fault: Fault) -> str | None:
    """Why a fault cannot be."""
    texts = (fault.operation, fault.secret, fault.principal, fault.code, fault.message)
    number = int | float
    if fault.kind not in get_args(Kind):
        return f"there is no such kind; known: {', '.join(get_args(Kind))}"
    if not all(isinstance(text, str) for text in texts):
        return "operation, secret, principal, code and message are texts"
    if not _is(number, fault.probability) or not 0 < fault.probability <= 1:
        return "probability is more than 0 and at most 1"
    if fault.count is not None and (not _is(int, fault.count) or fault.count < 1):
        return "count is a whole number of at least 1"
    if fault.duration is not None and (not _is(number, fault.duration) or fault.duration <= 0):
        return "duration is a number of seconds above 0"
    if fault.kind == "error" and not _CODE.fullmatch(fault.code):
        return "an error needs a code of letters and digits"
    if not _is(int, fault.status) or not 400 <= fault.status <= 599:
        return "status is 400 to 599"
    if not _is(number, fault.seconds) or (fault.kind == "latency") != (fault.seconds > 0):
        return "seconds is a number above 0 for a latency, and for nothing else"
    return None


def _is(kind: Any, value: object) -> bool:
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    return not isinstance(value, float) or math.isfinite(value)


# --- the decision: pure ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """A call, as far as faults look at it."""

    operation: str
    secrets: tuple[str, ...]
    principal: str
    scope: Scope

    @classmethod
    def of(cls, operation: str, request: object, context: RequestContext) -> Self:
        """A call from a request that nobody has checked yet."""
        ids: list[object] = []
        if isinstance(request, Mapping):
            ids = [request.get("SecretId"), request.get("Name")]
            many = request.get("SecretIdList")
            ids += many if isinstance(many, list | tuple) else []
        texts = tuple(secret_id for secret_id in ids if isinstance(secret_id, str))
        return cls(operation, texts, context.principal.arn, context.scope)


@dataclass(frozen=True, slots=True)
class Armed:
    """A fault that was added: since when, and how often it struck."""

    fault: Fault
    since: float
    struck: int = 0

    def is_over(self, now: float) -> bool:
        """Whether its count or its duration is used up."""
        fault = self.fault
        spent = fault.count is not None and self.struck >= fault.count
        return spent or (fault.duration is not None and now >= self.since + fault.duration)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a call: which faults strike (by position), the wait, and what ends it."""

    strikes: tuple[int, ...] = ()
    seconds: float = 0.0
    ending: Fault | None = None


def decide(
    armed: Sequence[Armed], asked: Asked, now: float, random: Callable[[], float]
) -> Verdict:
    """Which faults strike a call. ``random`` is asked once for each improbable one that matches."""
    strikes: list[int] = []
    seconds = 0.0
    for position, one in enumerate(armed):
        fault = one.fault
        if one.is_over(now) or not _matches(fault, asked):
            continue
        if fault.probability < 1 and random() >= fault.probability:
            continue
        strikes.append(position)
        if fault.kind != "latency":
            return Verdict(tuple(strikes), seconds, fault)
        seconds += fault.seconds
    return Verdict(tuple(strikes), seconds)


def _matches(fault: Fault, asked: Asked) -> bool:
    return (
        fnmatchcase(asked.operation, fault.operation)
        and fnmatchcase(asked.principal, fault.principal)
        and (
            fault.secret == EVERYTHING
            or any(_means(fault.secret, name, asked.scope) for name in asked.secrets)
        )
    )


def _means(pattern: str, secret_id: str, scope: Scope) -> bool:
    """Whether a pattern is for the secret that was asked for by this id, as far as text tells."""
    if secret_id.startswith("arn:"):
        stem = _SUFFIX.sub("", secret_id)
        written = {secret_id, stem, stem.rpartition(":")[2], secret_id.rpartition(":")[2]}
    else:
        place = f"arn:aws:secretsmanager:{scope.region}:{scope.account}:secret:"
        written = {secret_id, place + secret_id}
    patterns = {pattern, _SUFFIX.sub("", pattern)} if pattern.startswith("arn:") else {pattern}
    return any(fnmatchcase(text, one) for text in written for one in patterns)
