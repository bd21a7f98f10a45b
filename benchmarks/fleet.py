"""A fleet of 16,000 processes: calls a second beside AWS's quotas, steady and in a rolling deploy.

    python benchmarks/fleet.py [--processes 16000] [--secrets 8] [--minutes 20]
                               [--deploy-minutes 20] [--cold batch|get] [--refresh MODE] [--json]

Simulates the client's own pure decisions (``RefreshPolicy``, ``choose_mode``, riding along, the
minute without batches after a throttle), not 16,000 clients. Each process reads all its secrets all
the time, the worst case: every secret is looked at as often as its ttl allows. The service grants
each operation its quota a second (facts of AWS's quotas page) and throttles the rest. A process
starts cold with one call for 20 secrets (``get_many``, ``preload``), or one GetSecretValue each
(``--cold get``). In the deploy every process is replaced once, evenly over its time. Prints the
peaks; ends with 1 if a quota was reached.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass, field

from smclient.batch import PAGE
from smclient.refresh import RefreshPolicy, choose_mode
from smclient.refresher import RIDE_ALONG, THROTTLED_FOR

QUOTAS = {"GetSecretValue": 10_000, "DescribeSecret": 40_000, "BatchGetSecretValue": 100}
POLICY = RefreshPolicy(ttl=300.0, max_stale=3600.0, jitter=0.1)


@dataclass
class Service:
    """Counts calls by second and throttles what is over the quota."""

    asked: dict[str, Counter[int]] = field(default_factory=lambda: {n: Counter() for n in QUOTAS})
    throttled: Counter[str] = field(default_factory=Counter)

    def call(self, operation: str, now: float) -> bool:
        """Whether it is answered."""
        second = int(now)
        self.asked[operation][second] += 1
        if self.asked[operation][second] > QUOTAS[operation]:
            self.throttled[operation] += 1
            return False
        return True

    def peak(self, operation: str, begin: float, end: float) -> int:
        """The most calls in a second."""
        return max((n for s, n in self.asked[operation].items() if begin <= s < end), default=0)

    def mean(self, operation: str, begin: float, end: float) -> float:
        """Calls a second."""
        calls = sum(n for s, n in self.asked[operation].items() if begin <= s < end)
        return calls / (end - begin)


class Process:
    """What one client holds: when each secret is due, and until when it does without batches."""

    __slots__ = ("due", "failures", "no_batch_before")

    def __init__(self, secrets: int) -> None:
        self.due = [float("-inf")] * secrets
        self.failures = [0] * secrets
        self.no_batch_before = float("-inf")


class Fleet:
    """Processes and their decisions."""

    def __init__(self, secrets: int, cold: str, refresh: str, chance: random.Random) -> None:
        self.secrets = secrets
        self.cold = cold
        self.refresh = refresh
        self.chance = chance
        self.service = Service()

    def start(self, process: Process, now: float) -> float:
        """A cold start; what was throttled comes again like a refresh that failed."""
        if self.cold == "get":
            for n in range(self.secrets):
                self._one(process, n, "GetSecretValue", now)
        else:
            self._pages(process, list(range(self.secrets)), now)
        return min(process.due)

    def look(self, process: Process, now: float) -> float:
        """What is due is looked at; tells when to look again."""
        due = [n for n, at in enumerate(process.due) if at <= now]
        soon = now + RIDE_ALONG * POLICY.ttl
        together = [n for n, at in enumerate(process.due) if at <= soon]
        denied = {"batch"} if now < process.no_batch_before else set()
        mode = choose_mode(self.refresh, len(together), denied)
        if mode == "batch":
            self._pages(process, together, now)
        else:
            operation = "DescribeSecret" if mode == "describe" else "GetSecretValue"
            for n in due:
                self._one(process, n, operation, now)
        return min(process.due)

    def _pages(self, process: Process, which: list[int], now: float) -> None:
        for start in range(0, len(which), PAGE):
            page = which[start : start + PAGE]
            good = self.service.call("BatchGetSecretValue", now)
            if not good:
                process.no_batch_before = now + THROTTLED_FOR
            for n in page:
                self._done(process, n, now, good)

    def _one(self, process: Process, n: int, operation: str, now: float) -> None:
        self._done(process, n, now, self.service.call(operation, now))

    def _done(self, process: Process, n: int, now: float, good: bool) -> None:
        process.failures[n] = 0 if good else process.failures[n] + 1
        if good:
            process.due[n] = POLICY.due_at(now, self.chance.random())
        else:
            process.due[n] = POLICY.retry_at(now, process.failures[n], self.chance.random())


@dataclass(frozen=True)
class Phase:
    """A stretch of time with what was measured in it."""

    name: str
    begin: float
    end: float


def run(
    fleet: Fleet, processes: int, seconds: float, deploy: float, chance: random.Random
) -> list[Phase]:
    """Two ttls of warming up, a steady stretch, a deploy."""
    warm = 2 * POLICY.ttl
    begin = warm + seconds
    fleet_of = [Process(fleet.secrets) for _ in range(processes)]
    replaced = [begin + deploy * (n + chance.random()) / processes for n in range(processes)]
    heap = [(chance.uniform(0, POLICY.ttl), n, True) for n in range(processes)]
    heap += [(at, n, True) for n, at in enumerate(replaced)]
    heapq.heapify(heap)
    alive = [0] * processes
    end = begin + deploy + POLICY.ttl
    while heap:
        now, n, starts = heapq.heappop(heap)
        if now >= end:
            break
        if starts:
            fleet_of[n] = Process(fleet.secrets)
            alive[n] += 1
            at = fleet.start(fleet_of[n], now)
        elif alive[n] and fleet_of[n].due and min(fleet_of[n].due) > now:
            continue  # it was replaced meanwhile; the new one has its own turn
        else:
            at = fleet.look(fleet_of[n], now)
        heapq.heappush(heap, (at, n, False))
    return [Phase("steady", warm, begin), Phase("rolling deploy", begin, end)]


def main() -> int:
    """Simulate and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--processes", type=int, default=16_000)
    options.add_argument("--secrets", type=int, default=8, help="held by each process")
    options.add_argument("--minutes", type=float, default=20.0, help="of the steady stretch")
    options.add_argument("--deploy-minutes", type=float, default=20.0)
    options.add_argument("--cold", choices=("batch", "get"), default="batch")
    options.add_argument("--refresh", choices=("auto", "batch", "describe", "get"), default="auto")
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    chance = random.Random(given.seed)
    fleet = Fleet(given.secrets, given.cold, given.refresh, chance)
    phases = run(fleet, given.processes, given.minutes * 60, given.deploy_minutes * 60, chance)
    found = {
        phase.name: {
            operation: {
                "mean": round(fleet.service.mean(operation, phase.begin, phase.end), 1),
                "peak": fleet.service.peak(operation, phase.begin, phase.end),
                "quota": quota,
            }
            for operation, quota in QUOTAS.items()
        }
        for phase in phases
    }
    throttled = dict(fleet.service.throttled)
    good = not throttled
    if given.json:
        print(json.dumps({"phases": found, "throttled": throttled, "ok": good}))
        return 0 if good else 1
    print(
        f"{given.processes:,} processes, {given.secrets} secrets each, refresh {given.refresh}, "
        f"cold start by {given.cold}, deploy in {given.deploy_minutes:g} minutes"
    )
    print(f"{'':16}{'operation':22}{'mean/s':>9}{'peak/s':>9}{'quota/s':>9}{'peak/quota':>12}")
    for name, operations in found.items():
        for operation, rate in operations.items():
            part = f"{rate['peak'] / rate['quota']:.1%}"
            print(
                f"{name:16}{operation:22}{rate['mean']:>9,.1f}{rate['peak']:>9,}"
                f"{rate['quota']:>9,}{part:>12}"
            )
    print("throttled: " + (", ".join(f"{n:,} {o}" for o, n in throttled.items()) or "nothing"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
