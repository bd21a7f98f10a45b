"""``smclient findings``: what is misconfigured in a store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from smclient.cli.options import json_option, print_fields, print_json, print_table
from smclient.errors import ConfigError
from smclient_embedded.config_reading import read_file
from smclient_embedded.findings import (
    FRAMEWORKS,
    FindingParameters,
    FindingsBook,
    by_requirement,
    summarise,
)
from smclient_embedded.findings.summary import is_open, product_of
from smclient_embedded.store_options import account_option, opened, store_option

_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command()
@store_option
@account_option
@click.option("--all", "show_all", is_flag=True, help="Also what passed, is settled or archived.")
@click.option(
    "--framework",
    type=click.Choice(sorted(FRAMEWORKS)),
    help="By the requirements of a framework, with what each control evidences.",
)
@click.option("--summary", is_flag=True, help="Counted by severity, product, account, resource.")
@click.option(
    "--parameters",
    "parameters_file",
    type=_FILE,
    help="Parameters of the controls, TOML if its name ends so, else JSON.",
)
@click.option(
    "--take-in",
    "taken_in",
    type=_FILE,
    help="First keep findings in ASFF from a file: a JSON array, or get-findings' output.",
)
@click.option("--suppress", multiple=True, metavar="ID", help="Set a finding's workflow first.")
@click.option("--fail", is_flag=True, help="Exit with 1 if a finding is open: for pipelines.")
@json_option
def findings(
    url: str,
    account: str | None,
    show_all: bool,
    framework: str | None,
    summary: bool,
    parameters_file: Path | None,
    taken_in: Path | None,
    suppress: Sequence[str],
    fail: bool,
    as_json: bool,
) -> None:
    """Judge every secret of a store by Security Hub's controls and our own.

    Printed are the open findings, over all accounts and regions of the store.
    """
    given = _parameters(parameters_file)
    with opened(url) as store:
        book = FindingsBook(store, lambda: datetime.now(UTC))
        if taken_in is not None:
            book.take_in(_asff(taken_in))
        if suppress and book.set_workflow(suppress, "SUPPRESSED") < len(set(suppress)):
            raise ConfigError("there is no finding of one of the ids to suppress; look first")
        found = book.look(given, account=account)
    opened_ones = [finding for finding in found if is_open(finding)]
    if framework is not None:
        _print_requirements(by_requirement(framework, found), as_json)
    elif summary:
        _print_summary(summarise(found), as_json)
    elif as_json:
        print_json(found if show_all else opened_ones)
    else:
        headers = ("SEVERITY", "STATUS", "CONTROL", "ACCOUNT", "REGION", "RESOURCE", "WHY")
        print_table(headers, map(_row, found if show_all else opened_ones))
    if fail and opened_ones:
        raise SystemExit(1)


def _row(finding: Mapping[str, Any]) -> tuple[str, ...]:
    compliance = finding.get("Compliance", {})
    reasons = compliance.get("StatusReasons") or [{"Description": finding["Title"]}]
    is_archived = finding["RecordState"] == "ARCHIVED"
    resource = str(finding["Resources"][0]["Id"])
    return (
        finding["Severity"]["Label"],
        "ARCHIVED" if is_archived else compliance.get("Status", finding["Workflow"]["Status"]),
        compliance.get("SecurityControlId") or product_of(finding),
        finding["AwsAccountId"],
        finding.get("Region", ""),
        resource.rpartition(":secret:")[2],
        reasons[0].get("Description", ""),
    )


def _print_requirements(told: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    print_table(
        ("REQUIREMENT", "CONTROLS", "PASSED", "FAILED", "OPEN", "EVIDENCES"),
        [
            (
                one["requirement"],
                " ".join(one["controls"]),
                one["passed"],
                one["failed"],
                one["open"],
                one["evidences"],
            )
            for one in told
        ],
    )


def _print_summary(counted: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(counted)
        return
    print_fields({"open": counted["open"]})
    for name, counts in counted.items():
        if name != "open" and counts:
            click.echo()
            header = name.removeprefix("by_").upper()
            print_table((header, "OPEN"), list(counts.items()))


def _parameters(path: Path | None) -> FindingParameters:
    return FindingParameters() if path is None else FindingParameters.of(read_file(path).content)


def _asff(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    found = content.get("Findings") if isinstance(content, dict) else content
    if not isinstance(found, list):
        raise ConfigError(f"{path} is neither an array of findings nor an object with 'Findings'")
    return found
