"""AWS Secrets Manager, embedded: the service in one process, over a store of your choice.

For development, tests, the edge and learning. In process, a principal is a test aid and no security
boundary. Importing it loads nothing: the pytest plugin lives here and is loaded in every test run.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smclient_embedded.faults import Fault
    from smclient_embedded.quotas import Quotas
    from smclient_embedded.service import EmbeddedService, open_backend

_HOME_OF = {
    "EmbeddedService": "smclient_embedded.service",
    "Fault": "smclient_embedded.faults",
    "Quotas": "smclient_embedded.quotas",
    "open_backend": "smclient_embedded.service",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'smclient_embedded' has no attribute {name!r}")
    found = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = ["EmbeddedService", "Fault", "Quotas", "open_backend"]
