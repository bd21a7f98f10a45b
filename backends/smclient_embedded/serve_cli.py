"""``smclient serve``: the embedded service over HTTP."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from smclient.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from smclient_embedded.control import Control
    from smclient_embedded.http.sigv4 import AccessKey
    from smclient_embedded.http.tls import TlsFiles
    from smclient_embedded.seeding import Seed
    from smclient_embedded.service import EmbeddedService

DEFAULT_PORT = 4584
WORKERS = 16
ROTATING = 4
"""How many rotations run at a time: a function that hangs does not hold up the others."""
INLINE = frozenset({"GetSecretValue", "DescribeSecret"})
"""Point reads: over a store on this machine they take less time than a thread's hand-over."""

_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  compared with, not bound to


@dataclass(frozen=True, slots=True)
class _Options:
    """The command line, as it was given."""

    url: str
    host: str
    port: int
    account: str | None
    region: str | None
    access_key: str | None
    secret_key: str | None
    key_file: Path | None
    no_verify_signatures: bool
    use_tls: bool
    tls_dir: Path | None
    insecure_http: bool
    extra_hosts: tuple[str, ...]
    behind_proxy: bool
    max_body: int
    access: Literal["enforce", "audit"]
    config_file: Path | None
    max_connections: int
    init_file: Path | None
    allow_control: bool
    allow_function_upload: bool
    function_pythons: tuple[str, ...]
    as_json: bool


def _path(**kind: bool) -> click.Path:
    return click.Path(path_type=Path, **kind)


@click.command()
@click.option("--store", "url", default="embedded://", show_default=True, metavar="URL")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 takes a free one.",
)
@click.option("--account", metavar="ID", help="The account that the keys belong to.")
@click.option("--region", help="Where requests are answered that name no region.")
@click.option("--access-key", metavar="AK", envvar="SMCLIENT_ACCESS_KEY", show_envvar=True)
@click.option(
    "--secret-key",
    metavar="SK",
    envvar="SMCLIENT_SECRET_KEY",
    show_envvar=True,
    help="@FILE reads it from a file, - from standard input.",
)
@click.option(
    "--key-file",
    type=_path(dir_okay=False),
    help="Where the pair is, or is made, if none is given.",
)
@click.option("--no-verify-signatures", is_flag=True, help="Let everybody in. Loopback only.")
@click.option("--tls", "use_tls", is_flag=True, help="With a certificate authority made here.")
@click.option("--tls-dir", type=_path(file_okay=False), help="Where its certificates are kept.")
@click.option("--insecure-http", is_flag=True, help="Allow HTTP without TLS off loopback.")
@click.option("--allow-host", "extra_hosts", multiple=True, help="One more name of this server.")
@click.option("--behind-proxy", is_flag=True, help="Believe the last hop of X-Forwarded-For.")
@click.option("--max-body", default=2**20, show_default=True, type=click.IntRange(min=1024))
@click.option(
    "--access",
    type=click.Choice(["enforce", "audit"]),
    default="enforce",
    show_default=True,
    help="audit: put denials on record, but let the calls through.",
)
@click.option(
    "--config",
    "config_file",
    type=_path(dir_okay=False, exists=True),
    help="Accounts, principals, keys and secrets, in TOML or JSON: docs/access.md.",
)
@click.option(
    "--max-connections",
    default=900,
    show_default=True,
    type=click.IntRange(min=1),
    help="One more is refused with 503.",
)
@click.option(
    "--init",
    "init_file",
    type=_path(dir_okay=False, exists=True),
    envvar="SMCLIENT_INIT_FILE",
    show_envvar=True,
    help="Secrets to begin with, in JSON or TOML; those that are there are left alone.",
)
@click.option(
    "--control",
    "allow_control",
    is_flag=True,
    help="Let the administrator empty the store, move the clock, make faults: /_smclient/.",
)
@click.option(
    "--allow-function-upload",
    is_flag=True,
    help="Let the administrator register functions: code that runs here.",
)
@click.option(
    "--function-python",
    "function_pythons",
    multiple=True,
    metavar="PATH",
    help="One more interpreter that such functions may name.",
)
@click.option("--json", "as_json", is_flag=True, help='{"endpoint","pid","key_file","ca_file"}.')
def serve(**given: Any) -> None:
    """Serve a store as AWS Secrets Manager, until SIGTERM.

    The last line printed is the endpoint, once connections are accepted. Signatures are verified
    with the key pair given, else with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else with the
    pair in the key file, which is made if it is not there: its path is printed, never the key.
    """
    _serve(_Options(**given))


