"""The login ladder, against a database whose accepted passwords are scripted."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from smclient import (
    AccessDeniedError,
    BackendUnavailableError,
    CredentialFieldError,
    LoginHeldBackError,
    NotJsonError,
    SecretEvent,
    SecretsClient,
    SecretValue,
    SmclientError,
)
from smclient.testing import Call, FakeBackend, FakeClock, Queued

CANARY = "c4n4ry"


class WrongPassword(Exception):
    """What asyncpg raises."""

    sqlstate = "28P01"


class NotPermitted(Exception):
    """A refusal that does not say why."""

    sqlstate = "28000"


class NoDatabase(Exception):
    """Has nothing to do with the password."""

    sqlstate = "3D000"


for _class in (WrongPassword, NotPermitted, NoDatabase):
    _class.__module__ = "asyncpg.exceptions"


class Database:
    """Accepts what it is told to; remembers every login that was tried."""

    def __init__(self, **users: str) -> None:
        self.users = users
        self.tried: list[tuple[str, str]] = []
        self.error: Callable[[], Exception] = WrongPassword
        self.before: Callable[[], object] = lambda: None

    def connect(self, user: str, password: str, **more: Any) -> str:
        self.before()
        self.tried.append((user, str(password)))
        if self.users.get(user) != password:
            raise self.error()
        return f"connected as {user}"

    @property
    def passwords(self) -> list[str]:
        return [password for _, password in self.tried]


@pytest.fixture
def backend() -> FakeBackend:
    """A secret that was rotated before: v0 is AWSPREVIOUS, v1 AWSCURRENT."""
    backend = FakeBackend()
    add(backend, "v0")
    add(backend, "v1")
    return backend


@pytest.fixture
def database() -> Database:
    """It accepts the current password."""
    return Database(app="p1")


def add(backend: FakeBackend, version: str, stage: str = "AWSCURRENT", user: str = "app") -> str:
    """Version ``vN`` holds password ``pN``."""
    content = {"username": user, "password": "p" + version[1:]}
    return backend.put("db", content, stages=[stage], version_id=version)


def finish(backend: FakeBackend, version: str) -> None:
    """What finishSecret does to the labels."""
    backend.move("db", "AWSCURRENT", version)
    backend.move("db", "AWSPENDING", None)


def logins(client: SecretsClient) -> dict[str, int]:
    return dict(client.usage().logins)


def stages_asked(backend: FakeBackend) -> list[str | None]:
    return [call.stage for call in backend.calls]


# --- single user, phase by phase ------------------------------------------------------------------


def test_the_cached_password_is_tried_first(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Where it is right, a login costs no call."""
    client.get("db")
    for _ in range(5):
        assert client.connect("db", database.connect) == "connected as app"
    assert len(backend.calls) == 1
    assert (logins(client), client.usage().failed_logins) == ({"cached": 5}, 0)


