"""``smclient serve``: the embedded service over HTTP."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.state_folder import STATE_DIR, state_folder
from smclient_embedded.serve_options import Options, refuse_open_doors, refuse_workers_apart

if TYPE_CHECKING:
    from smclient_embedded.control import Control
    from smclient_embedded.http.server import Listener
    from smclient_embedded.http.sigv4 import AccessKey
    from smclient_embedded.http.tls import TlsFiles
    from smclient_embedded.seeding import Seed
    from smclient_embedded.service import EmbeddedService

DEFAULT_PORT = 4584
THREADS = 16
ROTATING = 4
"""How many rotations run at a time: a function that hangs does not hold up the others."""
INLINE = frozenset({"GetSecretValue", "DescribeSecret"})
"""Point reads: over a store on this machine they take less time than a thread's hand-over."""

_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  compared with, not bound to


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
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes that answer, over a store that outlives them; one for each core.",
)
@click.option("--json", "as_json", is_flag=True, help='{"endpoint","pid","key_file","ca_file"}.')
def serve(**given: Any) -> None:
    """Serve a store as AWS Secrets Manager, until SIGTERM.

    The last line printed is the endpoint, once connections are accepted. Signatures are verified
    with the key pair given, else with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else with the
    pair in the key file, which is made if it is not there: its path is printed, never the key.
    """
    _serve(Options(**given))


def _serve(options: Options) -> None:
    from smclient_embedded.http import server
    from smclient_embedded.http.workers import Workers

    refuse_open_doors(options)
    refuse_workers_apart(options)
    _log_to_stderr()
    listener = server.listen(options.host, options.port, is_tls=options.use_tls)
    if options.workers == 1:
        _answer(options, listener, lambda ready: _say(ready, options), is_first=True)
        return
    import smclient_embedded.service  # noqa: F401  once, for all of them

    _tune_collector()
    workers = Workers(
        options.workers,
        on_ready=lambda ready: _say(json.loads(ready) | {"pid": os.getpid()}, options),
        on_ending=listener.socket.close,
    )
    worker = workers.fork()
    if worker is not None:
        say = worker.say_ready
        _answer(options, listener, lambda r: say(json.dumps(r)), is_first=worker.is_first)


def _answer(
    options: Options,
    listener: Listener,
    on_ready: Callable[[dict[str, Any]], object],
    *,
    is_first: bool,
) -> None:
    """Open the store and serve it until SIGTERM, in this process."""
    from concurrent.futures import ThreadPoolExecutor

    from smclient_embedded.http import server
    from smclient_embedded.http.app import HttpApp, HttpSettings
    from smclient_embedded.http.hosts import AllowedHosts
    from smclient_embedded.seeding import sow
    from smclient_embedded.service import EmbeddedService

    _tune_collector()
    configure = _configuration(options)
    seeds = _seeds(options)
    clock = _clock(options)
    with EmbeddedService(
        options.url,
        account=options.account,
        region=options.region,
        access=options.access,
        clock=clock,
    ) as service:
        if is_first:
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
        with ThreadPoolExecutor(THREADS, "smclient-door") as pool:
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
                    run_due=lambda: service.run_due(workers=ROTATING),
                    max_connections=options.max_connections,
                ),
                on_ready=lambda: on_ready(_how_reached(listener.endpoint, key_file, tls)),
            )


def _configuration(options: Options) -> Callable[[EmbeddedService], object]:
    """What brings a service to what the configuration file says; the file is checked here."""
    if options.config_file is None:
        return lambda service: None
    from smclient_embedded.config import apply_config, read_config

    config = read_config(options.config_file)
    return lambda service: apply_config(service, config)


def _seeds(options: Options) -> list[Seed]:
    if options.init_file is None:
        return []
    from smclient_embedded.seeding import read_seeds

    return read_seeds(options.init_file)


def _clock(options: Options) -> Clock:
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


def _function_desk(service: EmbeddedService, options: Options) -> Any:
    if not options.allow_function_upload:
        return None
    from smclient_embedded.function_desk import FunctionDesk
    from smclient_embedded.functions.definition import interpreter

    pythons = [interpreter(path, "--function-python") for path in options.function_pythons]
    return FunctionDesk(service, pythons=pythons).answer


def _keys(
    service: EmbeddedService, options: Options
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


def _given_pair(options: Options) -> tuple[str, str, str | None] | None:
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


def _tls(options: Options) -> TlsFiles:
    from datetime import UTC, datetime

    from smclient_embedded.http.tls import tls_files

    names = [name for name in (options.host, *options.extra_hosts) if name not in _EVERYWHERE]
    return tls_files(options.tls_dir or _state_folder() / "tls", names, datetime.now(UTC))


def _state_folder() -> Path:
    folder = state_folder()
    if folder is None:
        raise click.UsageError(
            f"this user has no home folder to keep keys in; set {STATE_DIR}, or give --key-file "
            "(and --tls-dir)"
        )
    return folder


def _how_reached(endpoint: str, key_file: Path | None, tls: TlsFiles | None) -> dict[str, Any]:
    ca_file = None if tls is None else tls.authority
    return {
        "endpoint": endpoint,
        "pid": os.getpid(),
        "key_file": None if key_file is None else str(key_file),
        "ca_file": None if ca_file is None else str(ca_file),
    }


def _say(ready: dict[str, Any], options: Options) -> None:
    if options.as_json:
        click.echo(json.dumps(ready))
    else:
        if ready["key_file"] is not None:
            click.echo(f"access key: AWS_SHARED_CREDENTIALS_FILE={ready['key_file']}")
        if ready["ca_file"] is not None:
            click.echo(f"certificate authority: AWS_CA_BUNDLE={ready['ca_file']}")
        click.echo(f"ready: {ready['endpoint']}")
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