def _serve(options: _Options) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from smclient_embedded.http import server
    from smclient_embedded.http.app import HttpApp, HttpSettings
    from smclient_embedded.http.hosts import AllowedHosts
    from smclient_embedded.seeding import sow
    from smclient_embedded.service import EmbeddedService

    _refuse_open_doors(options)
    _log_to_stderr()
    _tune_collector()
    configure = _configuration(options)
    seeds = _seeds(options)
    clock = _clock(options)
    listener = server.listen(options.host, options.port, is_tls=options.use_tls)
    with EmbeddedService(
        options.url,
        account=options.account,
        region=options.region,
        access=options.access,
        clock=clock,
    ) as service:
        configure(service)
        sow(service, seeds)
        find_key, key_file = _keys(service, options)
        tls = _tls(options) if options.use_tls else None
        settings = HttpSettings(
            account=service.account,
            region=service.region,
            find_key=find_key,
            hosts=AllowedHosts((options.host, *options.extra_hosts)),
            max_body=options.max_body,
            behind_proxy=options.behind_proxy,
            open_session=service.open_session,
            manage=_function_desk(service, options),
        )
        is_local = service.url.scheme == "embedded"
        with ThreadPoolExecutor(WORKERS, "smclient-door") as pool:
            app = HttpApp(
                service.door,
                settings,
                inline=lambda operation: is_local and operation in INLINE,
                pool=pool,
                control=_control(service, clock, seeds),
            )
            server.run(
                app,
                listener,
                server.Serving(
                    tls=tls,
                    background=lambda: service.run_in_background(workers=ROTATING),
                    max_connections=options.max_connections,
                ),
                on_ready=lambda: _say_ready(listener.endpoint, key_file, tls, options.as_json),
            )


def _configuration(options: _Options) -> Callable[[EmbeddedService], object]:
    """What brings a service to what the configuration file says; the file is checked here."""
    if options.config_file is None:
        return lambda service: None
    from smclient_embedded.config import apply_config, read_config

    config = read_config(options.config_file)
    return lambda service: apply_config(service, config)


def _seeds(options: _Options) -> list[Seed]:
    if options.init_file is None:
        return []
    from smclient_embedded.seeding import read_seeds

    return read_seeds(options.init_file)


def _clock(options: _Options) -> Clock:
    if not options.allow_control:
        return SYSTEM_CLOCK
    from smclient_embedded.control import MovableClock

    return MovableClock()


def _control(service: EmbeddedService, clock: Clock, seeds: list[Seed]) -> Control | None:
    """What answers control requests, where the clock is one that they move."""
    if clock is SYSTEM_CLOCK:
        return None
    from smclient_embedded import control

    assert isinstance(clock, control.MovableClock)
    return control.Control(service, clock, seeds)


def _function_desk(service: EmbeddedService, options: _Options) -> Any:
    if not options.allow_function_upload:
        return None
    from smclient_embedded.function_desk import FunctionDesk
    from smclient_embedded.functions.definition import interpreter

    pythons = [interpreter(path, "--function-python") for path in options.function_pythons]
    return FunctionDesk(service, pythons=pythons).answer


