"""What calls cost with 1,000 secrets, and with a hundred or five hundred times as many.

    .venv/bin/python benchmarks/store_scale.py [--quota] [--json]

Each size gets a store of its own and, once it is filled, a process of its own that opens it, and
asks for secrets that nobody asked for before, so that nothing kept in memory helps: GetSecretValue,
DescribeSecret, pages of ListSecrets by date and by name (the first, and one from the middle), a
page of a name prefix. Printed are medians, and how they grew from the smallest store to the
largest. Ends with 1 if a call, or opening, grew threefold, or memory by half. `--quota` adds
500,000 secrets, AWS's quota (some minutes and 1 GB of disk).
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from smclient_embedded import EmbeddedService
from smclient_embedded.kms import encryption_context
from smclient_embedded.store import Scope, SecretRecord, VersionRecord

SIZES = (1_000, 10_000, 100_000)
QUOTA = 500_000
TEAMS = 100
ASKED = 300
AT_ONCE = 1_000
MOST = 3.0
MOST_MEMORY = 1.5
VERSION = "11111111-2222-3333-4444-555555555555"


def main() -> int:
    """Fill, measure, compare."""
    options = _options()
    if options.measure:
        print(json.dumps(measured(options.measure, options.size)))
        return 0
    sizes = [*SIZES, QUOTA] if options.quota else SIZES
    results = {size: of_size(size, options) for size in sizes}
    small, large = results[sizes[0]], results[sizes[-1]]
    growth = {name: large[name] / small[name] for name in small}
    if options.json:
        print(json.dumps({"sizes": results, "growth": growth}))
    else:
        show(results, growth)
    too_much = [
        name
        for name, times in growth.items()
        if times > (MOST_MEMORY if name == "memory MB" else MOST)
    ]
    for name in too_much:
        print(f"{name} grew {growth[name]:.1f} times", file=sys.stderr)
    return 1 if too_much else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quota", action="store_true", help="500,000 secrets too")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def of_size(size: int, options: argparse.Namespace) -> dict[str, float]:
    """Fill a store, and have a process measure it."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"embedded://{folder}/scale.db"
        began = time.monotonic()
        fill(url, size)
        if not options.json:
            print(f"filled {size:,} in {time.monotonic() - began:.0f} s", flush=True)
        done = subprocess.run(
            [sys.executable, __file__, "--measure", url, "--size", str(size)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def show(results: dict[int, dict[str, float]], growth: dict[str, float]) -> None:
    """A table: a line for each question, a column for each size."""
    print(f"{'median ms':28}" + "".join(f"{size:>12,}" for size in results) + f"{'growth':>9}")
    for name, times in growth.items():
        row = "".join(f"{result[name]:12.3f}" for result in results.values())
        print(f"{name:28}{row}{times:8.2f}x")


# --- filling --------------------------------------------------------------------------------------


def name_of(number: int) -> str:
    """Names of many teams, in no order of their dates."""
    return f"team{number % TEAMS:02}/{number * 7919 % 1_000_003:07}/db"


def fill(url: str, size: int) -> None:
    """Put sealed secrets into the store as CreateSecret would, many in one transaction."""
    now = datetime.now(UTC)
    with EmbeddedService(url) as service:
        scope = Scope(service.account, service.region)
        context = service.context()
        for first in range(0, size, AT_ONCE):
            with service.door.store.transaction(write=True) as tx:
                keys = service.door.deps(context, tx, lambda version: None).keys
                for number in range(first, min(first + AT_ONCE, size)):
                    name = name_of(number)
                    arn = f"arn:aws:secretsmanager:{scope.region}:{scope.account}:secret:{name}"
                    arn += f"-{number:06d}"[:7]
                    day = now.date()
                    tx.put_secret(SecretRecord(arn, scope, name, now, now, accessed_on=day))
                    sealed = keys.seal(
                        b'{"username": "app", "password": "correct horse battery staple"}',
                        key_id=None,
                        context=encryption_context(arn, VERSION),
                    )
                    version = VersionRecord(arn, VERSION, now, sealed=sealed, accessed_on=day)
                    tx.put_version(version)
                    tx.put_label(arn, "AWSCURRENT", VERSION)


# --- measuring ------------------------------------------------------------------------------------


def measured(url: str, size: int) -> dict[str, float]:
    """Medians in milliseconds, the time to open, and the memory in use at the end."""
    EmbeddedService().close()  # what is loaded once is not to be measured
    openings = []
    for _ in range(5):
        began = time.perf_counter()
        EmbeddedService(url).close()
        openings.append((time.perf_counter() - began) * 1000)
    opening = min(openings)
    with EmbeddedService(url) as service:
        chosen = random.Random(5).sample(range(size), min(3 * ASKED, size))
        asked = [iter(chosen[part::3]) for part in range(3)]

        def by_name(operation: str, numbers: Iterator[int]) -> Callable[[], Any]:
            return lambda: service.call(operation, {"SecretId": name_of(next(numbers))})

        def page(**request: Any) -> Callable[[], Any]:
            return lambda: service.call("ListSecrets", {"MaxResults": 100, **request})

        middle = {order: middle_page(service, size, order) for order in ("created-date", "name")}
        prefix = [{"Key": "name", "Values": ["team42/0"]}]
        result = {
            "GetSecretValue": median(by_name("GetSecretValue", asked[0]), ASKED),
            "DescribeSecret": median(by_name("DescribeSecret", asked[1]), ASKED),
            "page by date": median(page(SortBy="created-date", SortOrder="desc")),
            "page by name": median(page(SortBy="name", SortOrder="asc")),
            "page by date, middle": median(page(SortBy="created-date", **middle["created-date"])),
            "page by name, middle": median(page(SortBy="name", **middle["name"])),
            "page of a prefix, by date": median(page(Filters=prefix, MaxResults=5)),
            "page of a prefix, by name": median(page(Filters=prefix, MaxResults=5, SortBy="name")),
        }
    return {**result, "opening": opening, "memory MB": resident_mb()}


def middle_page(service: EmbeddedService, size: int, order: str) -> dict[str, Any]:
    """The request of a page that lies some pages on: as far as 20 pages, or the middle."""
    request: dict[str, Any] = {}
    for _ in range(min(size // 200, 20)):
        answer = service.call("ListSecrets", {"MaxResults": 100, "SortBy": order, **request})
        request = {"NextToken": answer["NextToken"]}
    return request


def median(call: Callable[[], Any], times: int = 90) -> float:
    """Of so many calls, in milliseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def resident_mb() -> float:
    """What this process holds now."""
    with open(f"/proc/{os.getpid()}/statm") as numbers:
        return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    sys.exit(main())
