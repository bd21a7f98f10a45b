"""Ids are UUIDs of version 4."""

from __future__ import annotations

import uuid

from smclient_embedded.ids import random_uuid


def test_an_id_is_a_uuid_of_version_4_as_text() -> None:
    ids = {random_uuid() for _ in range(1000)}

    assert len(ids) == 1000
    for made in ids:
        read = uuid.UUID(made)
        assert (str(read), read.version, read.variant) == (made, 4, uuid.RFC_4122)