def _refuse_open_doors(options: _Options) -> None:
    from smclient_embedded.http.hosts import is_loopback

    if options.allow_function_upload and options.no_verify_signatures:
        raise click.UsageError(
            "--allow-function-upload needs verified signatures, as it lets whoever asks run code "
            "here; there is no option that allows both"
        )
    if options.function_pythons and not options.allow_function_upload:
        raise click.UsageError("--function-python is for --allow-function-upload")
    if is_loopback(options.host):
        return
    if options.no_verify_signatures:
        raise click.UsageError(
            f"--no-verify-signatures would let everybody read every secret, and {options.host} is "
            "not this machine's loopback; there is no option that allows it"
        )
    if not (options.use_tls or options.insecure_http):
        raise click.UsageError(
            f"secrets would cross the network in clear text, as {options.host} is not this "
            "machine's loopback: use --tls, or --insecure-http if something else encrypts"
        )


def _keys(
    service: EmbeddedService, options: _Options
) -> tuple[Callable[[str], AccessKey | None] | None, Path | None]:
    """How an access key is found, and the file it is in; no finder where everybody is let in."""
    if options.no_verify_signatures:
        return None, None
    from smclient_embedded.http.keys import AccessKeys, key_from_file
    from smclient_embedded.http.sigv4 import AccessKey

    principal = service.principal()
    keys, file = AccessKeys(), None
    pair = _given_pair(options)
    if pair is not None:
        keys.add(AccessKey(pair[0], pair[1], principal, pair[2]))
    else:
        file = options.key_file or _default_key_file(service)
        keys.add(key_from_file(file, principal))
    return (lambda key_id: keys.find(key_id) or service.find_key(key_id)), file


def _given_pair(options: _Options) -> tuple[str, str, str | None] | None:
    if options.access_key or options.secret_key:
        if not (options.access_key and options.secret_key):
            raise click.UsageError("--access-key and --secret-key belong together")
        return options.access_key, _secret(options.secret_key), None
    if options.key_file is not None:
        return None
    access_key = os.environ.get("AWS_ACCESS_KEY_ID")
    secret_key = os.environ.get("AWS_SECRET_ACCESS_KEY")
    if access_key and secret_key:
        return access_key, secret_key, os.environ.get("AWS_SESSION_TOKEN") or None
    return None


def _secret(given: str) -> str:
    if given == "-":
        secret = sys.stdin.readline().strip()
    elif given.startswith("@"):
        try:
            secret = Path(given[1:]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"--secret-key {given} cannot be read") from error
    else:
        return given
    if not secret:
        raise click.UsageError(f"--secret-key {given} holds no key")
    return secret


def _default_key_file(service: EmbeddedService) -> Path:
    """Beside a store that is a file; for others in the user's folder for such things."""
    if service.url.scheme == "embedded" and service.url.path:
        return Path(service.url.path + ".access-key")
    return _state_folder() / "access-key"


def _tls(options: _Options) -> TlsFiles:
    from datetime import UTC, datetime

    from smclient_embedded.http.tls import tls_files

    names = [name for name in (options.host, *options.extra_hosts) if name not in _EVERYWHERE]
    return tls_files(options.tls_dir or _state_folder() / "tls", names, datetime.now(UTC))


def _state_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "smclient"


def _say_ready(endpoint: str, key_file: Path | None, tls: TlsFiles | None, as_json: bool) -> None:
    ca_file = None if tls is None else tls.authority
    if as_json:
        said = {
            "endpoint": endpoint,
            "pid": os.getpid(),
            "key_file": None if key_file is None else str(key_file),
            "ca_file": None if ca_file is None else str(ca_file),
        }
        click.echo(json.dumps(said))
    else:
        if key_file is not None:
            click.echo(f"access key: AWS_SHARED_CREDENTIALS_FILE={key_file}")
        if ca_file is not None:
            click.echo(f"certificate authority: AWS_CA_BUNDLE={ca_file}")
        click.echo(f"ready: {endpoint}")
    sys.stdout.flush()


def _tune_collector() -> None:
    """What was loaded stays, so the collector need not look at it again; and a request makes no
    cycles, so it need not look after every few."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _log_to_stderr() -> None:
    import logging

    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
