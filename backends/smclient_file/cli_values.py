"""put, get, list, edit: the client's own verbs, with the encrypted file as their backend."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import click

from smclient.cli.get import get as client_get
from smclient.cli.list_ import list_secrets as client_list
from smclient.cli.options import json_option, print_json, tag_option
from smclient.cli.put import put as client_put
from smclient.client import SecretsClient
from smclient.errors import ConfigError
from smclient.secret import RedactedStr
from smclient_file.cli_common import Given, opening, store_argument, text_or_none
from smclient_file.unlock import PASSPHRASE_VARIABLE


@click.command()
@store_argument()
@click.argument("name")
@click.argument("source", required=False, metavar="[@FILE|-]")
@click.option("--from-env", metavar="VARIABLE", help="Take the value from this variable.")
@click.option("--binary", is_flag=True, help="Store bytes as they are, not text.")
@click.option("--stage", "stages", multiple=True, metavar="LABEL", help="Instead of AWSCURRENT.")
@click.option("--description", help="Of a secret that is made.")
@tag_option
@click.option("--update-only", is_flag=True, help="Do not make a secret that is not there.")
@opening
@json_option
@click.pass_context
def put(
    ctx: click.Context,
    given: Given,
    store: str,
    name: str,
    source: str | None,
    from_env: str | None,
    binary: bool,
    stages: tuple[str, ...],
    description: str | None,
    tags: tuple[str, ...],
    update_only: bool,
    as_json: bool,
) -> None:
    """Store a value of NAME: from standard input (- or nothing), @FILE or --from-env. A value is
    never an argument. --json: {"name","arn","version_id","created"}."""
    with given.service(store) as url:
        ctx.invoke(
            client_put,
            name=name,
            source=source if source or from_env else "-",
            from_env=from_env,
            create=not update_only,
            binary=binary,
            stages=stages,
            description=description,
            tags=tags,
            backend=url,
            as_json=as_json,
        )


@click.command()
@store_argument()
@click.argument("secret")
@click.option("--stage", metavar="LABEL", help="A staging label other than AWSCURRENT.")
@opening
@json_option
@click.pass_context
def get(
    ctx: click.Context, given: Given, store: str, secret: str, stage: str | None, as_json: bool
) -> None:
    """Print the value of SECRET: a name, an ARN, or a reference such as secret://prod/db#password.
    --json: {"name","arn","version_id","value"}."""
    with given.service(store) as url:
        ctx.invoke(client_get, secret=secret, backend=url, stage=stage, as_json=as_json)


@click.command("list")
@store_argument()
@click.argument("prefix", required=False, default="")
@tag_option
@click.option("--all", "deleted_too", is_flag=True, help="Those marked for deletion too.")
@opening
@json_option
@click.pass_context
def list_(
    ctx: click.Context,
    given: Given,
    store: str,
    prefix: str,
    tags: tuple[str, ...],
    deleted_too: bool,
    as_json: bool,
) -> None:
    """List secrets whose name starts with PREFIX and that carry all tags. No values. --json:
    {"secrets":[…]}."""
    with given.service(store) as url:
        ctx.invoke(
            client_list,
            prefix=prefix,
            tags=tags,
            deleted_too=deleted_too,
            backend=url,
            as_json=as_json,
        )


@click.command()
@store_argument()
@click.argument("name")
@opening
@json_option
def edit(given: Given, store: str, name: str, as_json: bool) -> None:
    """Change the value of NAME in $EDITOR. The clear text is in a file of yours alone, in memory
    where the system has such a folder, and gone afterwards. --json: {"name","changed"}."""
    with given.service(store) as url, SecretsClient(url) as client:
        value = client.get(name, max_age=0)
        if value.is_binary:
            raise ConfigError(f"secret {name!r} is binary; use put --binary")
        before = str(value.text)
        after = _edited(before, name)
        if after != before:
            if not after:
                raise click.UsageError("the value is empty; nothing was changed")
            client.call("PutSecretValue", SecretId=name, SecretString=RedactedStr(after))
    changed = after != before
    del before, after
    if as_json:
        print_json({"name": name, "changed": changed})
    else:
        click.echo(f"{name}: {'stored' if changed else 'unchanged'}")


def _edited(text: str, name: str) -> str:
    memory = "/dev/shm"  # noqa: S108  a folder of our own is made in it, for us alone
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    environment = {k: v for k, v in os.environ.items() if k != PASSPHRASE_VARIABLE}
    with tempfile.TemporaryDirectory(dir=memory if os.path.isdir(memory) else None) as folder:
        path = Path(folder) / (name.replace("/", "_")[-100:] + ".txt")
        path.touch(mode=0o600)
        path.write_text(text + "\n", encoding="utf-8")
        try:
            done = subprocess.run([*shlex.split(editor), str(path)], env=environment, check=False)  # noqa: S603  the user's own editor
        except OSError as error:
            raise click.UsageError(f"the editor {editor!r} cannot run: {error.strerror}") from None
        finally:
            edited = _taken(path)
        if done.returncode != 0 or edited is None:
            raise click.ClickException("the editor failed; nothing was changed")
    after = text_or_none(edited)
    if after is None:
        raise click.ClickException("the editor left no UTF-8 text; nothing was changed")
    return after.removesuffix("\n")


def _taken(path: Path) -> bytes | None:
    """What a file holds, which is overwritten in place."""
    if not path.exists():
        return None
    with path.open("r+b") as file:
        content = file.read()
        file.seek(0)
        file.write(bytes(len(content)))
    return content
