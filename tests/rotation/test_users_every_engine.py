"""The same promises on every database: real PostgreSQL, MariaDB and Redis, Redshift's statements on
PostgreSQL, MongoDB's protocol on a script."""

from __future__ import annotations

import contextlib
import socket
import string
from collections.abc import Callable
from typing import Any

import pytest

from smclient import ResourceNotFoundError, RotationStepError
from smclient.rotation import Rotation

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
Shown = Callable[[BaseException], str]


def single(kind: Any, store: Any, **changes: Any) -> tuple[Any, dict[str, Any]]:
    """A single-user function, and the secret as it was stored."""
    return kind.single(), store(kind, {**kind.make(), **changes}, master=kind.name == "redis")


def fixed(function: type, password: str) -> Any:
    """The function, rotating to a given password."""

    class Fixed(function):  # type: ignore[misc]
        def new_password(self, rotation: Rotation) -> str:
            return password

    return Fixed()


def rotate(bench: Any, function: Any) -> dict[str, Any]:
    """One whole rotation; the new current value."""
    bench.begin(function)
    assert bench.service.run_due().rotated == (bench.arn,)
    value: dict[str, Any] = bench.value()
    return value


# --- one user ------------------------------------------------------------------------------------


def test_one_user_rotations_in_a_row(kind: Any, bench: Any, store: Any) -> None:
    """The new password is taken, the older one is not, and nothing else of the secret moves."""
    function, first = single(kind, store)
    values = [first]
    for _ in range(3):
        values.append(rotate(bench, function))
        assert kind.takes(values[-1])
        assert kind.takes(values[-2]) is kind.keeps_both
        assert kind.may_read(values[-1])
        assert {**values[-1], "password": ""} == {**first, "password": ""}
    assert not kind.takes(values[-3])
    assert not kind.takes(values[0])


