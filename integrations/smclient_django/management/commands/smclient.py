"""``manage.py smclient``: look at, check, read, warm and rotate the secrets of the settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.checks import ERROR, CheckMessage, run_checks
from django.core.management.base import BaseCommand, CommandError, CommandParser

from smclient import SmclientError
from smclient.references import as_text, parse
from smclient.remedies import with_remedy
from smclient_django import network, status
from smclient_django.checks import NETWORK_TAG, TAG
from smclient_django.clients import DEFAULT_ALIAS, clients
from smclient_django.errors import SecretConfigError

_COLUMNS = ("setting", "reference", "version_id", "stages", "error")


class Command(BaseCommand):
    """See ``help``."""

    help = "Secrets of the settings: status, check, get, explain, warm, rotate, usage."
    requires_system_checks: Sequence[str] = ()  # type: ignore[assignment]  # check runs them itself

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for name, told in (
            ("status", "which setting reads which version of which secret"),
            ("check", "every check, those included that ask the backend; exit 1 if one complains"),
            ("warm", "read everything the settings refer to; exit 1 if something cannot be read"),
            ("usage", "what reading everything once costs in calls"),
        ):
            verbs.add_parser(name, help=told).add_argument("--json", action="store_true")
        get = verbs.add_parser("get", help="print what a reference names: the value itself")
        explain = verbs.add_parser("explain", help="how a reference or a setting is read; no value")
        rotate = verbs.add_parser("rotate", help="start a rotation now")
        get.add_argument("reference")
        explain.add_argument("reference", help="a reference, or the name of a setting")
        rotate.add_argument("secret", help="name or ARN")
        for verb in (get, explain, rotate):
            verb.add_argument("--alias", default=DEFAULT_ALIAS, help="which client of SMCLIENT")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb. ``CommandError`` (exit 1) names what was wrong."""
        try:
            getattr(self, f"_{options['verb']}")(options)
        except SecretConfigError as error:
            raise CommandError(str(error)) from error
        except SmclientError as error:
            raise CommandError(with_remedy(error)) from error

    def _status(self, options: dict[str, Any]) -> None:
        rows = status.rows()
        if options["json"]:
            self._print(rows)
            return
        shown = [
            {**row, "stages": ", ".join(row["stages"]), "error": row["error"] or ""} for row in rows
        ]
        self._table(shown or [])

    def _check(self, options: dict[str, Any]) -> None:
        found = run_checks(tags=[TAG, NETWORK_TAG], include_deployment_checks=True)
        shown = [message for message in found if not message.is_silenced()]
        if options["json"]:
            self._print([_message(message) for message in shown])
        else:
            for message in shown:
                self.stderr.write(str(message))
        bad = [m for m in shown if m.level >= ERROR or m.id == "smclient.W004"]
        if bad:
            raise CommandError(f"{len(bad)} problems with secrets, named above")
        if not options["json"]:
            self.stdout.write(f"{len(network.uses())} uses of secrets, all of them readable")

    def _warm(self, options: dict[str, Any]) -> None:
        troubles = network.warm()
        if options["json"]:
            self._print([{"where": t.where, "error": t.said} for t in troubles])
        for trouble in troubles:
            self.stderr.write(f"{trouble.where}: {trouble.said}")
        if troubles:
            raise CommandError(f"{len(troubles)} uses of secrets could not be read")
        if not options["json"]:
            self.stdout.write(f"{len(network.uses())} uses of secrets read")

    def _usage(self, options: dict[str, Any]) -> None:
        network.warm()
        counted = {alias: clients[alias].usage().to_dict() for alias in clients.aliases()}
        if options["json"]:
            self._print(counted)
            return
        for alias, usage in counted.items():
            self.stdout.write(
                f"{alias}: {sum(usage['api_calls'].values())} API calls to start with"
            )
            for operation, calls in usage["api_calls"].items():
                self.stdout.write(f"  {operation}: {calls}")

    def _get(self, options: dict[str, Any]) -> None:
        parsed = parse(options["reference"])
        value = clients[options["alias"]].resolve(parsed)
        self.stdout.write(str(as_text(value, parsed)))

    def _explain(self, options: dict[str, Any]) -> None:
        asked = options["reference"]
        rows = [row for row in status.rows() if asked in (row["setting"], row["reference"])]
        if rows:
            for row in rows:
                for name, value in row.items():
                    if value not in (None, []):
                        shown = ", ".join(value) if isinstance(value, list) else value
                        self.stdout.write(f"{name}: {shown}")
            return
        parsed = parse(asked)
        for ref in parsed.refs():
            self.stdout.write(f"secret: {ref.secret_id}")
            self.stdout.write(f"version: {ref.version_id or ref.version_stage}")
        self.stdout.write(f"key: {getattr(parsed, 'key', None) or '(the whole value)'}")
        self.stdout.write("used in the settings: no")

    def _rotate(self, options: dict[str, Any]) -> None:
        answer = clients[options["alias"]].call("RotateSecret", SecretId=options["secret"])
        self.stdout.write(f"{answer['Name']}: rotation to version {answer['VersionId']} began")

    def _print(self, document: Any) -> None:
        self.stdout.write(json.dumps(document, indent=1, default=str))

    def _table(self, rows: Iterable[dict[str, Any]]) -> None:
        lines = [[name.upper() for name in _COLUMNS]]
        lines += [[str(row[name] or "") for name in _COLUMNS] for row in rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())


def _message(message: CheckMessage) -> dict[str, Any]:
    return {"id": message.id, "message": message.msg, "hint": message.hint}
