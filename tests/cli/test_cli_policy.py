"""``smclient policy``: the shared cases, a store asked for its reasons, input that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from smclient.cli.root import root
from smclient_embedded import EmbeddedService

DATA = Path(__file__).parents[1] / "data" / "policy"
USER = "arn:aws:iam::123456789012:user/app"
CASE = {
    "id": "a",
    "principal": USER,
    "account": "123456789012",
    "action": "secretsmanager:ListSecrets",
    "resource": "*",
    "context": {},
    "policies": {
        "identity": [
            {
                "Version": "2012-10-17",
                "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"},
            }
        ]
    },
    "expect": "allow",
}


def run(*arguments: str, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(root, ["policy", *arguments], input=given)


def lines(answer: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.stdout.splitlines()]


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / name).read_text(encoding="utf-8"))["cases"]
    return found


class TestCases:
    def test_simulate_decides_every_shared_case(self) -> None:
        """One line a case, in the order of the file, with an explanation."""
        answer = run("simulate", str(DATA / "cases.json"), "--check")
        assert answer.exit_code == 0, answer.stderr
        said = lines(answer)
        assert {(each["id"], each["decision"]) for each in said} == {
            (case["id"], case["expect"]) for case in cases("cases.json")
        }
        assert [each["id"] for each in said] == [case["id"] for case in cases("cases.json")]
        assert all(each["explanation"] for each in said)

    @pytest.mark.parametrize(
        ("name", "field"), [("broad.json", "public"), ("validation.json", "valid")]
    )
    def test_lint_answers_every_shared_case(self, name: str, field: str) -> None:
        answer = run("lint", str(DATA / name))
        assert answer.exit_code == 0, answer.stderr
        assert [(each["id"], each[field]) for each in lines(answer)] == [
            (case["id"], case[field]) for case in cases(name)
        ]

    @pytest.mark.parametrize("shape", [[CASE], {"cases": [CASE]}, CASE])
    def test_a_list_an_object_or_one_case(self, shape: Any) -> None:
        answer = run("simulate", "-", given=json.dumps(shape))
        assert answer.exit_code == 0
        assert [each["decision"] for each in lines(answer)] == ["allow"]

    def test_a_case_that_is_none_takes_its_place_among_the_others(self) -> None:
        """And the exit code tells."""
        for command in ("simulate", "lint"):
            answer = run(command, "-", given=json.dumps([CASE, {"id": "b"}]))
            assert answer.exit_code == 1
            assert lines(answer)[1]["id"] == "b"
            assert lines(answer)[1]["error"]

    def test_check_tells_a_wrong_expectation(self) -> None:
        wrong = json.dumps([{**CASE, "expect": "explicitDeny"}])
        assert run("simulate", "-", given=wrong).exit_code == 0
        assert run("simulate", "-", "--check", given=wrong).exit_code == 1

    @pytest.mark.parametrize("given", ["", "no json", "7", "[1]", b"\xff\xfe", "[" * 100_000])
    def test_a_file_that_is_none_is_wrong_usage(self, given: str | bytes) -> None:
        for command in ("simulate", "lint"):
            assert run(command, "-", given=given).exit_code == 2


class TestValidate:
    def test_a_valid_policy(self) -> None:
        text = json.dumps(CASE["policies"]["identity"][0])  # type: ignore[index]
        answer = run("validate", "-", "--kind", "identity", given=text)
        assert (answer.exit_code, answer.stdout) == (0, "a valid identity policy\n")

    def test_every_fault_is_named(self) -> None:
        answer = run("validate", "-", "--json", given='{"Statement": {"Effect": "Maybe"}}')
        assert answer.exit_code == 1
        said = json.loads(answer.stdout)
        assert said["valid"] is False
        assert any("Effect" in fault for fault in said["faults"])

    def test_a_public_policy_is_called_so(self) -> None:
        public = next(case["policy"] for case in cases("broad.json") if case["public"])
        answer = run("validate", "-", "--json", given=json.dumps(public))
        assert answer.exit_code == 0
        assert json.loads(answer.stdout)["public"] is True


class TestExplain:
    @pytest.fixture
    def store(self, tmp_path: Path) -> str:
        """A store with a secret and a user who may read it by its label only."""
        url = f"embedded://{tmp_path}/secrets.db"
        condition = {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}
        statement = {
            "Sid": "ByLabel",
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": "*",
            "Condition": condition,
        }
        with EmbeddedService(url) as service:
            service.client().create_secret(Name="prod/db", SecretString="canary-value")
            service.create_principal(
                "app", policies={"Version": "2012-10-17", "Statement": statement}
            )
        return url

    def ask(self, store: str, *more: str) -> Result:
        return run("explain", "--principal", USER, "--secret", "prod/db", "--store", store, *more)

    def test_a_store_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        """Nor asked: the answer would be about nothing."""
        absent = tmp_path / "typo.db"
        answer = self.ask(f"embedded://{absent}", "--action", "GetSecretValue")
        assert answer.exit_code == 2
        assert f"there is no store at {absent}" in answer.stderr
        assert list(tmp_path.iterdir()) == []

    def test_a_denial_names_the_condition_and_what_the_call_lacks(self, store: str) -> None:
        answer = self.ask(store, "--action", "GetSecretValue")
        assert answer.exit_code == 4
        first, *rest = answer.stdout.splitlines()
        assert first == "implicitDeny"
        text = "\n".join(rest)
        assert "'ByLabel'" in text
        assert "secretsmanager:VersionStage 'AWSCURRENT'; the request has no value" in text

    @pytest.mark.parametrize(
        "more",
        [
            ("--parameter", "VersionStage=AWSCURRENT"),
            ("--context", "secretsmanager:VersionStage=AWSCURRENT"),
        ],
    )
    def test_a_parameter_or_a_key_can_be_supposed(self, store: str, more: tuple[str, ...]) -> None:
        """Then it goes on to what the call needs of the key."""
        answer = self.ask(store, "--action", "secretsmanager:GetSecretValue", "--json", *more)
        assert answer.exit_code == 0, answer.stderr
        said = json.loads(answer.stdout)
        assert said["decision"] == "allow"
        assert [line.split()[0] for line in said["explanation"]] == [
            "secretsmanager:GetSecretValue",
            "kms:Decrypt",
        ]
        assert "canary-value" not in answer.output

    @pytest.mark.parametrize(
        "more",
        [
            ("--action", "NoSuchAction"),
            ("--action", "s3:GetObject"),
            ("--action", "GetSecretValue", "--context", "nothing"),
            ("--action", "GetSecretValue", "--principal", USER + "-unknown"),
        ],
    )
    def test_what_does_not_exist_is_wrong_usage(self, store: str, more: tuple[str, ...]) -> None:
        assert self.ask(store, *more).exit_code == 2

    def test_nothing_goes_on_record(self, store: str) -> None:
        self.ask(store, "--action", "GetSecretValue")
        with EmbeddedService(store) as service:
            assert service.audit.lookup(event_name="GetSecretValue") == []
