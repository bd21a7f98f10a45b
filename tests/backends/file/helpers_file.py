"""What tests of the file put into it, and how they read it back."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from smclient_embedded.store import Scope, SecretRecord, VersionRecord
from smclient_file import FileStore

HOME = Scope("123456789012", "us-east-1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CANARY = "correct-horse-canary-staple"


def arn(name: str) -> str:
    """The ARN of a test's secret."""
    return f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf"


def put(
    store: FileStore,
    name: str,
    value: str | bytes,
    version: str = "v1",
    *,
    labels: Iterable[str] = ("AWSCURRENT",),
    **fields: Any,
) -> None:
    """Put a version of a secret, which is made if it is new."""
    keys = store.keyring()
    assert keys is not None
    kind: Literal["string", "binary"] = "binary" if isinstance(value, bytes) else "string"
    raw = value if isinstance(value, bytes) else value.encode()
    context = {"SecretARN": arn(name), "SecretVersionId": version}
    with store.transaction(write=True) as tx:
        if tx.secret(arn(name)) is None:
            tx.put_secret(SecretRecord(arn(name), HOME, name, NOW, NOW, **fields))
        sealed = keys.seal(raw, key_id=None, context=context)
        tx.put_version(VersionRecord(arn(name), version, NOW, kind, sealed))
        for label in labels:
            tx.put_label(arn(name), label, version)


def value(store: FileStore, name: str, label: str = "AWSCURRENT") -> bytes:
    """The value of a secret at a label."""
    keys = store.keyring()
    assert keys is not None
    with store.transaction(write=False) as tx:
        version = tx.version(arn(name), tx.labels(arn(name))[label])
    assert version is not None
    assert version.sealed is not None
    return keys.open(version.sealed)


def sample(store: FileStore) -> None:
    """Two secrets, three versions, everything that a line can have."""
    put(store, "app/db", "first " + CANARY, description="Größe", tags=(("team", "a"),))
    put(store, "app/db", "second " + CANARY, "v2", labels=())
    put(store, "app/key", CANARY.encode(), policies={"ResourcePolicy": "{}"})
    with store.transaction(write=True) as tx:
        tx.put_label(arn("app/db"), "AWSPREVIOUS", "v1")
        tx.put_label(arn("app/db"), "AWSCURRENT", "v2")
        tx.put_setting("name", CANARY.encode())


def lines(path: Path) -> list[bytes]:
    """The lines of a file, each with its LF."""
    return path.read_bytes().splitlines(keepends=True)


def header(path: Path) -> dict[str, Any]:
    """The header of a file."""
    fields: dict[str, Any] = json.loads(lines(path)[1])
    return fields


def fork(work: Callable[[], object]) -> int:
    """Do something in a child process, which ends with it: 0, or 1 after an error. Gives its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # the child must never come back into the parent's code
        traceback.print_exc()
    finally:
        os._exit(status)


def wait(pid: int) -> int:
    """The exit code of a child."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
