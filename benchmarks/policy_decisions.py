"""Policy decisions per second, beside moto's IAM evaluation, in one run.

Run it from the root of the repository:

    PYTHONPATH=backends python benchmarks/policy_decisions.py

Both sides answer the same cases: the shared cases that have identity policies only, which is all
that moto's `IAMPolicy` knows, and on which it does not crash. moto reads the policy text for every
request; to separate that from the decision, it is also timed on policies it has read before. Its
answers are not checked here: it knows few operators and no organization, boundary or session.

Then decisions as the embedded service makes them for each call, with the condition keys that AWS
fills in: for the administrator, and for users whose policy has conditions or none.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.iam.access_control import IAMPolicy

from smclient_embedded import EmbeddedService
from smclient_embedded.gate import Call
from smclient_embedded.policy import Request, evaluate, read_policies, simulate

_CASES = Path(__file__).parents[1] / "tests" / "data" / "policy" / "cases.json"
_SECONDS = 1.0
_ROUNDS = 3

Question = Callable[[], object]


def main() -> None:
    """Print decisions per second for both, and the ratios."""
    cases = json.loads(_CASES.read_text(encoding="utf-8"))["cases"]
    whole = rate([asked(case) for case in cases])
    print(f"all {len(cases)} shared cases, from their JSON: {whole:,.0f}/s")
    plain = [case for case in cases if "kms" not in case["policies"]]
    print(f"{len(plain)} cases without keys, compiled: {rate([ours(c) for c in plain]):,.0f}/s")
    shared = [case for case in plain if set(case["policies"]) == {"identity"} and survives(case)]
    own = rate([ours(case) for case in shared])
    print(f"{len(shared)} identity-only cases: {own:,.0f}/s")
    per_request = rate([motos(case, read_before=False) for case in shared])
    print(f"moto as it decides a request: {per_request:,.0f}/s, ratio {own / per_request:.1f}")
    prepared = rate([motos(case, read_before=True) for case in shared])
    print(f"moto on policies read before: {prepared:,.0f}/s, ratio {own / prepared:.1f}")
    for name, question in at_the_door():
        print(f"the service, GetSecretValue, {name}: {rate([question]):,.0f}/s")


def asked(case: dict[str, Any]) -> Question:
    """The whole way from the JSON case; parsed policies come from the cache."""
    return lambda: simulate(case)


def ours(case: dict[str, Any]) -> Question:
    """One decision on compiled policies."""
    policies = read_policies(case["policies"])
    request = Request(
        case["principal"],
        case["account"],
        case["action"],
        case["resource"],
        case["context"],
        case.get("principal_role"),
    )
    return lambda: evaluate(request, policies)


def motos(case: dict[str, Any], *, read_before: bool) -> Question:
    """The same question to moto, one policy after the other as its access control does."""
    texts = [json.dumps(document) for document in case["policies"]["identity"]]
    read = [IAMPolicy(text) for text in texts]
    action, resource, context = case["action"], case["resource"], case["context"]

    def ask() -> object:
        policies = read if read_before else [IAMPolicy(text) for text in texts]
        return [
            policy.is_action_permitted(action, resource, incoming_condition_values=context)
            for policy in policies
        ]

    return ask


def at_the_door() -> list[tuple[str, Question]]:
    """The service's own authoriser, asked as the door asks it."""
    statement = {
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "arn:aws:secretsmanager:*:*:secret:prod/*",
    }
    tagged = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    service = EmbeddedService()
    tags = [{"Key": "team", "Value": "web"}]
    service.client().create_secret(Name="prod/db", SecretString="x", Tags=tags)
    users: dict[str, str | None] = {"the administrator": None}
    for name, condition in (("plain", {}), ("tagged", {"Condition": tagged})):
        document = {"Version": "2012-10-17", "Statement": {**statement, **condition}}
        arn = service.create_principal(name, policies=document, tags={"team": "web"})
        users[f"a user, {'by tags' if condition else 'no conditions'}"] = arn
    return [(name, asking(service, user)) for name, user in users.items()]


def asking(service: EmbeddedService, user: str | None) -> Question:
    """One decision, question included."""
    gate = service.door.gate
    call = Call("GetSecretValue", service.context(user), {"SecretId": "prod/db"})

    def ask() -> object:
        with service.door.store.transaction(write=False) as tx:
            access = gate.authoriser(gate.question(call, tx))
        assert access.allowed
        return access

    return ask


def survives(case: dict[str, Any]) -> bool:
    """Whether moto answers at all."""
    try:
        motos(case, read_before=True)()
    except Exception:  # noqa: BLE001 - moto raises all sorts of errors on conditions it does not know
        return False
    return True


def rate(questions: list[Question]) -> float:
    """Answers per second, the best of a few rounds."""
    best = 0.0
    for _ in range(_ROUNDS):
        count = 0
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < _SECONDS / _ROUNDS:
            for question in questions:
                question()
            count += len(questions)
        best = max(best, count / elapsed)
    return best


if __name__ == "__main__":
    main()
