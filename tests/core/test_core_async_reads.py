"""Tasks share a call under way, and never one from before what they did themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from smclient import Answer, AsyncSecretsClient, SecretRef, SecretValue
from smclient.testing import FakeBackend

WAIT = 20


class SlowFirst(FakeBackend):
    """A backend whose first answer, already made, is long on its way."""

    def __init__(self) -> None:
        super().__init__({"db": "old"})
        self.under_way = threading.Event()
        self.arrive = threading.Event()

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        """See ``Backend.fetch``."""
        answer = super().fetch(ref)
        if not self.under_way.is_set():
            self.under_way.set()
            assert self.arrive.wait(WAIT)
        return answer


def run(work: Callable[[SlowFirst, AsyncSecretsClient], Awaitable[None]]) -> None:
    """Do it with a client whose first read of ``db`` is under way."""

    async def main() -> None:
        backend = SlowFirst()
        async with AsyncSecretsClient(backend) as client:
            try:
                await asyncio.wait_for(work(backend, client), WAIT)
            finally:
                backend.arrive.set()

    asyncio.run(main())


async def first_read(backend: SlowFirst, client: AsyncSecretsClient) -> asyncio.Task[SecretValue]:
    """A task whose read has left."""
    task = asyncio.create_task(client.get("db"))
    await asyncio.to_thread(backend.under_way.wait, WAIT)
    return task


async def put(client: AsyncSecretsClient) -> None:
    """Write through the client."""
    await client.call("PutSecretValue", SecretId="db", SecretString="new")


async def invalidate(client: AsyncSecretsClient) -> None:
    """Somebody else wrote, and this task was told."""
    backend: Any = client.sync._backend
    backend.put("db", "new")
    client.invalidate("db")


@pytest.mark.parametrize("change", [put, invalidate])
def test_a_task_reads_what_it_wrote_though_an_older_read_is_under_way(
    change: Callable[[AsyncSecretsClient], Awaitable[None]],
) -> None:
    """The older read ends with what it asked for, and nobody else gets that."""

    async def work(backend: SlowFirst, client: AsyncSecretsClient) -> None:
        older = await first_read(backend, client)
        await change(client)
        assert (await client.get("db")).text == "new"
        assert not older.done()
        backend.arrive.set()
        assert (await older).text == "old"
        assert (await client.get("db")).text == "new"

    run(work)


def test_tasks_that_ask_meanwhile_share_the_call() -> None:
    """One call, one miss each, all but one coalesced."""

    async def work(backend: SlowFirst, client: AsyncSecretsClient) -> None:
        older = await first_read(backend, client)
        others = [asyncio.create_task(client.get("db")) for _ in range(9)]
        await asyncio.sleep(0)
        backend.arrive.set()
        values = await asyncio.gather(older, *others)
        assert [value.text for value in values] == ["old"] * 10
        assert backend.count("GetSecretValue") == 1
        usage = client.usage()
        assert (usage.misses, usage.coalesced) == (10, 9)

    run(work)
