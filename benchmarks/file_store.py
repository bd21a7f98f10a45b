"""How long the encrypted file takes: opening, first read, put, reads through the client's cache.

    python benchmarks/file_store.py [--json] [--sizes 10,1000,10000] [--folder DIR]

One version of 200 bytes a secret, three tags. The key derivation of a passphrase is shown apart: it
runs once per open and costs the same at any size. Times are the median of several runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from smclient import SecretsClient
from smclient_embedded.kdf import DEFAULTS, Kdf
from smclient_embedded.store import Scope, SecretRecord, VersionRecord
from smclient_file import Credentials, FileStore, Pins, create, first_slot, new_store_id
from smclient_file.unlock import make_key_file

SCOPE = Scope("123456789012", "us-east-1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
AIMS = {"open": 0.5, "put": 0.1}


def arn(number: int) -> str:
    """The ARN of a secret."""
    return f"arn:aws:secretsmanager:us-east-1:123456789012:secret:app/{number:06}-AbCdEf"


def fill(store: FileStore, first: int, count: int) -> None:
    """Put secrets with one version each."""
    keys = store.keyring()
    assert keys is not None
    with store.transaction(write=True) as tx:
        for number in range(first, first + count):
            tags = (("team", "payments"), ("env", "prod"), ("owner", "somebody"))
            tx.put_secret(SecretRecord(arn(number), SCOPE, f"app/{number:06}", NOW, NOW, tags=tags))
            context = {"SecretARN": arn(number), "SecretVersionId": f"{number:036}"}
            sealed = keys.seal(b"x" * 200, key_id=None, context=context)
            tx.put_version(VersionRecord(arn(number), f"{number:036}", NOW, "string", sealed))
            tx.put_label(arn(number), "AWSCURRENT", f"{number:036}")


def first_read(path: Path, given: Credentials, number: int) -> None:
    """Open the store, read one value."""
    store = FileStore(path, given)
    with store.transaction(write=False) as tx:
        secret = tx.secret_named(SCOPE, f"app/{number:06}")
        assert secret is not None
        version = tx.version(secret.arn, tx.labels(secret.arn)["AWSCURRENT"])
    keys = store.keyring()
    assert version is not None
    assert version.sealed is not None
    assert keys is not None
    assert len(keys.open(version.sealed)) == 200


def median(work: Callable[[int], object], times: int) -> float:
    """The median time of a call, in seconds."""
    taken = []
    for turn in range(times):
        begin = time.perf_counter()
        work(turn)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def measure(folder: Path, size: int) -> dict[str, float]:
    """All figures at one size, in seconds."""
    path, key_file = folder / f"{size}.sms", folder / "key"
    given = Credentials(key_file=key_file)
    create(path, lambda keys: [first_slot(str(path), keys, given)], store_id=new_store_id())
    store = FileStore(path, given)
    fill(store, 0, size)
    turns = 9 if size > 1000 else 25
    figures = {
        "MB": path.stat().st_size / 1e6,
        "open": median(lambda turn: FileStore(path, given), turns),
        "open+read": median(lambda turn: first_read(path, given, turn % size), turns),
        "put": median(lambda turn: fill(store, size + turn, 1), turns),
    }
    store.close()
    url = f"file://{path}?key_file={key_file}"
    with SecretsClient(url) as client:
        client.get("app/000001")
        figures["service get"] = median(lambda turn: client.refresh(f"app/{turn % size:06}"), 10)
        figures["cached get"] = median(lambda turn: _thousand(client), 5) / 1000
    return figures


def _thousand(client: SecretsClient) -> None:
    for _ in range(1000):
        client.get("app/000001")


def kdf_costs() -> dict[str, float]:
    """One derivation with each default, in seconds."""
    return {
        name: median(lambda turn, name=name: Kdf.choose(name).derive("passphrase"), 3)
        for name in DEFAULTS
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sizes", default="10,1000,10000")
    parser.add_argument("--folder", help="where files are put; decides what fsync costs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        os.environ["SMCLIENT_STATE_DIR"] = str(folder / "state")
        assert Pins() is not None
        make_key_file(folder / "key", even_in_git=True)
        found = {int(size): measure(folder, int(size)) for size in arguments.sizes.split(",")}
    costs = kdf_costs()
    if arguments.json:
        print(json.dumps({"sizes": found, "kdf": costs, "aims_at_10000": AIMS}))
        return
    print(
        f"{'secrets':>8} {'MB':>6} {'open':>10} {'open+read':>10} {'put':>10}"
        f" {'service get':>12} {'cached get':>11}"
    )
    for size, row in found.items():
        print(
            f"{size:>8} {row['MB']:>6.2f} {row['open'] * 1e3:>7.1f} ms"
            f" {row['open+read'] * 1e3:>7.1f} ms"
            f" {row['put'] * 1e3:>7.1f} ms {row['service get'] * 1e3:>9.2f} ms"
            f" {row['cached get'] * 1e6:>8.2f} µs"
        )
    print(
        "key derivation, once per open:",
        ", ".join(f"{name} {cost * 1e3:.0f} ms" for name, cost in costs.items()),
    )


if __name__ == "__main__":
    main()
