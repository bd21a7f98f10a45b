"""``FindingsBook``: the findings of a store, kept in its settings.

For each scope one setting holds what is known of its findings; the finding itself is made anew from
that and from the secret. A look that changes nothing writes nothing.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from smclient.errors import ConfigError
from smclient_embedded.findings import taking_in
from smclient_embedded.findings.asff import Known, archive, finding, finding_id, look_again
from smclient_embedded.findings.controls import BY_ID, CONTROLS, FindingParameters, Verdict
from smclient_embedded.kms import find_key
from smclient_embedded.store.ports import Store, StoreError, Transaction
from smclient_embedded.store.records import Scope, SecretQuery, SecretRecord

KEPT_ARCHIVED = timedelta(days=30)
WORKFLOWS = taking_in.ONE_OF["Workflow.Status"]

_PAGE = 500
_PREFIX = "findings."
_TAKEN_IN = "findings-of-others"
_DEFAULTS = FindingParameters()

Key = tuple[str, str]
"""A control's id and a secret's ARN."""


class FindingsBook:
    """The findings of one store.

    Args:
        now: the time.
    """

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def look(
        self, given: FindingParameters = _DEFAULTS, *, account: str | None = None
    ) -> list[dict[str, Any]]:
        """Judge every secret of the store (of an account, if one is given) by every control.

        Returns the findings in ASFF, in the order of regions, secrets and controls: those that
        passed and those archived in the last 30 days too; then those of others that were taken in.

        Raises:
            StoreError
        """
        now = self._now()
        shown: list[dict[str, Any]] = []
        with self._store.transaction(write=False) as tx:
            scopes = [s for s in _scopes(tx) if account in (None, s.account)]
        for scope in scopes:
            shown += self._look_at(scope, given, now)
        return shown + self._others(account)

    def set_workflow(self, ids: Sequence[str], status: str) -> int:
        """Say how far the work on findings is: NEW, NOTIFIED, SUPPRESSED or RESOLVED. Findings of
        others too. Returns how many of them there are.

        Raises:
            ConfigError: another status.
        """
        if status not in WORKFLOWS:
            raise ConfigError(f"{status!r} is no workflow status; there are {', '.join(WORKFLOWS)}")
        wanted, found = set(ids), 0
        with self._store.transaction(write=True) as tx:
            for scope in _scopes(tx):
                known = _read(tx, scope)
                of_ids = {
                    finding_id(BY_ID[control], arn): (control, arn)
                    for control, arn in known
                    if control in BY_ID  # not one that another version knew
                }
                for one in wanted & of_ids.keys():
                    found += 1
                    known[of_ids[one]] = dataclasses.replace(
                        known[of_ids[one]],
                        workflow=status,  # type: ignore[arg-type]  # checked above
                        updated_at=self._now(),
                    )
                if wanted & of_ids.keys():
                    _write(tx, scope, known)
            others = taking_in.read(tx.setting(_TAKEN_IN))
            for other in others:
                if other["Id"] in wanted:
                    found += 1
                    other["Workflow"] = {**other.get("Workflow", {}), "Status": status}
            tx.put_setting(_TAKEN_IN, taking_in.written(others))
        return found

    def take_in(self, findings: Sequence[Mapping[str, Any]]) -> int:
        """Keep findings of others (GuardDuty, Macie, …), in ASFF; how many were new or newer than
        what was kept. A workflow status that was set here stays.

        Raises:
            InvalidFindingError: one is not ASFF; nothing was kept.
        """
        checked = [taking_in.checked(one, number) for number, one in enumerate(findings)]
        with self._store.transaction(write=True) as tx:
            kept, changed = taking_in.merged(taking_in.read(tx.setting(_TAKEN_IN)), checked)
            if changed:
                tx.put_setting(_TAKEN_IN, taking_in.written(kept))
        return changed

    # --- inside -----------------------------------------------------------------------------------

    def _look_at(
        self, scope: Scope, given: FindingParameters, now: datetime
    ) -> list[dict[str, Any]]:
        """Judge while others write, and write only what is new, on top of what was known by then:
        somebody may have set a workflow, or looked, in between."""
        verdicts: dict[Key, Verdict] = {}
        secrets: dict[str, SecretRecord] = {}
        with self._store.transaction(write=False) as tx:
            before = _read(tx, scope)
            keys = _KeysInUse(tx, scope)
            for secret in _secrets(tx, scope):
                secrets[secret.arn] = secret
                if secret.deleted_at is not None:
                    continue
                judged = dataclasses.replace(secret, kms_key_id=keys.of(secret))
                for control in CONTROLS:
                    verdict = control.judge(judged, now, given)
                    if verdict is not None:
                        verdicts[control.control_id, secret.arn] = verdict
        after = _after(before, verdicts, before.keys(), now)
        if after != before:
            with self._store.transaction(write=True) as tx:
                meanwhile = _read(tx, scope)
                after = _after(meanwhile, verdicts, before.keys(), now)
                if after != meanwhile:
                    _write(tx, scope, after)
        return [
            finding(BY_ID[control_id], arn, known, secret=secrets.get(arn), given=given, now=now)
            for (control_id, arn), known in after.items()
            if control_id in BY_ID
        ]

    def _others(self, account: str | None) -> list[dict[str, Any]]:
        with self._store.transaction(write=False) as tx:
            others = taking_in.read(tx.setting(_TAKEN_IN))
        return [one for one in others if account in (None, one["AwsAccountId"])]


class _KeysInUse:
    """By what KMS keys the secrets of a scope are under, whatever they were called."""

    def __init__(self, tx: Transaction, scope: Scope) -> None:
        self._tx = tx
        self._scope = scope
        self._known: dict[str, str | None] = {}

    def of(self, secret: SecretRecord) -> str | None:
        """The ARN of a secret's key; ``None`` for the default one, by whatever name."""
        named = secret.kms_key_id
        if named is None:
            return None
        if named not in self._known:
            key = find_key(self._tx, self._scope, named)
            in_use = named if key is None else key.arn
            self._known[named] = None if key is not None and key.managed else in_use
        return self._known[named]


