"""Accounts and principals: who there is, what they may do, and how they prove who they are.

`StoredDirectory` keeps them in the store, `PolicyAuthoriser` decides by them, `AccountsAdmin`
changes them. The policy engine itself is `smclient_embedded.policy`.
"""

from .admin import AccountsAdmin
from .authority import PolicyAuthoriser, default_key_policy, reason_of
from .directory import Accounts, StoredDirectory
from .function_role import default_function_role, function_principal
from .keys import Credentials
from .proofs import AssumedRole
from .records import Account, Identity, Organisation

__all__ = [
    "Account",
    "Accounts",
    "AccountsAdmin",
    "AssumedRole",
    "Credentials",
    "Identity",
    "Organisation",
    "PolicyAuthoriser",
    "StoredDirectory",
    "default_function_role",
    "default_key_policy",
    "function_principal",
    "reason_of",
]
