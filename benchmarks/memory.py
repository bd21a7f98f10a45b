"""Bytes for each cached secret, and no growth over a million reads with rotations and errors.

    python benchmarks/memory.py [--reads 1000000] [--secrets 1000] [--size 200] [--json]

Ten million: ``--reads 10000000``. The first number is what Python's own allocator gave for a client
that holds so many secrets, less the value itself. The second is how many blocks of memory are in
use after each tenth of the reads (after a collection), once all that has a bound is filled up to
it; among the reads one in a thousand is followed by a rotation, an error of the backend, a denial,
an invalidate or a read of an absent secret, and time moves on, so that values are refreshed,
evicted and refused. Counts of hits take a block each once they pass 256, so the first tenths still
grow a little. Ends with 1 if the last tenth holds over 1 % more blocks than the fifth.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import tracemalloc
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from smclient import (
    AccessDeniedError,
    Answer,
    BackendUnavailableError,
    Identity,
    ResourceNotFoundError,
    SecretDescription,
    SecretRef,
    SecretsClient,
    SecretValue,
    SmclientError,
)
from smclient.testing import FakeClock, Inline


class Endless:
    """A backend that keeps nothing but a version number for each secret, and no log."""

    def __init__(self, secrets: int, size: int) -> None:
        self.versions = [0] * secrets
        self._size = size
        self.fault: SmclientError | None = None

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        """A value."""
        return Answer(self._value(ref.secret_id))

    def fetch_many(self, ids: Sequence[str]) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        """Values."""
        return Answer({one: self._value(one) for one in ids})

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        """Labels."""
        value = self._value(secret_id)
        stages = {value.version_id: frozenset({"AWSCURRENT"})}
        return Answer(SecretDescription(value.arn, value.name, stages))

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        """Nothing."""
        return Answer({})

    def identity(self) -> Identity:
        """Nobody."""
        return Identity("1", "eu-west-1", "", "")

    def close(self) -> None:
        """Nothing to let go of."""

    def _value(self, secret_id: str) -> SecretValue:
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        _, _, number = secret_id.rpartition("/")
        if int(number) >= len(self.versions):
            raise ResourceNotFoundError(f"there is no {secret_id}")
        version = f"{self.versions[int(number)]:032d}"
        return SecretValue(
            arn=f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{secret_id}-AbCdEf",
            name=secret_id,
            version_id=version,
            version_stages=("AWSCURRENT",),
            text=version.ljust(self._size, "x"),
        )


def each(secrets: int, size: int) -> float:
    """Bytes for one held secret beside its value."""
    client = SecretsClient(Endless(secrets, size), max_secrets=secrets, worker=Inline())
    names = [f"app/{n}" for n in range(secrets)]
    client.get("app/0")
    gc.collect()
    tracemalloc.start()
    for name in names[1:]:
        client.get(name)
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / (secrets - 1) - size


def fill(client: SecretsClient, backend: Endless, clock: FakeClock, names: list[str]) -> None:
    """Everything that is kept up to a bound, kept up to its bound: versions that the baselines
    remember, refusals, names of absent secrets. What grows after this has no bound."""
    for _ in range(12):
        clock.advance(3600)
        for n, name in enumerate(names):
            backend.versions[n] += 1
            client.get(name)
    for name in [*names, *(f"app/{len(names) + n}" for n in range(100))]:
        backend.fault = None if int(name[4:]) >= len(names) else AccessDeniedError("no")
        client.invalidate(name)
        with suppress(SmclientError):
            client.get(name)
    clock.advance(3600)


def growth(reads: int, secrets: int, size: int) -> tuple[list[int], dict[str, int]]:
    """Blocks in use after each tenth, and what happened."""
    chance, clock, backend = random.Random(7), FakeClock(), Endless(secrets, size)
    held = secrets * 9 // 10  # a tenth does not fit: evictions
    client = SecretsClient(backend, max_secrets=held, clock=clock, worker=Inline())
    names = [f"app/{n}" for n in range(secrets)]
    faults = (BackendUnavailableError, AccessDeniedError)
    fill(client, backend, clock, names)
    blocks = []
    for done in range(reads):
        with suppress(SmclientError):
            client.get(names[int(chance.random() ** 2 * secrets)])
        if done % 1000 == 999:
            kind = done // 1000 % 5
            if kind == 0:
                backend.versions[chance.randrange(secrets)] += 1
            elif kind == 1:
                client.invalidate(chance.choice(names))
            elif kind == 2:
                with suppress(SmclientError):
                    client.get(f"app/{secrets + chance.randrange(100)}")
            else:
                backend.fault = faults[kind - 3]("no")
            clock.advance(chance.uniform(0, 20))
        if (done + 1) % (reads // 10) == 0:
            gc.collect()
            blocks.append(sys.getallocatedblocks())
    usage = client.usage()
    happened = {
        "reads": usage.reads,
        "hits": usage.hits,
        "misses": usage.misses,
        "refreshes": usage.refreshes,
        "rotations": usage.rotations,
        "evicted": usage.evicted,
        "errors": sum(usage.errors.values()),
        "calls": usage.calls,
    }
    return blocks, happened


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--reads", type=int, default=1_000_000)
    options.add_argument("--secrets", type=int, default=1000)
    options.add_argument("--size", type=int, default=200, help="bytes of a value")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    beside = each(given.secrets, given.size)
    blocks, happened = growth(given.reads, given.secrets, given.size)
    more = blocks[-1] - blocks[4]
    good = more <= blocks[4] // 100
    if given.json:
        shown = {"bytes_beside_value": beside, "blocks": blocks, "grown": more, **happened}
        print(json.dumps({**shown, "ok": good}))
        return 0 if good else 1
    print(f"{beside:,.0f} bytes for each of {given.secrets:,} held secrets, beside its value")
    print(", ".join(f"{n:,} {what}" for what, n in happened.items()))
    print("blocks in use after each tenth: " + " ".join(f"{n:,}" for n in blocks))
    print(f"from the fifth to the last: {more:+,} ({'no growth' if good else 'GROWTH'})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