def _after(
    known: Mapping[Key, Known], verdicts: Mapping[Key, Verdict], seen: Container[Key], now: datetime
) -> dict[Key, Known]:
    """What is to be kept after a look that had ``seen`` what was known. What has no verdict any
    more is archived, and forgotten in the end; what another's look added since stays."""
    after = {
        key: look_again(BY_ID[key[0]], verdict, known.get(key), now)
        for key, verdict in verdicts.items()
    }
    for key, one in known.items():
        if key in after:
            continue
        if key not in seen:
            after[key] = one
            continue
        gone = archive(one, now)
        if key[0] in BY_ID and gone.updated_at + KEPT_ARCHIVED > now:
            after[key] = gone
    return after


def _scopes(tx: Transaction) -> list[Scope]:
    """Where there is something, or something was known of."""
    known = [
        Scope(*name.removeprefix(_PREFIX).split("."))
        for name in tx.settings()
        if name.startswith(_PREFIX)
    ]
    every = {*tx.scopes(), *known}
    return sorted(every, key=lambda scope: (scope.account, scope.region))


def _secrets(tx: Transaction, scope: Scope) -> Iterator[SecretRecord]:
    query = SecretQuery(include_deleted=True, limit=_PAGE)
    while True:
        page = tx.page(scope, query)
        yield from page.secrets
        if not page.more:
            return
        query = dataclasses.replace(query, after=page.positions[-1])


# --- what is known, as bytes ----------------------------------------------------------------------

_MOMENTS = ("created_at", "updated_at")


def _setting(scope: Scope) -> str:
    return f"{_PREFIX}{scope.account}.{scope.region}"


def _read(tx: Transaction, scope: Scope) -> dict[Key, Known]:
    content = tx.setting(_setting(scope))
    if content is None:
        return {}
    try:
        rows = json.loads(zlib.decompress(content))
        return {(control, arn): _known(fields) for control, arn, fields in rows}
    except (ValueError, TypeError, KeyError, zlib.error) as error:
        raise StoreError(
            f"what was known of findings in {scope.account}, {scope.region} cannot be read: it was "
            "written by another version, or damaged"
        ) from error


def _known(fields: Mapping[str, Any]) -> Known:
    moments = {name: datetime.fromisoformat(fields[name]) for name in _MOMENTS}
    return Known(**{**fields, **moments})


def _write(tx: Transaction, scope: Scope, known: Mapping[Key, Known]) -> None:
    rows = [
        (
            *key,
            {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in dataclasses.asdict(one).items()
                if value is not None
            },
        )
        for key, one in known.items()
    ]
    tx.put_setting(_setting(scope), zlib.compress(json.dumps(rows).encode()))
