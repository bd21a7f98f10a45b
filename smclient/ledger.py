"""The books behind ``Usage``: one account a secret, bounded, and what other clients would call.

Nothing here locks but by the remark "the caller holds a lock"; ``metering.Meter`` is the lock.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from sys import intern
from typing import TypeVar

from cachetools import LRUCache

from smclient.usage import AWS_CACHING, OTHERS, POWERTOOLS, UNKNOWN, UNTAGGED, SecretUsage, added

AWS_CACHING_REFRESH = 2700.0
"""AWS's client draws each refresh from [1800, 3600] s; its mean stands for it."""
POWERTOOLS_REFRESH = 300.0
AWS_CACHING_VERSIONS = 10
"""Versions of a secret that AWS's client holds."""

MOST_SECRETS = 4096
"""Secrets with an account of their own (or ``max_secrets``, if that is more)."""
MOST_TAGS = 256
"""Distinct tags, and distinct customer keys, that are told apart."""

K = TypeVar("K")
V = TypeVar("V")

Selector = tuple[str | None, str | None]
CURRENT: Selector = (None, None)


class Tally:
    """A counter that many threads increase without a lock; ``tick`` is the increment.

    Args:
        also: another tally that each tick increases as well; that makes a tick slower.
    """

    __slots__ = ("_base", "_counter", "tick")

    def __init__(self, also: Tally | None = None) -> None:
        self._counter = itertools.count()
        self._base = 0
        tick = self._counter.__next__
        if also is None:
            self.tick = tick
        else:
            both = also.tick

            def tick_both() -> int:
                both()
                return tick()

            self.tick = tick_both

    def value(self) -> int:
        """How often ``tick`` was called. Looking needs no lock: a counter's text holds its next
        number, and ``next`` is the only other way to learn it."""
        return int(repr(self._counter)[6:-1]) - self._base

    def reset(self) -> None:
        """Count from nought again."""
        self._base += self.value()


class Baseline:
    """What other clients would have called for one secret, given when it was really read.

    AWS's client asks for a description when it is due, and for the value of each version once.
    What a label stands for it learns with the description only. Powertools knows names, not labels.
    """

    __slots__ = ("_epoch", "_labels", "_versions", "aws_due", "next_due", "powertools_due")

    def __init__(self) -> None:
        self.aws_due = self.powertools_due = self.next_due = float("-inf")
        self._epoch = 0
        self._labels: dict[Selector, int] = {}
        self._versions: dict[str, None] = {}

    def read(
        self, now: float, version_id: str, selector: Selector = CURRENT
    ) -> dict[str, Counter[str]]:
        """A read at ``now``: the calls that each of the others would have made for it."""
        calls = {AWS_CACHING: Counter[str](), POWERTOOLS: Counter[str]()}
        if now >= self.aws_due:
            calls[AWS_CACHING]["DescribeSecret"] += 1
            self.aws_due = now + AWS_CACHING_REFRESH
            self._epoch += 1
        if self._labels.get(selector) != self._epoch:
            _remember(self._labels, selector, self._epoch)
            if version_id not in self._versions:
                calls[AWS_CACHING]["GetSecretValue"] += 1
            _remember(self._versions, version_id, None)
        if now >= self.powertools_due:
            calls[POWERTOOLS]["GetSecretValue"] += 1
            self.powertools_due = now + POWERTOOLS_REFRESH
        self.next_due = min(self.aws_due, self.powertools_due)
        return calls


def _remember(what: dict[K, V], key: K, value: V) -> None:
    """As the newest of a few."""
    what.pop(key, None)
    what[key] = value
    if len(what) > AWS_CACHING_VERSIONS:
        del what[next(iter(what))]


class Account:
    """What was done with one secret, and what is known of it."""

    __slots__ = ("baseline", "counts", "key", "tags", "tally")

    def __init__(self) -> None:
        self.tally = Tally()
        self.counts: Counter[str] = Counter()
        self.baseline = Baseline()
        self.tags: tuple[str, ...] | None = None
        """``key=value`` each; ``None`` if no description told."""
        self.key: str | None = None
        """The customer key, empty for AWS's own, ``None`` if not known."""

    def describe(self, key: str | None, tags: Iterable[tuple[str, str]]) -> None:
        """A description told the key that it is under (``None``: AWS's own) and its tags."""
        managed = key is None or key.endswith("alias/aws/secretsmanager")
        self.key = "" if managed or key is None else intern(key)
        self.tags = tuple(intern(f"{name}={value}") for name, value in tags)

    def usage(self) -> SecretUsage:
        """The counts so far."""
        return SecretUsage(hits=self.tally.value(), **self.counts)


class Ledger:
    """Accounts by ARN. The caller holds a lock."""

    def __init__(self, most: int = MOST_SECRETS) -> None:
        self._most = most
        self._accounts: dict[str, Account] = {}
        self._asked: dict[str, Account] = {}
        self._others = Account()
        self._unknown = Account()
        self._other_baselines: LRUCache[str, Baseline] = LRUCache(most)

    def account(self, arn: str) -> Account:
        """The account of a secret; past the bound the one that the others share."""
        found = self._accounts.get(arn)
        if found is not None:
            return found
        if len(self._accounts) >= self._most:
            return self._others
        account = self._accounts[arn] = Account()
        return account

    def known(self, arn: str) -> Account | None:
        """The account of a secret, if it has one of its own."""
        return self._accounts.get(arn)

    def asked(self, secret_id: str) -> Account:
        """The account of what was asked for by that name before, or that of what nobody knows."""
        return self._accounts.get(secret_id) or self._asked.get(secret_id, self._unknown)

    def learn(self, secret_id: str, arn: str) -> Account:
        """That name led to that secret."""
        account = self.account(arn)
        if secret_id in self._asked or len(self._asked) < 4 * self._most:
            self._asked[secret_id] = account
        return account

    def tally(self, arn: str) -> Tally:
        """What to count a secret's hits with, as long as it is held."""
        account = self.account(arn)
        return Tally(also=account.tally) if account is self._others else account.tally

    def baseline(self, arn: str) -> Baseline:
        """What others would have called for a secret. It outlives what is held: also the others
        would not forget. Past the bound the least recently read begin anew."""
        account = self.account(arn)
        if account is not self._others:
            return account.baseline
        found: Baseline | None = self._other_baselines.get(arn)
        if found is None:
            found = self._other_baselines[arn] = Baseline()
        return found

    def per_secret(self) -> dict[str, SecretUsage]:
        """Counts by ARN; what the others share and what nobody knows only if there is any."""
        found = {arn: account.usage() for arn, account in self._all().items()}
        nothing = SecretUsage()
        return {arn: usage for arn, usage in found.items() if usage != nothing}

    def per_tag(self, per_secret: Mapping[str, SecretUsage]) -> dict[str, SecretUsage]:
        """The counts of the secrets that carry a tag, by ``key=value``."""
        found: dict[str, list[SecretUsage]] = {}
        for arn, usage in per_secret.items():
            account = self._accounts.get(arn)
            tags = None if account is None else account.tags
            for label in (UNKNOWN,) if tags is None else tags or (UNTAGGED,):
                room = label in found or len(found) < MOST_TAGS
                found.setdefault(label if room else OTHERS, []).append(usage)
        return {label: added(usages) for label, usages in sorted(found.items())}

    def reset(self) -> None:
        """Count from nought again; what is known of secrets stays."""
        for account in self._all().values():
            account.tally.reset()
            account.counts.clear()

    def _all(self) -> dict[str, Account]:
        return {**self._accounts, OTHERS: self._others, UNKNOWN: self._unknown}
