"""Which hosts are ours, and which sockets can be had."""

from __future__ import annotations

import pytest

from smclient_embedded.http.hosts import AllowedHosts, host_name, is_loopback
from smclient_embedded.http.server import CannotListen, listen

Answer = tuple[int, dict[str, str], dict[str, object]]


# --- hosts and sockets ----------------------------------------------------------------------------


def test_hosts_are_read_as_they_are_written() -> None:
    assert host_name(b"Example.COM:443") == "example.com"
    assert host_name(b"[::1]:80") == "::1"
    for wrong in (b"", b":80", b"a:b", b"a:80:80", b"[::1", b"\xff", b"[]"):
        assert host_name(wrong) is None


def test_given_hosts_are_allowed_and_an_address_needs_no_name() -> None:
    hosts = AllowedHosts(["secrets.internal", "0.0.0.0"])
    assert hosts.allows(b"Secrets.Internal:4584", None)
    assert hosts.allows(b"10.1.2.3:4584", "10.1.2.3")
    assert not hosts.allows(b"10.1.2.4", "10.1.2.3")
    assert not hosts.allows(b"other.internal", "10.1.2.3")


def test_what_is_loopback() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("127.8.8.8")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("203.0.113.7")


def test_a_taken_port_is_said_to_be() -> None:
    taken = listen("127.0.0.1", 0)
    port = taken.socket.getsockname()[1]
    with pytest.raises(CannotListen, match=rf"port {port} on 127.0.0.1 .* --port 0"):
        listen("127.0.0.1", port)
    taken.socket.close()
    listen("127.0.0.1", port).socket.close()  # at once, TIME_WAIT or not
