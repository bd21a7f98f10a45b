"""``smclient rotate``: start a rotation, and wait for its end on request."""

from __future__ import annotations

from typing import Any

import click

from smclient.cli.options import backend_option, json_option, print_json
from smclient.client import SecretsClient
from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.secret import AWSCURRENT

POLL = 0.5


@click.command()
@click.argument("name")
@click.option("--function", metavar="ARN", help="The rotation function, if it is to change.")
@click.option("--schedule", metavar="EXPRESSION", help="rate(…) or cron(…), if it is to change.")
@click.option("--days", type=click.IntRange(1, 1000), help="Every so many days.")
@click.option("--later", is_flag=True, help="Set it up; rotate in the next window, not now.")
@click.option("--wait", type=click.FloatRange(0), metavar="SECONDS", help="Wait for the end.")
@backend_option
@json_option
def rotate(
    name: str,
    function: str | None,
    schedule: str | None,
    days: int | None,
    later: bool,
    wait: float | None,
    backend: str | None,
    as_json: bool,
) -> None:
    """Rotate the secret NAME. With --wait: exit 0 only if the new version became AWSCURRENT."""
    if schedule is not None and days is not None:
        raise click.UsageError("--schedule and --days exclude each other")
    if later and wait is not None:
        raise click.UsageError("--later has no end to wait for")
    parameters: dict[str, Any] = {}
    if function is not None:
        parameters["RotationLambdaARN"] = function
    if schedule is not None:
        parameters["RotationRules"] = {"ScheduleExpression": schedule}
    if days is not None:
        parameters["RotationRules"] = {"AutomaticallyAfterDays": days}
    if later:
        parameters["RotateImmediately"] = False
    with SecretsClient(backend) as client:
        answer = client.call("RotateSecret", SecretId=name, **parameters)
        version_id = answer.get("VersionId")
        done = None if wait is None else _finished(client, answer["ARN"], version_id, wait)
    if as_json:
        shown = {"name": answer["Name"], "arn": answer["ARN"], "version_id": version_id}
        print_json({**shown, "done": done})
    else:
        state = {None: "rotation begun", True: "rotated", False: "not finished in time"}[done]
        click.echo(f"{answer['Name']}: {state}" + (f", version {version_id}" if version_id else ""))
    if done is False:
        raise click.exceptions.Exit(1)


def _finished(
    client: SecretsClient,
    arn: str,
    version_id: str | None,
    wait: float,
    clock: Clock = SYSTEM_CLOCK,
) -> bool:
    until = clock.monotonic() + wait
    while True:
        versions = client.call("DescribeSecret", SecretId=arn).get("VersionIdsToStages", {})
        if version_id is not None and AWSCURRENT in versions.get(version_id, ()):
            return True
        if clock.monotonic() >= until:
            return False
        clock.sleep(min(POLL, max(until - clock.monotonic(), 0.01)))
