"""Making and changing principals, their policies, keys and organisation: IAM's part, small.

Every change is in the store when the call returns. A policy that is none is refused with the place
of its faults, and nothing changes.
"""

from __future__ import annotations

from smclient_embedded.accounts.directory import Accounts
from smclient_embedded.accounts.key_rules import KeyAdmin
from smclient_embedded.accounts.organisations import OrganisationAdmin
from smclient_embedded.accounts.proofs import ProofAdmin


class AccountsAdmin(ProofAdmin, KeyAdmin, OrganisationAdmin):
    """The principals of one store; ``service.accounts`` is one. See its parts: ``PeopleAdmin``,
    ``ProofAdmin``, ``KeyAdmin``, ``OrganisationAdmin``."""

    def all(self) -> Accounts:
        """Everything that is kept now."""
        return self._directory.current()
