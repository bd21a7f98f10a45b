"""Is this a policy? Every fault of a document, with its place.

A fault is *fatal* if the text it concerns has no safe meaning: a statement with a fatal fault
grants nothing, and if it may be a Deny the whole document refuses. Other faults are refused when
a policy is stored, but have a meaning in evaluation (a wildcard inside a principal ARN names
nobody). In NotAction and NotResource an entry that names nothing would widen the statement, so it
is fatal there.

Sources: IAM user guide, "Grammar of the IAM JSON policy language"; error-level checks of IAM
Access Analyzer; Organizations user guide, "SCP syntax", "RCP syntax". Not refused, although
Access Analyzer reports them: a multivalued key without a set operator, variables under Version
2008-10-17, unknown services, actions and keys. AWS's own managed policies contain such things, so
the live services take them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .conditions import Operator, UnknownOperatorError, read_operator
from .match import ARN_FIELDS
from .values import network
from .variables import VariableError, tokenize

Kind = Literal["identity", "resource", "scp", "rcp"]
"""Kinds of policy. Boundaries and session policies are ``identity``, key policies ``resource``."""

CURRENT_VERSION = "2012-10-17"
VERSIONS = frozenset({"2008-10-17", CURRENT_VERSION})
MAX_RESOURCE_POLICY = 20480
"""Longest secret policy in characters (service model, NonEmptyResourcePolicyType)."""

_TOP = frozenset({"Version", "Id", "Statement"})
_ELEMENTS = frozenset(
    [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ]
)
_PRINCIPAL_KEYS = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})
_HAS_PRINCIPAL = frozenset({"resource", "rcp"})
_ACTION = re.compile(r"\*|\*:\*|[A-Za-z0-9-]+:[A-Za-z0-9*?_-]+")
_SID = re.compile(r"[A-Za-z0-9]*")
_ACCOUNT = re.compile(r"[0-9]{12}")
_PRINCIPAL_ARN = re.compile(
    r"arn:aws[a-z-]*:(?:iam::[0-9]{12}:(?:root|(?:user|role)/[^\s*?]+)"
    r"|sts::[0-9]{12}:(?:assumed-role/[^\s*?/]+/[^\s*?/]+|federated-user/[^\s*?]+))"
)
_SERVICE = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_TAG_KEYS = ("aws:principaltag", "aws:resourcetag", "aws:requesttag")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where it is, what it is, and whether evaluation can give it a safe meaning.

    ``statement`` is the index of the statement it concerns; None if it concerns the whole document.
    """

    where: str
    what: str
    fatal: bool = True
    statement: int | None = None

    def __str__(self) -> str:
        """The fault as one line."""
        return f"{self.where}: {self.what}"


def find_faults(document: object, kind: Kind) -> list[Fault]:
    """Every fault of a parsed document; empty if it is a policy of that kind."""
    if not isinstance(document, dict):
        return [Fault("policy", "must be a JSON object")]
    faults = list(_document_faults(document, kind))
    statements = statements_of(document)
    version = document.get("Version")
    for index, statement in enumerate(statements):
        where = f"Statement[{index}]" if isinstance(document["Statement"], list) else "Statement"
        check = _StatementCheck(where, index, kind, variables=version == CURRENT_VERSION)
        faults.extend(check.faults(statement))
    if kind != "resource":
        faults.extend(_repeated_sids(statements))
    return faults


def statements_of(document: Mapping[str, Any]) -> list[Any]:
    """The statements of a document, which may be one object or a list of them."""
    statements = document.get("Statement")
    if isinstance(statements, list):
        return statements
    return [] if statements is None else [statements]


def as_list(value: Any) -> list[Any]:
    """A value that may stand alone or in a list, as a list."""
    return value if isinstance(value, list) else [value]


