"""Managed rotation: secrets that RDS, Aurora, DocumentDB and Redshift own and rotate themselves.

passwords  who sets the password
rotation   the four steps
secrets    ``service.managed``

What the kinds are called, tagged and planned is in ``rotation.managed_kinds``.
"""

from smclient_embedded.managed.passwords import SetsPasswords
from smclient_embedded.managed.rotation import ManagedRotation
from smclient_embedded.managed.secrets import ManagedSecrets
from smclient_embedded.rotation.managed_kinds import KINDS, OWNERS, Kind

__all__ = ["KINDS", "OWNERS", "Kind", "ManagedRotation", "ManagedSecrets", "SetsPasswords"]
