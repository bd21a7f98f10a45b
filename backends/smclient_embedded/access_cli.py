"""``smclient access``: the principals of a store, from the command line."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smclient_embedded.store_options import check_there, read_pairs, store_option

if TYPE_CHECKING:
    from smclient_embedded.accounts import Accounts
    from smclient_embedded.service import EmbeddedService

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_OUTPUT = click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/access.md.")

Command = Callable[..., Any]


def _store(command: Command) -> Command:
    """Hand the command an open service over the store, which must be there already."""
    return _opening(command, check_there)


def _new_store(command: Command) -> Command:
    """The same for a command that may be the first on its store, and so makes it."""
    return _opening(command, lambda url: None)


def _opening(command: Command, check: Callable[[str], None]) -> Command:
    @store_option
    @functools.wraps(command)
    def opened(url: str, **given: Any) -> None:
        check(url)
        with _service(url) as service:
            command(service, **given)

    return opened


@contextmanager
def _service(url: str) -> Iterator[EmbeddedService]:
    from smclient_embedded.service import EmbeddedService

    with EmbeddedService(url) as service:
        yield service


def _person(command: Command) -> Command:
    """Options that users and roles have in common."""
    for option in (
        click.option("--account", metavar="ID", help="Another account than the store's own."),
        click.option("--path", default="/", show_default=True),
        click.option("--policy", "policies", multiple=True, type=_FILE, help="A policy; several."),
        click.option("--boundary", type=_FILE, help="A permissions boundary."),
        click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE"),
    ):
        command = option(command)
    return command


@click.group()
def access() -> None:
    """Users, roles, access keys and sessions of an embedded store.

    'apply' takes a whole file, also with an organisation and KMS keys.
    """


@access.command("apply")
@click.argument("file", type=_FILE)
@_new_store
def apply_(service: EmbeddedService, file: Path) -> None:
    """Bring the store to what FILE says, as 'serve --config' does. Nothing if it has a fault."""
    from smclient_embedded.config import apply_config, read_config

    apply_config(service, read_config(file))


@access.command("list")
@_OUTPUT
@_store
def list_(service: EmbeddedService, as_json: bool) -> None:
    """Show who there is: users, roles and groups with the names of their policies, access keys."""
    found = _shown(service.accounts.all())
    if as_json:
        click.echo(json.dumps(found))
        return
    for each in found["principals"]:
        click.echo(" ".join([each["arn"], *each["policies"]]))
    for key in found["access_keys"]:
        click.echo(f"{key['id']} {key['principal']}")


@access.command()
@click.argument("name")
@_person
@click.option("--group", "groups", multiple=True, help="A group of the account; several.")
@_new_store
def create_user(service: EmbeddedService, name: str, groups: Sequence[str], **given: Any) -> None:
    """Make the user NAME and print its ARN."""
    click.echo(service.accounts.create_user(name, groups=groups, **_documents(given)))


@access.command()
@click.argument("name")
@_person
@click.option("--trust", type=_FILE, help="Who may assume it; else those of the account.")
@_new_store
def create_role(service: EmbeddedService, name: str, trust: Path | None, **given: Any) -> None:
    """Make the role NAME and print its ARN."""
    text = None if trust is None else _read(trust)
    click.echo(service.accounts.create_role(name, trust=text, **_documents(given)))


@access.command("create-group")
@click.argument("name")
@click.option("--account", metavar="ID", help="Another account than the store's own.")
@click.option("--policy", "policies", multiple=True, type=_FILE, help="A policy; several.")
@_new_store
def create_group(
    service: EmbeddedService, name: str, account: str | None, policies: Sequence[Path]
) -> None:
    """Make the group NAME and print its ARN."""
    named = {file.stem: _read(file) for file in policies}
    click.echo(service.accounts.create_group(name, account=account, policies=named))


@access.command()
@click.argument("arn")
@click.argument("name")
@click.argument("file", type=_FILE)
@_store
def put_policy(service: EmbeddedService, arn: str, name: str, file: Path) -> None:
    """Give the user, role or group ARN the policy in FILE under NAME."""
    service.accounts.put_policy(arn, name, _read(file))


@access.command()
@click.argument("arn")
@click.argument("name")
@_store
def remove_policy(service: EmbeddedService, arn: str, name: str) -> None:
    """Take the policy NAME from the user, role or group ARN."""
    service.accounts.remove_policy(arn, name)


@access.command()
@click.argument("arn")
@_store
def remove(service: EmbeddedService, arn: str) -> None:
    """Remove the user, role or group ARN; a user's access keys and a role's sessions end."""
    service.accounts.remove(arn)


@access.command()
@click.argument("user")
@_store
def create_key(service: EmbeddedService, user: str) -> None:
    """Make an access key of the user with the ARN USER and print it, this once.

    As JSON in the form of AWS's credential_process.
    """
    click.echo(json.dumps(_process(service.create_access_key(user))))


@access.command()
@click.argument("access_key_id")
@_store
def remove_key(service: EmbeddedService, access_key_id: str) -> None:
    """Let the access key ACCESS_KEY_ID in no longer."""
    service.accounts.remove_access_key(access_key_id)


@access.command()
@click.argument("role")
@click.argument("session")
@click.option("--caller", metavar="ARN", help="Who asks; else nobody is asked.")
@click.option("--policy", "policies", multiple=True, type=_FILE, help="A session policy.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A session tag.")
@click.option("--seconds", default=3600.0, show_default=True)
@_store
def assume_role(
    service: EmbeddedService,
    role: str,
    session: str,
    caller: str | None,
    policies: Sequence[Path],
    tags: Sequence[str],
    seconds: float,
) -> None:
    """Begin the session SESSION of the role with the ARN ROLE and print what it signs with.

    As JSON in the form of AWS's credential_process, so that an AWS profile can call this.
    """
    from smclient.errors import from_code
    from smclient_embedded.errors import ServiceError

    try:
        assumed = service.assume_role(
            role,
            session,
            caller=caller,
            policies=[_read(file) for file in policies] or None,
            tags=read_pairs(tags, "--tag"),
            seconds=seconds,
        )
    except ServiceError as error:
        raise from_code(error.code, str(error)) from None
    click.echo(json.dumps(_process(assumed.credentials)))


def _documents(given: dict[str, Any]) -> dict[str, Any]:
    """Files as documents, pairs as tags. A policy is called as its file is."""
    boundary = given["boundary"]
    return {
        **given,
        "policies": {file.stem: _read(file) for file in given["policies"]},
        "boundary": None if boundary is None else _read(boundary),
        "tags": read_pairs(given["tags"], "--tag"),
    }


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise click.UsageError(f"{file} cannot be read: {reason}") from error


def _process(credentials: Any) -> dict[str, Any]:
    """AWS's form of what a credential process prints."""
    shown: dict[str, Any] = {
        "Version": 1,
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
    }
    if credentials.session_token is not None:
        shown["SessionToken"] = credentials.session_token
    if credentials.expires_at is not None:
        shown["Expiration"] = credentials.expires_at.isoformat()
    return shown


def _shown(accounts: Accounts) -> dict[str, Any]:
    principals: list[dict[str, Any]] = []
    keys: list[dict[str, str]] = []
    for account in accounts.accounts.values():
        for identity in account.identities.values():
            principals.append(
                {
                    "arn": identity.arn,
                    "policies": sorted(identity.policies),
                    "groups": list(identity.groups),
                    "tags": dict(identity.tags),
                    "boundary": identity.boundary is not None,
                }
            )
        for group in account.groups.values():
            principals.append({"arn": group.arn, "policies": sorted(group.policies)})
        for key in account.access_keys.values():
            keys.append({"id": key.access_key_id, "principal": key.principal})
    organisation = accounts.organisation
    return {
        "principals": sorted(principals, key=lambda each: str(each["arn"])),
        "access_keys": sorted(keys, key=lambda each: each["id"]),
        "organisation": None if organisation is None else organisation.organisation_id,
    }