def _document_faults(document: Mapping[str, Any], kind: Kind) -> Iterator[Fault]:
    for name in document:
        if name not in _TOP:
            yield Fault(name, "is not an element of a policy")
    version = document.get("Version")
    if "Version" in document and not (isinstance(version, str) and version in VERSIONS):
        yield Fault("Version", f"must be one of {sorted(VERSIONS)}")
    elif kind in ("scp", "rcp") and version != CURRENT_VERSION:
        yield Fault("Version", f"must be {CURRENT_VERSION} in this kind of policy", fatal=False)
    if "Id" in document:
        if kind != "resource":
            yield Fault("Id", "belongs to resource policies only", fatal=False)
        elif not isinstance(document["Id"], str):
            yield Fault("Id", "must be a string", fatal=False)
    if not isinstance(document.get("Statement"), (dict, list)):
        yield Fault("Statement", "must be there, an object or a list of objects")
    elif document["Statement"] == []:
        yield Fault("Statement", "holds no statement", fatal=False)


def _repeated_sids(statements: Sequence[Any]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, statement in enumerate(statements):
        sid = statement.get("Sid") if isinstance(statement, dict) else None
        if isinstance(sid, str) and sid:
            if sid in seen:
                yield Fault(f"Statement[{index}].Sid", f"{sid!r} is used twice", False, index)
            seen.add(sid)


class _StatementCheck:
    """The checks of one statement; each method yields the faults of one element."""

    def __init__(self, where: str, index: int, kind: Kind, *, variables: bool) -> None:
        self._where = where
        self._index = index
        self._kind = kind
        self._variables = variables

    def faults(self, statement: Any) -> Iterator[Fault]:
        if not isinstance(statement, dict):
            yield self._fault("", "must be an object")
            return
        for name in statement:
            if name not in _ELEMENTS:
                yield self._fault(name, "is not an element of a statement")
        yield from self._effect(statement)
        yield from self._sid(statement)
        yield from self._one_of(statement, "Action", "NotAction")
        yield from self._one_of(statement, "Resource", "NotResource")
        yield from self._principal_presence(statement)
        checks: list[tuple[str, Callable[[str, Any], Iterator[Fault]]]] = [
            ("Action", self._actions),
            ("NotAction", self._actions),
            ("Resource", self._resources),
            ("NotResource", self._resources),
            ("Principal", self._principal),
            ("NotPrincipal", self._principal),
            ("Condition", self._condition),
        ]
        for name, check in checks:
            if name in statement:
                yield from check(name, statement[name])

    def _fault(self, element: str, what: str, *, fatal: bool = True) -> Fault:
        where = f"{self._where}.{element}" if element else self._where
        return Fault(where, what, fatal, self._index)

    def _effect(self, statement: Mapping[str, Any]) -> Iterator[Fault]:
        effect = statement.get("Effect")
        if effect not in ("Allow", "Deny"):
            yield self._fault("Effect", "must be exactly Allow or Deny")
        elif effect == "Allow" and self._kind == "rcp":
            yield self._fault("Effect", "a resource control policy can only deny", fatal=False)

    def _sid(self, statement: Mapping[str, Any]) -> Iterator[Fault]:
        sid = statement.get("Sid", "")
        if not isinstance(sid, str):
            yield self._fault("Sid", "must be a string", fatal=False)
        elif self._kind != "resource" and not _SID.fullmatch(sid):
            yield self._fault("Sid", "may hold letters and digits only", fatal=False)

    def _one_of(self, statement: Mapping[str, Any], name: str, opposite: str) -> Iterator[Fault]:
        if name in statement and opposite in statement:
            yield self._fault(name, f"excludes {opposite}")
        elif name not in statement and opposite not in statement:
            yield self._fault("", f"needs {name} or {opposite}")

    def _principal_presence(self, statement: Mapping[str, Any]) -> Iterator[Fault]:
        if self._kind in _HAS_PRINCIPAL:
            yield from self._one_of(statement, "Principal", "NotPrincipal")
            if self._kind == "rcp":
                if statement.get("Principal") != "*":
                    yield self._fault("Principal", 'must be "*" here', fatal=False)
                if "NotAction" in statement:
                    yield self._fault("NotAction", "is not supported here", fatal=False)
            elif "NotPrincipal" in statement and statement.get("Effect") == "Allow":
                yield self._fault("NotPrincipal", "must not stand with Allow")
            return
        for name in ("Principal", "NotPrincipal"):
            if name in statement:
                yield self._fault(name, "does not belong in this kind of policy")

    def _strings(self, name: str, value: Any) -> Iterator[Fault | str]:
        entries = as_list(value)
        if not entries:
            yield self._fault(name, "is empty")
        for entry in entries:
            if isinstance(entry, str):
                yield entry
            else:
                yield self._fault(name, "must be a string or a list of strings")

    def _actions(self, name: str, value: Any) -> Iterator[Fault]:
        for entry in self._strings(name, value):
            if isinstance(entry, Fault):
                yield entry
            elif not _ACTION.fullmatch(entry):
                what = f"{entry!r} is not * or service:Action"
                yield self._fault(name, what, fatal=name == "NotAction")
            elif self._kind == "rcp" and entry in ("*", "*:*"):
                yield self._fault(name, "must name a service here", fatal=False)

    def _resources(self, name: str, value: Any) -> Iterator[Fault]:
        for entry in self._strings(name, value):
            if isinstance(entry, Fault):
                yield entry
            elif entry != "*":
                fields = entry.split(":", ARN_FIELDS - 1)
                if fields[0] != "arn" or len(fields) < ARN_FIELDS:
                    what = f"{entry!r} is not * or a six-field ARN"
                    yield self._fault(name, what, fatal=name == "NotResource")
                yield from self._template(name, entry)

    def _template(self, name: str, text: str) -> Iterator[Fault]:
        try:
            tokenize(text, wildcards=False, variables=self._variables)
        except VariableError as error:
            yield self._fault(name, str(error))

    def _principal(self, name: str, value: Any) -> Iterator[Fault]:
        if value == "*":
            return
        if not isinstance(value, dict) or not value:
            yield self._fault(name, 'must be "*" or a map such as {"AWS": ...}')
            return
        for key, entries in value.items():
            if key not in _PRINCIPAL_KEYS:
                yield self._fault(f"{name}.{key}", "is not a kind of principal")
                continue
            for entry in self._strings(f"{name}.{key}", entries):
                if isinstance(entry, Fault):
                    yield entry
                elif not _is_principal(key, entry):
                    what = f"{entry!r} is not a principal of this kind"
                    yield self._fault(f"{name}.{key}", what, fatal=False)

    def _condition(self, name: str, value: Any) -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield self._fault(name, "must be an object")
            return
        for text, block in value.items():
            where = f"{name}.{text}"
            try:
                read = read_operator(text)
            except UnknownOperatorError as error:
                yield self._fault(where, str(error))
                continue
            if not isinstance(block, dict):
                yield self._fault(where, "must be an object of keys and values")
                continue
            lowered = [key.lower() for key in block]
            if len(set(lowered)) < len(lowered):
                yield self._fault(where, "names one key twice, in different case", fatal=False)
            for key, wanted in block.items():
                yield from self._key(f"{where}.{key}", key)
                yield from self._wanted(f"{where}.{key}", key, read, wanted)

    def _key(self, where: str, key: str) -> Iterator[Fault]:
        prefix, colon, name = key.partition(":")
        if not colon or not prefix or not name:
            yield self._fault(where, "is not service:keyname", fatal=False)
        elif key.lower().rstrip("/") in _TAG_KEYS:
            yield self._fault(where, "needs a tag key", fatal=False)

    def _wanted(self, where: str, key: str, read: Operator, wanted: Any) -> Iterator[Fault]:
        values = as_list(wanted)
        if not all(isinstance(value, (str, int, float)) for value in values):
            yield self._fault(where, "values must be strings, numbers or booleans")
            return
        if read.base in ("bool", "null") and len(values) > 1:
            yield self._fault(where, "takes one boolean", fatal=False)
        for value in values:
            text = as_text(value)
            if read.takes_variables:
                yield from self._template(where, text)
            elif self._variables and "${" in text:
                yield self._fault(where, "this operator takes no variables", fatal=False)
            elif read.base in ("ipaddress", "notipaddress") and network(text) is None:
                yield self._fault(where, f"{text!r} is not an IP range", fatal=False)


def _is_principal(key: str, entry: str) -> bool:
    match key:
        case "AWS":
            return entry == "*" or bool(
                _ACCOUNT.fullmatch(entry) or _PRINCIPAL_ARN.fullmatch(entry)
            )
        case "Service":
            return _SERVICE.fullmatch(entry) is not None
    return bool(entry) and "*" not in entry and "?" not in entry


def as_text(value: str | int | float | bool) -> str:
    """A scalar of a policy as the text that conditions compare."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)
