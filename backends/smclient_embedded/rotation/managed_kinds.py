"""The kinds of secrets that a database service of AWS owns and rotates itself, as the
documentation of these services describes them.

Checked against AWS for RDS (name, tags, seven days, no function): DescribeSecret of an instance
with a managed master user. Aurora, Redshift and DocumentDB are from their user guides; that
DocumentDB's secrets carry RDS's name and owner is an assumption (both are made through RDS's API).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smclient.errors import ConfigError

KindName = Literal["rds", "aurora", "documentdb", "redshift"]

OWNING_TAG = "aws:secretsmanager:owningService"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind.

    Attributes:
        owner: OwningService, and what names begin with, before ``!``.
        prefix: what follows the ``!``, before an id.
        tag: the tag that names the database.
        resource: how the ARN of the database goes on after ``arn:aws:<owner>:<region>:<account>:``.
        days: how often it is rotated unless told otherwise.
        excluded: what its passwords do not hold.
    """

    owner: str
    prefix: str
    tag: str
    resource: str
    days: int
    excluded: str

    def name(self, database: str, username: str, new_id: str) -> str:
        """The name of a new secret."""
        if self.owner == "redshift":
            return f"redshift!{database}-{username}"
        return f"{self.owner}!{self.prefix}-{new_id}"

    def tags(self, database: str, *, region: str, account: str) -> tuple[tuple[str, str], ...]:
        """The tags of a new secret."""
        arn = f"arn:aws:{self.owner}:{region}:{account}:{self.resource}:{database}"
        return ((self.tag, arn), (OWNING_TAG, self.owner))


_RDS_EXCLUDED = "/@\"' "

KINDS: dict[str, Kind] = {
    "rds": Kind("rds", "db", "aws:rds:primaryDBInstanceArn", "db", 7, _RDS_EXCLUDED),
    "aurora": Kind("rds", "cluster", "aws:rds:primaryDBClusterArn", "cluster", 7, _RDS_EXCLUDED),
    "documentdb": Kind(
        "rds", "cluster", "aws:rds:primaryDBClusterArn", "cluster", 7, _RDS_EXCLUDED
    ),
    "redshift": Kind("redshift", "", "aws:redshift:primaryClusterArn", "cluster", 30, "/@\"'\\ "),
}

OWNERS = frozenset(kind.owner for kind in KINDS.values())
"""The services that rotate their secrets themselves, without a function."""


def kind_of(name: str) -> Kind:
    """The kind of a name. Raises ``ConfigError``."""
    if name not in KINDS:
        raise ConfigError(f"{name!r} is no kind of managed secret; there are {', '.join(KINDS)}")
    return KINDS[name]
