"""AWS Secrets Manager, embedded: the service in one process, over a store of your choice.

For development, tests, the edge and learning. In process, a principal is a test aid and no security
boundary.
"""

from smclient_embedded.service import EmbeddedService, open_backend

__all__ = ["EmbeddedService", "open_backend"]