def test_after_create_secret_the_current_password_still_holds(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """AWSPENDING is not looked at."""
    add(backend, "v2", "AWSPENDING")
    client.connect("db", database.connect)
    assert database.passwords == ["p1"]


def test_after_set_secret_the_pending_password_holds(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """The labels have not moved yet: this is where everybody else fails."""
    client.get("db")
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p2"]
    assert stages_asked(backend)[1:] == ["AWSCURRENT", "AWSPENDING"]
    assert (logins(client), client.usage().failed_logins) == ({"AWSPENDING": 1}, 1)


def test_after_finish_secret_a_fresh_read_helps_a_stale_cache(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """One failed login, one call."""
    client.get("db")
    add(backend, "v2", "AWSPENDING")
    finish(backend, "v2")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p2"]
    assert stages_asked(backend)[1:] == ["AWSCURRENT"]
    assert logins(client) == {"AWSCURRENT": 1}
    client.connect("db", database.connect)
    assert (database.passwords[2:], len(backend.calls)) == (["p2"], 2)


def test_the_previous_password_is_the_last_resort(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Where the new one is not in force yet: a lagging replica, a restored database."""
    database.users["app"] = "p0"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p0"]
    assert logins(client) == {"AWSPREVIOUS": 1}


def test_a_cache_that_is_several_rotations_old_gets_there(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Within four logins, in the middle of yet another rotation."""
    client.get("db")
    add(backend, "v2")
    add(backend, "v3")
    add(backend, "v4", "AWSPENDING")
    database.users["app"] = "p4"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p3", "p4"]


# --- alternating users ----------------------------------------------------------------------------


@pytest.fixture
def two_users(backend: FakeBackend) -> Database:
    """AWSCURRENT is ``app``, AWSPREVIOUS ``app_clone``; both may log in."""
    backend.remove("db")
    add(backend, "v0", user="app_clone")
    add(backend, "v1")
    return Database(app="p1", app_clone="p0")


@pytest.mark.parametrize("phase", ["before", "create", "set", "finish"])
def test_alternating_users_log_in_with_what_is_cached_in_every_phase(
    phase: str, client: SecretsClient, backend: FakeBackend, two_users: Database
) -> None:
    """The user that is being re-keyed is the other one."""
    client.get("db")
    if phase != "before":
        add(backend, "v2", "AWSPENDING", user="app_clone")
    if phase in ("set", "finish"):
        two_users.users["app_clone"] = "p2"
    if phase == "finish":
        finish(backend, "v2")
    client.connect("db", two_users.connect)
    assert two_users.tried == [("app", "p1")]


def test_alternating_users_with_a_cache_two_rotations_old(
    client: SecretsClient, backend: FakeBackend, two_users: Database
) -> None:
    """The cached user has another password by now, the fresh one works."""
    client.get("db")
    add(backend, "v2", user="app_clone")
    add(backend, "v3", user="app")
    two_users.users.update(app="p3", app_clone="p2")
    client.connect("db", two_users.connect)
    assert two_users.tried == [("app", "p1"), ("app", "p3")]


# --- the rules of the ladder ----------------------------------------------------------------------


def test_the_same_credentials_are_never_tried_twice(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Though three versions hold them."""
    content = {"username": "app", "password": "p1", "note": "another version, the same login"}
    backend.put("db", content, stages=["AWSPENDING"], version_id="v2")
    backend.put("db", content, stages=["AWSCURRENT"], version_id="v3")
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert database.passwords == ["p1"]


def test_the_same_password_of_another_user_is_another_login(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """User and password count together."""
    backend.put("db", {"username": "other", "password": "p1"}, stages=["AWSPENDING"])
    database = Database(other="p1")
    client.connect("db", database.connect)
    assert database.tried == [("app", "p1"), ("other", "p1")]


def test_at_most_four_logins(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """However fast versions come."""
    client.get("db")
    versions = iter(range(2, 100))
    backend.before = lambda call: add(backend, f"v{next(versions)}", "AWSCURRENT")
    database.users.clear()
    with pytest.raises(WrongPassword) as caught:
        client.connect("db", database.connect)
    assert len(database.tried) == len(set(database.tried)) == 4
    (note,) = caught.value.__notes__
    assert note.count("v") >= 4


def test_an_error_that_is_not_about_the_password_ends_it_at_once(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Nothing is asked, nothing tried again, nothing counted as a refused login."""
    client.get("db")
    add(backend, "v2", "AWSPENDING")
    database.users.clear()
    database.error = NoDatabase
    with pytest.raises(NoDatabase):
        client.connect("db", database.connect)
    assert (len(database.tried), len(backend.calls)) == (1, 1)
    assert client.usage().failed_logins == 0


def test_an_error_of_the_caller_s_own_code_ends_it_at_once(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Its traceback shows where."""

    def broken(user: str, password: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        client.connect("db", broken)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "broken"


@pytest.mark.parametrize("versions", [["AWSPENDING"], ["AWSPENDING", "AWSCURRENT"]])
def test_after_an_unclear_error_one_more_login_is_allowed(
    versions: list[str], client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """With a different version, and no more than one."""
    client.get("db")
    for n, stage in enumerate(versions, 2):
        add(backend, f"v{n}", stage)
    database.users.clear()
    database.error = NotPermitted
    with pytest.raises(NotPermitted):
        client.connect("db", database.connect)
    assert len(database.tried) == 2
    assert client.usage().failed_logins == 2


def test_an_unclear_error_may_be_about_the_password_after_all(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Then the second login wins."""
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    database.error = NotPermitted
    assert client.connect("db", database.connect) == "connected as app"


def test_an_unclear_error_without_another_version_is_final(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """The same credentials are not tried again."""
    backend.move("db", "AWSPREVIOUS", None)
    database.users.clear()
    database.error = NotPermitted
    with pytest.raises(NotPermitted):
        client.connect("db", database.connect)
    assert len(database.tried) == 1


def test_with_the_ladder_off_only_awscurrent_is_tried(
    make_client: Callable[..., SecretsClient], backend: FakeBackend, database: Database
) -> None:
    """Cached and fresh."""
    client = make_client(ladder=("AWSCURRENT",))
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert database.passwords == ["p1"]
    assert stages_asked(backend) == ["AWSCURRENT", "AWSCURRENT"]


def test_the_ladder_has_the_rungs_and_the_order_that_were_set(
    make_client: Callable[..., SecretsClient], backend: FakeBackend, database: Database
) -> None:
    """Any staging label can be one."""
    client = make_client(ladder=("AWSCURRENT", "mine", "AWSPREVIOUS"))
    add(backend, "v7", "mine")
    database.users["app"] = "p0"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p7", "p0"]


# --- rungs that cannot be reached -----------------------------------------------------------------


@pytest.mark.parametrize("refusal", [AccessDeniedError("no"), BackendUnavailableError("no answer")])
@pytest.mark.parametrize("denied", ["AWSPENDING", "AWSCURRENT"])
def test_a_rung_that_is_denied_or_does_not_answer_is_skipped(
    denied: str,
    refusal: SmclientError,
    client: SecretsClient,
    backend: FakeBackend,
    database: Database,
) -> None:
    """The others are tried."""
    client.get("db")

    def refuse(call: Call) -> None:
        if call.stage == denied:
            raise refusal

    backend.before = refuse
    database.users["app"] = "p0"
    assert client.connect("db", database.connect) == "connected as app"
    assert database.passwords == ["p1", "p0"]


def test_a_rung_that_is_absent_costs_the_cached_value_nothing(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """AWSCURRENT stays held, so the next login asks nobody."""
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    calls = len(backend.calls)
    database.users["app"] = "p1"
    client.connect("db", database.connect)
    assert len(backend.calls) == calls


def test_a_pending_version_without_a_value_is_skipped(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """It has the label before createSecret has made the password."""
    backend._labels["db"]["AWSPENDING"] = "empty-version"
    database.users["app"] = "p0"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p0"]


@pytest.mark.parametrize(
    "content", ["no json", [1], {"username": "app"}, b"\xff", {"password": ""}]
)
def test_a_version_with_unfit_content_does_not_hide_what_the_database_said(
    content: Any, client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """The ladder goes on, and the driver's error is raised."""
    backend.put("db", content, stages=["AWSPENDING"])
    database.users["app"] = "p0"
    assert client.connect("db", database.connect) == "connected as app"
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("no json", NotJsonError),
        ({"password": "x"}, CredentialFieldError),
        ({"username": "app"}, CredentialFieldError),
        ({"username": "app", "password": 5}, CredentialFieldError),
        ({"username": "", "password": CANARY}, CredentialFieldError),
    ],
)
def test_a_secret_that_is_no_login_is_refused_before_the_database_is_asked(
    content: Any,
    error: type[SmclientError],
    client: SecretsClient,
    backend: FakeBackend,
    database: Database,
) -> None:
    """The message says what is missing, not what is there."""
    backend.put("db", content)
    with pytest.raises(error, match="'db'") as caught:
        client.connect("db", database.connect)
    assert database.tried == []
    assert CANARY not in str(caught.value)
    assert client.usage().failed_logins == 0


# --- the error that is raised ---------------------------------------------------------------------


def test_the_driver_s_own_error_is_raised_with_the_versions_tried(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """The same object, its note without a value."""
    raised: list[Exception] = []

    def error() -> Exception:
        raised.append(WrongPassword("refused"))
        return raised[-1]

    add(backend, "v2", "AWSPENDING")
    database.users.clear()
    database.error = error
    with pytest.raises(WrongPassword) as caught:
        client.connect("db", database.connect)
    assert caught.value is raised[-1]
    assert caught.value.args == ("refused",)
    assert caught.value.__notes__ == [
        f"smclient: secret {backend.arn('db')}, versions tried: v1, v2, v0"
    ]


def test_no_password_is_in_the_error_nor_in_a_frame_below_it(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Drivers put it into connection strings, which are plain text."""
    backend.put("db", {"username": "app", "password": CANARY, "deep": {"er": CANARY}})

    def connect(user: str, password: str) -> None:
        conninfo = f"user={user} password={password}"
        raise WrongPassword(len(conninfo))

    with pytest.raises(WrongPassword) as caught:
        client.connect("db", connect)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(told.format())
    assert "in connect" in text
    assert CANARY not in text


@pytest.mark.parametrize("module", ["psycopg", "psycopg2", "pymysql", "pg8000.dbapi"])
def test_no_password_is_in_what_a_real_driver_leaves_behind(
    module: str, client: SecretsClient, backend: FakeBackend
) -> None:
    """Of a login at a port where nobody listens; the host is told plainly."""
    import importlib
    import socket

    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        login = {"username": "app", "password": CANARY, "host": "127.0.0.1", "port": port}
        backend.put("db", login)
        with pytest.raises(Exception, match=r"127\.0\.0\.1") as caught:
            client.connect("db", importlib.import_module(module).connect)
    assert type(caught.value).__module__.startswith(module.partition(".")[0])
    assert caught.value.__traceback__ is not None
    below = caught.value.__traceback__.tb_next
    told = traceback.TracebackException(
        type(caught.value), caught.value, below, capture_locals=True
    )
    assert CANARY not in "".join(told.format())
    assert "versions tried" in caught.value.__notes__[0]


def test_a_login_inside_an_except_is_judged_by_its_own_error(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """The one that is being handled is of another login."""
    client.get("db")
    add(backend, "v2", "AWSPENDING")
    database.users.clear()
    database.error = NoDatabase
    try:
        raise WrongPassword
    except WrongPassword:
        with pytest.raises(NoDatabase):
            client.connect("db", database.connect)
    assert len(database.tried) == 1


# --- the remembered winner ------------------------------------------------------------------------


def test_a_winner_is_tried_first_until_labels_move(
    client: SecretsClient, backend: FakeBackend, database: Database, worker: Queued
) -> None:
    """A pool does not repeat the failing login; after the rotation AWSCURRENT is first again."""
    client.get("db")
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    for _ in range(4):
        client.connect("db", database.connect)
    assert database.passwords == ["p1", "p2", "p2", "p2", "p2"]
    assert logins(client) == {"AWSPENDING": 1, "remembered": 3}
    finish(backend, "v2")
    worker.run()
    database.tried.clear()
    client.connect("db", database.connect)
    assert database.passwords == ["p2"]
    assert logins(client) == {"AWSPENDING": 1, "remembered": 3, "cached": 1}


def test_a_winner_that_is_refused_gives_way(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """A rotation may be rolled back; the next login asks the winner no more."""
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    database.users["app"] = "p1"
    database.tried.clear()
    client.connect("db", database.connect)
    client.connect("db", database.connect)
    assert database.passwords == ["p2", "p1", "p1"]


def test_a_winner_is_forgotten_after_max_stale(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Clear text is not kept for ever."""
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    clock.advance(3600)
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p2", "p1", "p2"]


def test_a_refused_secret_is_no_login_whoever_won_before(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Revocation takes effect for logins too."""
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    backend.fail_with(AccessDeniedError("no"), times=None)
    with pytest.raises(AccessDeniedError):
        client.refresh("db")
    with pytest.raises(AccessDeniedError):
        client.connect("db", database.connect)


# --- labels that move between two asks ------------------------------------------------------------


def test_labels_that_move_between_two_asks_do_not_slip_through(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """AWSCURRENT was asked before, AWSPENDING after finishSecret: both answers miss the new one."""
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"

    def move(call: Call) -> None:
        if call.stage == "AWSPENDING":
            finish(backend, "v2")
            backend.before = lambda call: None

    client.get("db")
    backend.before = move
    assert client.connect("db", database.connect) == "connected as app"
    assert database.passwords == ["p1", "p2"]
    assert clock.slept == []


def test_reads_that_lag_behind_a_rotation_are_waited_for(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """With jitter, not longer than needed."""
    add(backend, "v2", "AWSPENDING")
    client.get("db")
    database.users["app"] = "p3"

    def catch_up(call: Call) -> None:
        if clock.monotonic() > 1.0:
            add(backend, "v3", "AWSCURRENT")
            backend.before = lambda call: None

    backend.before = catch_up
    client.connect("db", database.connect)
    assert 1.0 < clock.monotonic() < 2.5
    assert database.passwords == ["p1", "p2", "p0", "p3"]


def test_the_wait_is_bounded(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Five seconds in all, in growing steps up to one; no login while nothing new shows."""
    add(backend, "v2", "AWSPENDING")
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert sum(clock.slept) == pytest.approx(5.0)
    assert len(database.tried) == 3
    assert max(clock.slept) <= 1.0
    for slept, step in zip(clock.slept, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0], strict=False):
        assert step / 2 <= slept <= step


@pytest.mark.parametrize("wait", [0.0, 1.0])
def test_the_wait_is_a_setting(
    wait: float,
    make_client: Callable[..., SecretsClient],
    backend: FakeBackend,
    database: Database,
    clock: FakeClock,
) -> None:
    """Zero is none."""
    client = make_client(login_wait=wait)
    add(backend, "v2", "AWSPENDING")
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert sum(clock.slept) == pytest.approx(wait)


def test_without_a_rotation_there_is_no_wait(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """A wrong password is simply wrong."""
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert clock.slept == []


def test_credentials_that_were_good_before_are_waited_for(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Somebody changed them, and reads that lag may show neither AWSPENDING nor a moved label."""
    client.connect("db", database.connect)
    database.users["app"] = "p2"

    def catch_up(call: Call) -> None:
        if clock.monotonic() > 1.0:
            add(backend, "v2", "AWSPENDING")
            backend.before = lambda call: None

    backend.before = catch_up
    client.connect("db", database.connect)
    assert 1.0 < clock.monotonic() < 2.5
    assert database.passwords == ["p1", "p1", "p0", "p2"]


def test_a_password_changed_by_hand_is_waited_for_once(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Then it is simply wrong."""
    client.connect("db", database.connect)
    database.users.clear()
    for waited in (5.0, 5.0):
        with pytest.raises(WrongPassword):
            client.connect("db", database.connect)
        assert sum(clock.slept) == pytest.approx(waited)


def test_a_winner_that_is_ahead_outlives_a_read_that_lags(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """A read of before the last rotation shows AWSCURRENT going back: the younger winner is still
    the one that logs in."""
    client.connect("db", database.connect)
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    backend.move("db", "AWSCURRENT", "v0")  # what a lagging read shows
    client.refresh("db")
    database.tried.clear()
    client.connect("db", database.connect)
    assert database.passwords == ["p2"]


def test_the_last_login_is_kept_for_a_version_that_is_younger_than_the_winners(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Rotations in quick succession, and reads that show three old versions: a fourth old one does
    not use up the login that the pending one needs."""
    for version in ("v2", "v3", "v4"):
        add(backend, version)
        database.users["app"] = "p" + version[1:]
        client.refresh("db")
        client.connect("db", database.connect)
    add(backend, "v5", "AWSPENDING")
    database.users["app"] = "p5"
    lagging = [
        {"AWSCURRENT": old, "AWSPENDING": None, "AWSPREVIOUS": None} for old in ["v3", "v2", "v1"]
    ]
    now = {"AWSCURRENT": "v4", "AWSPENDING": "v5", "AWSPREVIOUS": "v3"}
    shown = iter([*lagging, now])

    def lag(call: Call) -> None:
        if call.stage == "AWSCURRENT":
            for stage, version in next(shown, now).items():
                backend._labels["db"].pop(stage, None)
                if version:
                    backend._labels["db"][stage] = version

    backend.before = lag
    database.tried.clear()
    client.connect("db", database.connect)
    assert database.passwords == ["p4", "p3", "p2", "p5"]


def test_the_login_that_was_kept_goes_to_an_old_version_in_the_end(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Nothing younger comes: the database may have been restored from long ago."""
    for version in ("v2", "v3"):
        add(backend, version)
        database.users["app"] = "p" + version[1:]
        client.refresh("db")
        client.connect("db", database.connect)
    add(backend, "v4", "AWSPENDING")
    shown = iter(["v2", "v1", "v0"])

    def lag(call: Call) -> None:
        if call.stage == "AWSPREVIOUS":
            backend._labels["db"]["AWSPREVIOUS"] = next(shown, "v0")

    backend.before = lag
    database.users["app"] = "p1"
    database.tried.clear()
    client.connect("db", database.connect)
    assert database.passwords == ["p3", "p4", "p2", "p1"]


@pytest.mark.parametrize(("minutes", "waits"), [(0.5, True), (1.1, False)])
def test_a_move_within_a_minute_counts_as_a_rotation(
    minutes: float,
    waits: bool,
    client: SecretsClient,
    backend: FakeBackend,
    database: Database,
    clock: FakeClock,
) -> None:
    """Reads may still lag then."""
    client.get("db")
    add(backend, "v2")
    client.refresh("db")
    clock.advance(minutes=minutes)
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert bool(clock.slept) is waits


@pytest.mark.parametrize("lag", ["flapping", "previous"])
def test_reads_that_contradict_each_other_do_not_spin(
    lag: str, client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Eventually consistent answers may go back and forth: few calls, then pauses, then an end."""
    client.get("db")
    flip = [1]

    def contradict(call: Call) -> None:
        if lag == "flapping" and call.stage == "AWSCURRENT":
            flip[0] += 1
            backend._labels["db"]["AWSCURRENT"] = f"v{flip[0] % 2}"
        elif lag == "previous":
            backend._labels["db"]["AWSPREVIOUS"] = "v1"
        assert len(backend.calls) < 200

    backend.before = contradict
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert 0 < sum(clock.slept) <= 5.0
    assert len(backend.calls) < 60


# --- the breaker ----------------------------------------------------------------------------------


def fail_to_log_in(client: SecretsClient, database: Database) -> int:
    """How many logins were tried; which error came is in ``database.last``."""
    before = len(database.tried)
    with pytest.raises((WrongPassword, LoginHeldBackError)) as caught:
        client.connect("db", database.connect)
    database.last = caught.value  # type: ignore[attr-defined]
    return len(database.tried) - before


def test_five_whole_rounds_within_a_minute_open_the_breaker(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Then nothing is tried for 30 s, however often one asks: an account may be locked."""
    database.users.clear()
    for _ in range(5):
        assert fail_to_log_in(client, database) == 2
        clock.advance(1)
    for _ in range(28):
        assert fail_to_log_in(client, database) == 0
        assert isinstance(database.last, LoginHeldBackError)  # type: ignore[attr-defined]
        clock.advance(1)
    told = str(database.last)  # type: ignore[attr-defined]
    assert backend.arn("db") in told
    assert "held back: v1, v0" in told
    clock.advance(1)
    assert fail_to_log_in(client, database) == 2
    assert fail_to_log_in(client, database) == 0


def test_the_breaker_lets_a_recovered_database_in(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """And forgets the failures."""
    database.users.clear()
    for _ in range(5):
        fail_to_log_in(client, database)
    clock.advance(30)
    database.users["app"] = "p1"
    client.connect("db", database.connect)
    database.users.clear()
    assert fail_to_log_in(client, database) == 2


def test_a_new_version_is_tried_though_the_breaker_is_open(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """It has not failed yet; the move also closes the breaker."""
    database.users.clear()
    for _ in range(6):
        fail_to_log_in(client, database)
    add(backend, "v2")
    database.users["app"] = "p2"
    database.tried.clear()
    assert client.connect("db", database.connect) == "connected as app"
    assert database.passwords == ["p2"]


def test_slow_failures_do_not_open_the_breaker(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Five in more than a minute are no burst."""
    database.users.clear()
    for _ in range(20):
        assert fail_to_log_in(client, database) == 2
        clock.advance(16)


def test_errors_of_another_kind_do_not_open_the_breaker(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """A database that is down locks nobody out."""
    database.users.clear()
    database.error = NoDatabase
    for n in range(10):
        with pytest.raises(NoDatabase):
            client.connect("db", database.connect)
        assert len(database.tried) == n + 1


# --- events, threads ------------------------------------------------------------------------------


def test_a_fallback_is_told_once_with_both_versions(
    client: SecretsClient, backend: FakeBackend, database: Database, worker: Queued
) -> None:
    """Off the path of the login; logins with AWSCURRENT are no fallback."""
    told: list[SecretEvent] = []
    client.on_fallback(told.append)
    client.connect("db", database.connect)
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    client.connect("db", database.connect)
    assert told == []
    worker.run()
    assert told == [SecretEvent("fallback", "db", "v1", "v2", "AWSPENDING")]


def test_after_a_fallback_a_newer_awscurrent_is_looked_for(
    client: SecretsClient, backend: FakeBackend, database: Database, worker: Queued
) -> None:
    """Not only when its TTL ends; readers are served meanwhile."""
    told: list[Any] = []
    client.on_rotate(told.append)
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    finish(backend, "v2")
    assert client.get("db").version_id == "v1"
    worker.run()
    assert client.get("db").version_id == "v2"
    worker.run()
    assert len(told) == 1


def test_many_threads_log_in_through_a_rotation(
    make_client: Callable[..., SecretsClient], backend: FakeBackend, database: Database
) -> None:
    """None fails, in whatever phase it comes; each tries few passwords."""
    client = make_client(login_wait=5.0)
    lock = threading.Lock()
    failures: list[BaseException] = []
    done = threading.Event()

    def rotate() -> None:
        for n in range(2, 12):
            with lock:
                add(backend, f"v{n}", "AWSPENDING")
            with lock:
                database.users["app"] = f"p{n}"
            with lock:
                finish(backend, f"v{n}")
        done.set()

    def log_in() -> None:
        while not done.is_set():
            try:
                with lock:  # a rotation step does not happen in the middle of a login
                    client.connect("db", database.connect)
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=log_in) for _ in range(4)]
    rotation = threading.Thread(target=rotate)
    for thread in [*threads, rotation]:
        thread.start()
    for thread in [*threads, rotation]:
        thread.join(60)
    assert failures == []
    assert done.is_set()


def test_login_gives_whole_versions_to_the_caller(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """For what ``connect`` cannot express."""
    tried: list[str] = []
    backend.put("db", {"api_key": "k2"}, stages=["AWSPENDING"], version_id="v2")
    backend.put("db", {"api_key": "k3"}, stages=["AWSCURRENT"], version_id="v3")

    def attempt(value: SecretValue) -> str:
        tried.append(value.version_id)
        if value.version_id != "v2":
            raise WrongPassword
        return value["api_key"]  # type: ignore[no-any-return]

    assert client.login("db", attempt, fields=["api_key"]) == "k2"
    assert tried == ["v3", "v2"]
