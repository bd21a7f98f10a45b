"""Many nodes over one PostgreSQL: what one acknowledges all have, and nothing happens twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from smclient.errors import ConfigError
from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.errors import ResourceExistsException
from smclient_embedded.kms import MasterKeyError
from tests.backends.embedded.service.helpers_rotation import Function

Nodes = Callable[[int], list[EmbeddedService]]


@pytest.fixture
def url(postgres_url: str, tmp_path: Path) -> str:
    """A store that any number of nodes can open."""
    return f"{postgres_url}&master_key_file={master_key(tmp_path / 'master.key')}"


def master_key(path: Path) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(os.urandom(32))
    return path


@pytest.fixture
def nodes(url: str) -> Iterator[Nodes]:
    """So many services over the store, as on so many machines."""
    with ExitStack() as stack:

        def start(count: int) -> list[EmbeddedService]:
            return [stack.enter_context(EmbeddedService(url)) for _ in range(count)]

        yield start


def put(node: EmbeddedService, value: str, name: str = "s") -> str:
    answer = node.call(
        "PutSecretValue",
        {"SecretId": name, "SecretString": value, "ClientRequestToken": str(uuid.uuid4())},
    )
    return str(answer["VersionId"])


def create(node: EmbeddedService, name: str, **more: Any) -> str:
    request = {"Name": name, "SecretString": "v0", "ClientRequestToken": str(uuid.uuid4()), **more}
    return str(node.call("CreateSecret", request)["ARN"])


def stages(node: EmbeddedService, name: str = "s") -> Counter[str]:
    shown = node.call("DescribeSecret", {"SecretId": name})["VersionIdsToStages"]
    return Counter(label for labels in shown.values() for label in labels)


def test_what_one_node_writes_another_reads_at_once(nodes: Nodes) -> None:
    one, two = nodes(2)
    create(one, "s")
    for number in range(5):
        put(one, f"v{number}")
        assert two.call("GetSecretValue", {"SecretId": "s"})["SecretString"] == f"v{number}"


def test_concurrent_puts_leave_one_current_version_and_lose_none(nodes: Nodes) -> None:
    three = nodes(3)
    create(three[0], "s")
    with ThreadPoolExecutor(6) as pool:
        put_all = [pool.submit(put, three[n % 3], f"v{n}") for n in range(45)]
        acknowledged = {done.result() for done in put_all}
    for node in three:
        assert stages(node) == {"AWSCURRENT": 1, "AWSPREVIOUS": 1}
        request = {"SecretId": "s", "IncludeDeprecated": True, "MaxResults": 100}
        listed = node.call("ListSecretVersionIds", request)["Versions"]
        assert acknowledged < {version["VersionId"] for version in listed}
        assert len(listed) == 46


def test_of_concurrent_creations_of_one_name_one_succeeds(nodes: Nodes) -> None:
    three = nodes(3)
    barrier = threading.Barrier(3)

    def race(node: EmbeddedService) -> list[str]:
        made: list[str] = []
        for number in range(8):
            barrier.wait()
            try:
                made.append(create(node, f"name-{number}"))
            except ResourceExistsException:
                continue
        return made

    with ThreadPoolExecutor(3) as pool:
        made = [arn for arns in pool.map(race, three) for arn in arns]
    assert len(made) == 8
    keys = {scope["Value"] for scope in three[0].metrics() if scope["Namespace"] != "AWS/Usage"}
    assert keys == {8}


def test_the_managed_key_is_made_once(nodes: Nodes) -> None:
    three = nodes(3)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(create, three, "abc"))
    with three[0].door.store.transaction(write=False) as tx:
        (scope,) = tx.scopes()
        assert len(tx.keys(scope)) == 1


def test_each_rotation_that_is_due_is_run_by_one_node(url: str) -> None:
    clock = FakeClock()
    names = [f"s{number}" for number in range(12)]
    with ExitStack() as stack:
        four = [stack.enter_context(EmbeddedService(url, clock=clock)) for _ in range(4)]
        functions = [Function() for _ in four]
        for node, function in zip(four, functions, strict=True):
            arn = node.register_function("rotate", function)
        for name in names:
            create(four[0], name)
            request = {
                "SecretId": name,
                "RotationLambdaARN": arn,
                "RotationRules": {"AutomaticallyAfterDays": 7},
                "RotateImmediately": False,
                "ClientRequestToken": str(uuid.uuid4()),
            }
            four[0].call("RotateSecret", request)
        for node in four:
            node.run_due()
        for function in functions:
            function.calls.clear()
        clock.advance(8 * 86400)
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(EmbeddedService.run_due, four))
        for node in four:
            node.run_due()
        rotated = Counter(arn for one in done for arn in one.rotated)
        assert len(rotated) == len(names)
        assert set(rotated.values()) == {1}
        steps = Counter(call for function in functions for call in function.calls)
        assert len(steps) == 4 * len(names)
        assert set(steps.values()) == {1}


def test_the_master_key_must_be_named(postgres_url: str) -> None:
    with pytest.raises(MasterKeyError, match="needs its master key named"):
        EmbeddedService(postgres_url)


def test_a_node_with_another_master_key_is_refused(
    nodes: Nodes, postgres_url: str, tmp_path: Path
) -> None:
    nodes(1)
    other = master_key(tmp_path / "other.key")
    with pytest.raises(MasterKeyError, match="not the one"):
        EmbeddedService(f"{postgres_url}&master_key_file={other}")


def test_a_password_in_the_url_is_refused_without_repeating_it(postgres_url: str) -> None:
    with pytest.raises(ConfigError, match="PGPASSWORD") as caught:
        EmbeddedService(postgres_url.replace("postgres@", "postgres:canary-pw@"))
    assert "canary" not in str(caught.value)


NODE = """
import json, sys, uuid
from smclient_embedded import EmbeddedService

made = []
with EmbeddedService(sys.argv[1]) as service:
    for number in range(int(sys.argv[2])):
        token = str(uuid.uuid4())
        service.call("PutSecretValue", {
            "SecretId": "s", "SecretString": token, "ClientRequestToken": token})
        made.append(token)
print(json.dumps(made))
"""


def test_nodes_of_their_own_processes(nodes: Nodes, url: str) -> None:
    (here,) = nodes(1)
    create(here, "s")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", NODE, url, "15"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(3)
    ]
    acknowledged = {
        token for process in processes for token in json.loads(process.communicate(timeout=60)[0])
    }
    assert len(acknowledged) == 45
    assert stages(here) == {"AWSCURRENT": 1, "AWSPREVIOUS": 1}
    request = {"SecretId": "s", "IncludeDeprecated": True, "MaxResults": 100}
    listed = here.call("ListSecretVersionIds", request)["Versions"]
    assert acknowledged < {version["VersionId"] for version in listed}
    current = here.call("GetSecretValue", {"SecretId": "s"})
    assert current["SecretString"] == current["VersionId"]
