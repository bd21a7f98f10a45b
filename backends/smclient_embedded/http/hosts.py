"""Which Host a request may name: the defence against DNS rebinding.

A page on the internet can have its own name point at 127.0.0.1 and then talk to a server here from
the user's browser; its requests still carry its name in ``Host``. So only names that are known to
be ours are let in: the loopback names, the host that was bound, and those given by the operator. An
address needs no name: the one that the connection came in on is right too.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_KEPT = 1024


class AllowedHosts:
    """The names that a server answers to."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = LOOPBACK_NAMES | {_bare(name) for name in names}
        self._known: set[bytes] = set()

    def allows(self, host: bytes, local_address: str | None) -> bool:
        """Whether a ``Host`` header is one of ours.

        Args:
            local_address: the address of this side of the connection.
        """
        if host in self._known:
            return True
        name = host_name(host)
        if name in self._names:
            if len(self._known) < _KEPT:
                self._known.add(host)
            return True
        return local_address is not None and name is not None and _same(name, local_address)


def host_name(host: bytes) -> str | None:
    """The name in a ``Host`` header, without port and brackets; ``None`` if it is not one."""
    try:
        text = host.decode("ascii").lower()
    except UnicodeDecodeError:
        return None
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        if not bracket:
            return None
    else:
        name, colon, rest = text.partition(":")
        rest = colon + rest
    if rest and not (rest.startswith(":") and rest[1:].isdigit()):
        return None
    return name.removesuffix(".") or None


def is_loopback(host: str) -> bool:
    """Whether binding to a host, a name or an address, is for this machine only."""
    try:
        found = socket.getaddrinfo(_bare(host), None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(entry[4][0])).is_loopback for entry in found)


def _bare(name: str) -> str:
    return name.lower().removeprefix("[").removesuffix("]").removesuffix(".")


def _same(name: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
