"""kill -9 of processes that write the encrypted file: is an acknowledged write ever lost?

    python benchmarks/file_kill.py [--kills 150] [--writers 2] [--seed 7] [--folder DIR] [--json]

Each round starts writers that put numbered values and say each number on a pipe only after the
transaction ended well. All are killed at a random moment; the file is opened, verified, and
compared with the last number that each had said. Ends with 1 if anything was lost or damaged.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from smclient_embedded.store import Scope, SecretRecord, VersionRecord
from smclient_file import Credentials, FileStore, create, first_slot, new_store_id
from smclient_file.admin import verify
from smclient_file.unlock import make_key_file

SCOPE = Scope("123456789012", "us-east-1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def arn(writer: int) -> str:
    """Each writer has a secret of its own."""
    return f"arn:aws:secretsmanager:us-east-1:123456789012:secret:kill/{writer}-AbCdEf"


def put(store: FileStore, writer: int, number: int) -> None:
    """Put a number as the current value, and remove the one before."""
    keys = store.keyring()
    assert keys is not None
    version = f"v{number}"
    context = {"SecretARN": arn(writer), "SecretVersionId": version}
    with store.transaction(write=True) as tx:
        before = tx.labels(arn(writer)).get("AWSCURRENT")
        if before is None:
            tx.put_secret(SecretRecord(arn(writer), SCOPE, f"kill/{writer}", NOW, NOW))
        sealed = keys.seal(b"%d" % number, key_id=None, context=context)
        tx.put_version(VersionRecord(arn(writer), version, NOW, "string", sealed))
        tx.put_label(arn(writer), "AWSCURRENT", version)
        if before is not None:
            tx.remove_version(arn(writer), before)


def held(store: FileStore, writer: int) -> int:
    """The number that is the current value; 0 if there is none."""
    keys = store.keyring()
    assert keys is not None
    with store.transaction(write=False) as tx:
        version = tx.version(arn(writer), tx.labels(arn(writer)).get("AWSCURRENT", ""))
    if version is None or version.sealed is None:
        return 0
    return int(keys.open(version.sealed))


def write_for_ever(path: str, key_file: str, writer: int) -> None:
    """The child: put the next number, say it, and again."""
    store = FileStore(path, Credentials(key_file=Path(key_file)))
    number = held(store, writer)
    while True:
        number += 1
        put(store, writer, number)
        os.write(1, number.to_bytes(4, "big"))


def one_round(path: Path, key_file: Path, writers: int, chance: random.Random) -> list[int]:
    """Start writers, kill them, give the last number each acknowledged (0: none)."""
    command = [sys.executable, __file__, "--child", str(path), str(key_file)]
    children = [
        subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE)
        for number in range(writers)
    ]
    pipes = [child.stdout for child in children]
    assert all(pipe is not None for pipe in pipes)
    heard = [b"" for _ in children]
    some = pipes[0]
    assert some is not None
    heard[0] += os.read(some.fileno(), 4)  # the first is through: all have begun, or will soon
    select.select([], [], [], chance.random() * 0.05)
    for child in children:
        child.send_signal(signal.SIGKILL)
    last: list[int] = []
    for number, (child, pipe) in enumerate(zip(children, pipes, strict=True)):
        assert pipe is not None
        heard[number] += pipe.read()
        child.wait()
        pipe.close()
        whole = heard[number][: len(heard[number]) // 4 * 4]
        last.append(int.from_bytes(whole[-4:], "big"))
    return last


def main() -> int:
    """Kill and count."""
    if sys.argv[1:2] == ["--child"]:
        write_for_ever(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=150)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    figures = {
        "kills": 0,
        "acknowledged": 0,
        "lost": 0,
        "damaged": 0,
        "unacknowledged": 0,
        "temps": 0,
    }
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        os.environ["SMCLIENT_STATE_DIR"] = str(folder / "state")
        path, key_file = folder / "s.sms", folder / "key"
        make_key_file(key_file, even_in_git=True)
        given = Credentials(key_file=key_file)
        create(path, lambda keys: [first_slot(str(path), keys, given)], store_id=new_store_id())
        before = [0] * arguments.writers
        while figures["kills"] < arguments.kills:
            last = one_round(path, key_file, arguments.writers, chance)
            figures["kills"] += arguments.writers
            figures["temps"] += sum(entry.name.endswith(".tmp") for entry in folder.iterdir())
            store = FileStore(path, given)
            figures["damaged"] += len(verify(store).problems)
            for writer, told in enumerate(last):
                found = held(store, writer)
                figures["acknowledged"] += max(told - before[writer], 0)
                figures["lost"] += found < told
                figures["unacknowledged"] += max(found - max(told, before[writer]), 0)
                before[writer] = found
            store.close()
        put(FileStore(path, given), 99, 1)
        left = [entry.name for entry in folder.iterdir() if entry.name.endswith(".tmp")]
    shown = {**figures, "temps_left": len(left), "seconds": round(time.monotonic() - begin, 1)}
    print(
        json.dumps(shown) if arguments.json else "\n".join(f"{k:>15} {v}" for k, v in shown.items())
    )
    return int(bool(figures["lost"] or figures["damaged"] or left))


if __name__ == "__main__":
    sys.exit(main())
