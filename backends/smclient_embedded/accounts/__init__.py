"""Accounts and principals: who there is, what they may do, and how they prove who they are.

`StoredDirectory` keeps them in the store, `PolicyAuthoriser` decides by them, `AccountsAdmin`
changes them. The policy engine itself is `smclient_embedded.policy`. Names load on first use: a
service that nobody sets up needs the first two only.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .admin import AccountsAdmin
    from .authority import PolicyAuthoriser, default_key_policy
    from .directory import Accounts, StoredDirectory
    from .function_role import default_function_role, function_principal
    from .keys import Credentials
    from .proofs import AssumedRole
    from .records import Account, Identity, Organisation

_HOME_OF = {
    "Account": "records",
    "Accounts": "directory",
    "AccountsAdmin": "admin",
    "AssumedRole": "proofs",
    "Credentials": "keys",
    "Identity": "records",
    "Organisation": "records",
    "PolicyAuthoriser": "authority",
    "StoredDirectory": "directory",
    "default_function_role": "function_role",
    "default_key_policy": "authority",
    "function_principal": "function_role",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


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
]