def test_one_user_each_step_twice(kind: Any, bench: Any, store: Any) -> None:
    """Steps repeated find their work done."""
    function, first = single(kind, store)
    token = bench.begin(function)
    for step in STEPS:
        for _ in range(2):
            bench.step(function, step, token)
            assert bench.labels()["AWSCURRENT"] == token or step != "finishSecret"
    assert kind.takes(bench.value())
    assert kind.takes(first) is kind.keeps_both


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_one_user_a_crash_at_any_statement(
    kind: Any, bench: Any, store: Any, crash: Any, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """After it, current or pending logs in; the next try ends with one that does."""
    function, _ = single(kind, store)
    crash.watch(monkeypatch, *kind.statements)
    for number in range(1, 30):
        token = bench.begin(function)
        bench.step(function, "createSecret", token)
        happened = 0
        for step in STEPS[1:3]:
            crash.at(number, after=after)
            try:
                bench.step(function, step, token)
            except (RotationStepError, OSError):
                happened += 1
            crash.off()
            before, pending = bench.value(), bench.value("AWSPENDING")
            assert kind.takes(before) or kind.takes(pending)
        assert bench.service.run_due().rotated == (bench.arn,)
        assert kind.takes(bench.value())
        assert kind.may_read(bench.value())
        if not happened:
            assert number > 1, "no statement was ever broken off"
            break
    else:
        pytest.fail("the statements never end")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_one_user_a_crash_at_any_call_of_secrets_manager(
    kind: Any, bench: Any, store: Any, crash: Any, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """The other half of the places where a function can end."""
    function, _ = single(kind, store)
    backend = type(bench.secrets)
    for name in ("fetch", "describe", "call"):
        crash.watch(monkeypatch, backend, name)
    for number in range(1, 40):
        token = bench.begin(function)
        crash.at(number, after=after)
        try:
            for step in STEPS:
                bench.step(function, step, token)
        except OSError:
            pass
        broke = crash.happened
        crash.off()
        before = bench.value()
        assert kind.takes(before) or kind.takes(bench.value("AWSPENDING"))
        assert bench.service.run_due().rotated == (bench.arn,)
        assert bench.labels()["AWSCURRENT"] == token
        assert kind.takes(bench.value())
        if not broke:
            assert number > 8
            break
    else:
        pytest.fail("the calls never end")


@pytest.mark.parametrize(
    "password",
    [
        string.punctuation,
        "'" * 3,
        "\\'; DROP USER x; --",
        "%s %d %(p)s %%",
        'a"b`c\\',
        "$1 ${x} {} {0}",
        "пароль-é-密",
        " x ",
    ],
)
def test_any_password_goes_in_and_out(kind: Any, bench: Any, store: Any, password: str) -> None:
    """Every legal punctuation at once, and what breaks quoting, placeholders and escapes."""
    _, first = single(kind, store)
    value = rotate(bench, fixed(kind.single, password))
    assert value["password"] == password
    assert kind.takes(value)
    assert kind.takes(first) is kind.keeps_both
    value = rotate(bench, kind.single())
    assert kind.takes(value)
    assert not kind.takes(first)


ODD_NAMES = ["o'brien", 'say "hi"', "back\\slash", "100%s {}", "a`b", "user name", "a;--"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_user_names(kind: Any, bench: Any, store: Any, name: str) -> None:
    """Quoted as this database does it, with one user and with two."""
    name = f"{name}-{kind.name}"
    if kind.name == "redis":
        name = name.replace(" ", "_")  # Redis takes none
    secret = store(kind, kind.make(name), master=kind.name == "redis")
    value = rotate(bench, kind.single())
    assert value["username"] == name
    assert kind.takes(value)
    assert kind.takes(secret) is kind.keeps_both


# --- two users -----------------------------------------------------------------------------------


def test_two_users_take_turns(alternating_kind: Any, bench: Any, store: Any) -> None:
    """At every step the current user logs in with all its rights; a cached value lasts until the
    rotation after."""
    kind = alternating_kind
    first = store(kind, kind.make(), master=True)
    function = kind.alternating()
    values = [first]
    for turn in range(4):
        token = bench.begin(function)
        for step in STEPS:
            for _ in range(2):
                bench.step(function, step, token)
                assert kind.takes(values[-1])
                assert kind.may_read(values[-1])
        bench.service.run_due()
        values.append(bench.value())
        name = first["username"] + ("" if turn % 2 else "_clone")
        assert values[-1] == {**first, "username": name, "password": values[-1]["password"]}
        assert kind.takes(values[-1])
        assert kind.may_read(values[-1])
        assert kind.takes(values[-2])
        assert all(not kind.takes(old) for old in values[:-2])


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_two_users_a_crash_at_any_statement(
    alternating_kind: Any,
    bench: Any,
    store: Any,
    crash: Any,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    """The current user never notices, and a pending user that logs in has all its rights."""
    kind = alternating_kind
    crash.watch(monkeypatch, *kind.statements)
    for number in range(1, 60):
        bench.name = f"prod/{number}"
        store(kind, kind.make(), master=True)
        function = kind.alternating()
        token = bench.begin(function)
        bench.step(function, "createSecret", token)
        crash.at(number, after=after)
        try:
            bench.step(function, "setSecret", token)
        except (RotationStepError, OSError):
            assert crash.happened
        broke = crash.happened
        crash.off()
        pending = bench.value("AWSPENDING")
        assert kind.takes(bench.value())
        assert not kind.takes(pending) or kind.may_read(pending)
        assert bench.service.run_due().rotated == (bench.arn,)
        assert kind.takes(bench.value())
        assert kind.may_read(bench.value())
        if not broke:
            assert number > 4, "hardly a statement was broken off"
            break
    else:
        pytest.fail("the statements never end")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_two_users_with_odd_names(alternating_kind: Any, bench: Any, store: Any, name: str) -> None:
    """Grants are found and replayed for any name, with any password."""
    kind = alternating_kind
    first = store(kind, kind.make(f"{name}-{kind.name}2"), master=True)
    values = [first, *(rotate(bench, fixed(kind.alternating, string.punctuation)) for _ in "ab")]
    for value in values[1:]:
        assert kind.takes(value)
        assert kind.may_read(value)


# --- what is refused -----------------------------------------------------------------------------


def failure(bench: Any, function: Any, step: str) -> RotationStepError:
    """The error of one step of a new rotation, after those before it."""
    token = bench.begin(function)
    before = bench.labels()
    for name in STEPS[: STEPS.index(step)]:
        bench.step(function, name, token)
    with pytest.raises(RotationStepError) as caught:
        bench.step(function, step, token)
    assert "\n" not in str(caught.value)
    assert bench.labels() == before
    return caught.value


def assert_hides(text: str, bench: Any, *passwords: str) -> None:
    """No password, neither known nor pending, is in what an error shows."""
    hidden = [*passwords, bench.value()["password"]]
    with contextlib.suppress(ResourceNotFoundError):  # createSecret made none
        hidden.append(bench.value("AWSPENDING")["password"])
    for password in hidden:
        assert password not in text


def test_the_secret_of_another_engine(kind: Any, bench: Any, store: Any, shown: Shown) -> None:
    """Refused before a password is made."""
    function, first = single(kind, store, engine="oracle")
    error = failure(bench, function, "createSecret")
    assert "its engine is not" in str(error)
    assert_hides(shown(error), bench)
    assert kind.takes(first)


def test_a_host_that_does_not_answer(kind: Any, bench: Any, store: Any, shown: Shown) -> None:
    """Said as what it is; AWSCURRENT and the database are as they were."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    function, _ = kind.single(), store(kind, {**kind.make(), "port": port}, master=False)
    error = failure(bench, function, "setSecret")
    assert "cannot reach the database" in str(error)
    assert_hides(shown(error), bench)


def test_no_password_is_taken(kind: Any, bench: Any, store: Any, shown: Shown) -> None:
    """Somebody changed it by hand: the error says so and shows none of them."""
    function = kind.single()
    made = kind.make()
    store(kind, {**made, "password": "canary-wrong-61"}, master=False)
    error = failure(bench, function, "setSecret")
    assert "refuses" in str(error) or "takes neither" in str(error)
    text = shown(error)
    assert "canary-wrong-61" not in text
    assert_hides(text, bench, made["password"])


MANGLED = {
    "postgres": ("ALTER USER", "ALTER USER IF"),
    "redshift": ("ALTER USER", "ALTER USER IF"),
    "mariadb": ("SET PASSWORD", "SET PASSWORD IF"),
    "redis": ("SETUSER", "SETUSER"),
    "mongo": ("updateUser", "noSuchCommand"),
}


def test_a_statement_that_the_server_does_not_take_is_not_shown(
    kind: Any, bench: Any, store: Any, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers repeat the statement in their error, and the password or verifier is in it."""
    function, first = single(kind, store)
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    owner, name = kind.statements
    real = getattr(owner, name)
    old, new = MANGLED[kind.name]
    sent: list[str] = []

    def mangled(self: Any, *words: Any, **more: Any) -> Any:
        said = [str(word).replace(old, new) for word in words]
        if said[:1] == ["ACL"] and said[1] == old:
            said = [f"{word}x" if word.startswith("#") else word for word in said]
        if said != [str(word) for word in words] or new in said:
            sent.extend([*said, *more.values()])
            return real(self, *said, **more)
        return real(self, *words, **more)

    monkeypatch.setattr(owner, name, mangled)
    with pytest.raises(RotationStepError) as caught:
        bench.step(function, "setSecret", token)
    monkeypatch.undo()
    assert sent
    text = shown(caught.value)
    assert_hides(text, bench)
    for piece in sent:
        for word in str(piece).replace("'", " ").split():
            assert len(word) < 24 or word not in text
    assert kind.takes(first)


@pytest.mark.parametrize("odd", ["a\0b", "a\ud800b"], ids=["nul", "surrogate"])
@pytest.mark.parametrize("field", ["username", "password"])
def test_text_that_is_none(kind: Any, bench: Any, store: Any, odd: str, field: str) -> None:
    """Drivers cut it off at a NUL, or show it in their own error."""
    function, _ = single(kind, store, **{field: odd})
    assert f"its {field} has a character" in str(failure(bench, function, "createSecret"))


def test_two_users_without_a_master(alternating_kind: Any, bench: Any, store: Any) -> None:
    """Found at once, not after a password was made."""
    kind = alternating_kind
    store(kind, kind.make(), master=False)
    assert "it has no masterarn" in str(failure(bench, kind.alternating(), "createSecret"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "canary-master-77"}, "the database refuses the password in it"),
        ({"engine": "oracle"}, "its engine is not"),
        ({"host": "db.example.com"}, "goes nowhere else"),
        ({"host": None}, "goes nowhere else"),
    ],
    ids=["password", "engine", "host", "no-host"],
)
def test_a_master_that_does_not_fit(
    alternating_kind: Any,
    bench: Any,
    store: Any,
    shown: Shown,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    said: str,
) -> None:
    """The master's password goes to its own host only, and is in no error."""
    kind = alternating_kind
    master = {**kind.admin_secret(), **changes}
    monkeypatch.setattr(kind, "admin_secret", lambda: master)
    first = store(kind, kind.make(), master=True)
    error = failure(bench, kind.alternating(), "setSecret")
    assert said in str(error)
    assert_hides(shown(error), bench, str(master["password"]))
    assert kind.takes(first)


def test_a_master_of_another_host_where_that_is_allowed(
    alternating_kind: Any, bench: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A managed master secret has no host: the function is told where it may go."""
    kind = alternating_kind
    master = {k: v for k, v in kind.admin_secret().items() if k != "host"}
    monkeypatch.setattr(kind, "admin_secret", lambda: master)
    store(kind, kind.make(), master=True)
    value = rotate(bench, kind.alternating(master_hosts=[kind.server.host]))
    assert kind.takes(value)


def test_rights_are_copied_only_from_who_can_log_in(
    alternating_kind: Any, bench: Any, store: Any
) -> None:
    """Who may write the secret, and names a user whose password it does not know, gains nothing."""
    kind = alternating_kind
    made = kind.make()
    store(kind, {**made, "password": "guessed"}, master=True)
    error = failure(bench, kind.alternating(), "setSecret")
    assert "refuses the current password" in str(error)
    assert not kind.takes({**made, "username": made["username"] + "_clone", "password": "guessed"})


@pytest.mark.parametrize(
    ("name", "limit"), [("postgres", 63), ("redshift", 127), ("mariadb", 80), ("mongo", None)]
)
def test_a_name_that_gets_too_long(
    kind_named: Any, bench: Any, store: Any, name: str, limit: int | None
) -> None:
    """Told before anything is made; MongoDB has no limit."""
    kind = kind_named(name)
    store(kind, {**kind.make(), "username": "u" * ((limit or 500) - 3)}, master=True)
    if limit:
        assert f"longer than {limit}" in str(failure(bench, kind.alternating(), "createSecret"))
    else:
        bench.step(kind.alternating(), "createSecret", bench.begin(kind.alternating()))
        assert bench.value("AWSPENDING")["username"].endswith("u_clone")


# --- an abandoned rotation -----------------------------------------------------------------------


@pytest.mark.parametrize("after_step", [None, "createSecret", "setSecret", "testSecret"])
def test_settling_an_abandoned_rotation(
    kind: Any, bench: Any, store: Any, after_step: str | None
) -> None:
    """The value that the database takes is the current one afterwards, and RotateSecret works."""
    function, _ = single(kind, store)
    token = bench.begin(function)
    for step in STEPS[: STEPS.index(after_step) + 1 if after_step else 0]:
        bench.step(function, step, token)
    bench.client.call("CancelRotateSecret", SecretId=bench.name)
    in_force = after_step in ("setSecret", "testSecret") and not kind.keeps_both
    done = function.settle(bench.name, bench.secrets)
    assert done == ("finished" if in_force else "discarded")
    assert (bench.labels()["AWSCURRENT"] == token) is in_force
    assert "AWSPENDING" not in bench.labels()
    assert kind.takes(bench.value())
    assert function.settle(bench.name, bench.secrets) is None
    assert kind.takes(rotate(bench, function))


def test_settling_where_nothing_works(kind: Any, bench: Any, store: Any) -> None:
    """It chooses neither, and moves nothing."""
    function = kind.single()
    store(kind, {**kind.make(), "password": "wrong"}, master=kind.name == "redis")
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    bench.client.call("CancelRotateSecret", SecretId=bench.name)
    before = bench.labels()
    with pytest.raises(RotationStepError, match="neither AWSCURRENT nor AWSPENDING"):
        function.settle(bench.name, bench.secrets)
    assert bench.labels() == before
