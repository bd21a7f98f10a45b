"""The Flask extension: config that follows its secrets, fails early, and shows no value."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, current_app
from werkzeug.debug import DebuggedApplication
from werkzeug.test import Client

from smclient import (
    BackendUnavailableError,
    ConfigError,
    ResourceNotFoundError,
    SecretsClient,
    UnknownSettingError,
)
from smclient.testing import FakeBackend, FakeClock
from smclient_flask import LiveConfig, SecretConfigError, Secrets

CANARY = "canary-web-4f1d"
DYNAMIC = "{{resolve:secretsmanager:%s:SecretString:%s}}"


# --- what is resolved -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("secret://prod/web#key", CANARY),
        ("secret://prod/web#port", 8080),
        ("secret://prod/web#hosts", ["a", "b"]),
        ("secret://prod/web#hosts[1]", "b"),
        ("secret://prod/web?stage=AWSCURRENT#key", CANARY),
        ("secret://prod/web?optional=1#absent", None),
        ("secret://prod/none?optional=1", None),
        ("secret://prod/text", "canary-plain-text"),
        ("secret://prod/binary", b"\xff\x00canary"),
        (DYNAMIC % ("prod/web", "key"), CANARY),
        (
            f"postgresql://{DYNAMIC % ('prod/web', 'user')}:{DYNAMIC % ('prod/web', 'key')}@db/app",
            f"postgresql://us-canary-er:{CANARY}@db/app",
        ),
        (
            "aws-secretsmanager:prod/web",
            f'{{"key": "{CANARY}", "port": 8080, "hosts": ["a", "b"], "user": "us-canary-er"}}',
        ),
    ],
)
def test_references_are_read_as_values(
    make_app: Callable[..., Flask], setting: str, value: Any
) -> None:
    """By index and by ``get``: strings as strings, numbers and objects as JSON has them."""
    app = make_app(SETTING=setting)
    assert app.config["SETTING"] == value
    assert app.config.get("SETTING") == value
    assert app.config.get("SETTING", "default") == value


@pytest.mark.parametrize(
    "setting",
    [
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/web-AbCdEf",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/web-AbCdEf:key::",
        "https://example.com/secret://x",
        "the word secret",
        "{{resolve:ssm:something}}",
        "",
        17,
        None,
        b"secret://prod/web",
        {"secret://prod/web#key"},
    ],
)
def test_everything_else_stays_as_it_is(make_app: Callable[..., Flask], setting: Any) -> None:
    """A bare ARN in a configuration may be meant as one; sets and bytes are not looked into."""
    assert make_app(SETTING=setting).config["SETTING"] == setting


def test_config_stays_the_mapping_it_was(make_app: Callable[..., Flask]) -> None:
    """The same object as before, with Flask's own settings and methods."""
    app = Flask("tested")
    config = app.config
    Secrets(app, client=SecretsClient(FakeBackend({"s": "x"})))
    assert app.config is config
    assert isinstance(app.config, LiveConfig)
    assert app.config["MAX_COOKIE_SIZE"] == 4093
    assert app.config.get("ABSENT") is None
    assert app.config.get("ABSENT", 5) == 5
    assert "ABSENT" not in app.config
    with pytest.raises(KeyError):
        app.config["ABSENT"]
    app.config.from_mapping(LATER="secret://s")
    assert app.config["LATER"] == "x"
    assert app.config.setdefault("LATER2", "y") == "y"


def test_a_namespace_comes_resolved(make_app: Callable[..., Flask]) -> None:
    """As Flask's own ``get_namespace``: prefix off, lower case, unless told."""
    app = make_app(MAIL_KEY="secret://prod/web#key", MAIL_PORT=25, OTHER="secret://prod/text")
    assert app.config.get_namespace("MAIL_") == {"key": CANARY, "port": 25}
    kept = app.config.get_namespace("MAIL_", lowercase=False, trim_namespace=False)
    assert kept == {"MAIL_KEY": CANARY, "MAIL_PORT": 25}
    assert app.config.get_namespace("MAIL_", lowercase=False) == {"KEY": CANARY, "PORT": 25}
    assert app.config.get_namespace("NONE_") == {}


# --- early and late -------------------------------------------------------------------------------


def test_init_app_reads_everything_in_one_batch(
    backend: FakeBackend, make_app: Callable[..., Flask]
) -> None:
    """One call however many settings; then every read is a hit."""
    app = make_app(
        A="secret://prod/web#key", B="secret://prod/text", C=DYNAMIC % ("prod/web", "port")
    )
    assert [call.operation for call in backend.calls] == ["BatchGetSecretValue"]
    assert sorted(backend.calls[0].secret_ids) == ["prod/text", "prod/web"]
    for _ in range(3):
        assert (app.config["A"], app.config["B"], app.config["C"]) == (
            CANARY,
            "canary-plain-text",
            8080,
        )
    assert len(backend.calls) == 1


def test_without_references_nothing_is_asked(
    backend: FakeBackend, make_app: Callable[..., Flask]
) -> None:
    """An app that uses no secret works without Secrets Manager."""
    make_app(A="plain")
    assert backend.calls == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("secret://prod/none#key", "prod/none"),
        ("secret://prod/web#nokey", "no key 'nokey'"),
        ("secret://prod/text#key", "not JSON"),
        ("secret://prod/web?stage=AWSPENDING#key", "AWSPENDING"),
        (f"postgresql://{DYNAMIC % ('prod/none', 'x')}@db", "prod/none"),
    ],
)
def test_a_reference_that_leads_nowhere_fails_early(
    make_app: Callable[..., Flask], setting: str, said: str
) -> None:
    """At ``init_app``, naming the setting, the reference and the reason, and no value."""
    with pytest.raises(SecretConfigError) as caught:
        make_app(BAD_SETTING=setting)
    assert "BAD_SETTING" in str(caught.value)
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


def test_lazy_apps_start_without_their_secrets(
    backend: FakeBackend, clock: FakeClock, make_app: Callable[..., Flask]
) -> None:
    """With SMCLIENT_LAZY nothing is asked before the value is used; then it fails, or comes."""
    app = make_app(SMCLIENT_LAZY=True, A="secret://prod/later", B="secret://prod/web#key")
    assert backend.calls == []
    with pytest.raises(SecretConfigError, match=r"app.config\['A'\]") as caught:
        app.config["A"]
    assert isinstance(caught.value.__cause__, ResourceNotFoundError)
    with pytest.raises(SecretConfigError):
        app.config.get("A", "a default must not hide it")
    backend.put("prod/later", "there now")
    clock.advance(60)  # a refusal is remembered for a moment
    assert app.config["A"] == "there now"
    assert app.config["B"] == CANARY


@pytest.mark.parametrize(
    ("environment", "setting", "lazy"),
    [
        ("1", None, True),
        ("on", None, True),
        ("off", None, False),
        ("", None, False),
        ("1", False, False),
        ("0", "yes", True),
        ("0", "Off", False),
    ],
)
def test_the_environment_says_lazy_under_the_app(
    make_app: Callable[..., Flask],
    backend: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    setting: bool | str | None,
    lazy: bool,
) -> None:
    """In the words that environments have for a switch."""
    monkeypatch.setenv("SMCLIENT_LAZY", environment)
    given = {} if setting is None else {"SMCLIENT_LAZY": setting}
    make_app(A="secret://prod/text", **given)
    assert bool(backend.calls) is not lazy


def test_what_is_neither_on_nor_off_is_refused(make_app: Callable[..., Flask]) -> None:
    """Rather than taken for on."""
    with pytest.raises(ConfigError, match="SMCLIENT_LAZY is 'nope'"):
        make_app(SMCLIENT_LAZY="nope")


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("setting", "segment"),
    [
        ("secret://", "secret name"),
        ("secret://prod/web#", "key"),
        ("secret://prod/web?stag=X", "'stag'"),
        ("secret://prod web", "secret name"),
        ("{{resolve:secretsmanager:prod/web:SecretString:key", "closing }}"),
        ("x {{resolve:secretsmanager:prod/web:SecretBinary}} y", "SecretBinary"),
        ("aws-secretsmanager:", "secret name"),
    ],
)
def test_a_bad_reference_names_the_setting_and_the_segment(
    make_app: Callable[..., Flask], setting: str, segment: str, lazy: bool
) -> None:
    """Found at ``init_app`` even by lazy apps, since it needs no secret."""
    with pytest.raises(SecretConfigError, match="BAD_SETTING") as caught:
        make_app(BAD_SETTING=setting, SMCLIENT_LAZY=lazy)
    assert segment in str(caught.value)


def test_one_bad_setting_does_not_spoil_the_others(
    backend: FakeBackend, make_app: Callable[..., Flask]
) -> None:
    """A secret that was deleted meanwhile fails alone, once its value may not be served."""
    app = make_app(A="secret://prod/text", B="secret://prod/web#key")
    backend.remove("prod/text")
    app.extensions["smclient"].invalidate()
    with pytest.raises(SecretConfigError):
        app.config["A"]
    assert app.config["B"] == CANARY


# --- settings of ours -----------------------------------------------------------------------------


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"SMCLIENT_TLL": 5}, UnknownSettingError, "did you mean SMCLIENT_TTL"),
        ({"SMCLIENT_NONSENSE": 5}, UnknownSettingError, "SMCLIENT_NONSENSE"),
        ({"SMCLIENT_TTL": -1}, ConfigError, "ttl"),
        ({"SMCLIENT_TTL": "soon"}, ConfigError, "SMCLIENT_TTL"),
    ],
)
def test_wrong_settings_are_refused(
    settings: dict[str, Any], error: type[Exception], said: str, given: bool, client: SecretsClient
) -> None:
    """Before anything is asked; also beside a client that was given, which a typo would be for."""
    app = Flask("tested")
    app.config.update(settings)
    with pytest.raises(error, match=said):
        Secrets(app, client=client if given else None)


@pytest.mark.parametrize("url", ["nothing://", "no url", "null://?option=1"])
def test_a_wrong_backend_is_refused(url: str) -> None:
    """At ``init_app``, by the core's own errors."""
    app = Flask("tested")
    app.config.update(SMCLIENT_BACKEND=url)
    with pytest.raises(ConfigError, match=r"nothing|no url|option"):
        Secrets(app)


def test_settings_make_the_client() -> None:
    """Numbers as numbers or as text, as environments give them."""
    app = Flask("tested")
    app.config.update(
        SMCLIENT_BACKEND="null://", SMCLIENT_TTL="7.5", SMCLIENT_LADDER="AWSCURRENT,AWSPENDING"
    )
    app.config["KEY"] = "secret://any#password"
    secrets = Secrets(app)
    with app.app_context():
        config = secrets.client.config
    assert (config.ttl, config.ladder) == (7.5, ("AWSCURRENT", "AWSPENDING"))
    assert app.config["KEY"] == "smclient-null-placeholder"


def test_a_reference_is_refused_in_a_setting_of_ours() -> None:
    """The client that would resolve it does not exist yet."""
    app = Flask("tested")
    app.config.update(SMCLIENT_BACKEND="secret://prod/web#key")
    with pytest.raises(ConfigError):
        Secrets(app)


# --- apps and clients -----------------------------------------------------------------------------


def test_one_extension_serves_many_apps() -> None:
    """Each app has its own client; ``secrets`` finds the one of the current app."""
    secrets = Secrets()
    apps = []
    for number in range(3):
        app = Flask(f"tested_{number}")
        app.config.update(
            SMCLIENT_BACKEND="embedded://", SMCLIENT_LAZY=True, SMCLIENT_TTL=10 + number
        )
        app.config["VALUE"] = "secret://name"
        secrets.init_app(app)
        app.extensions["smclient"].call("CreateSecret", Name="name", SecretString=f"of {number}")
        apps.append(app)
    assert [app.config["VALUE"] for app in apps] == ["of 0", "of 1", "of 2"]
    for number, app in enumerate(apps):
        with app.app_context():
            assert secrets.get("secret://name") == f"of {number}"
            assert secrets.client.config.ttl == 10 + number
            assert secrets.client is app.extensions["smclient"]
        app.extensions["smclient"].close()
    with pytest.raises(RuntimeError, match="application context"):
        secrets.client  # noqa: B018


def test_a_given_client_is_used_and_left_open(client: SecretsClient, backend: FakeBackend) -> None:
    """By all apps, with its cache."""
    secrets = Secrets(client=client)
    for name in ("one", "two"):
        app = Flask(name)
        app.config["KEY"] = "secret://prod/web#key"
        secrets.init_app(app)
        assert app.config["KEY"] == CANARY
        assert app.extensions["smclient"] is client
    assert len(backend.calls) == 1
    assert not backend.closed


def test_secrets_get_takes_any_reference(make_app: Callable[..., Flask]) -> None:
    """Also an ARN, since a secret is asked for here."""
    app = make_app()
    secrets = Secrets()
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/web-AbCdEf:port::"
    with app.app_context():
        assert secrets.get("secret://prod/web#key") == CANARY
        assert secrets.get(arn) == 8080


# --- values that change ---------------------------------------------------------------------------


def test_config_follows_its_secret(
    backend: FakeBackend, clock: FakeClock, make_app: Callable[..., Flask]
) -> None:
    """Served until the ttl is over, then the new one, in the running app."""
    app = make_app(KEY="secret://prod/web#key", URL=f"x://{DYNAMIC % ('prod/web', 'key')}/")
    backend.put("prod/web", {"key": "rotated"})
    clock.advance(59)
    assert app.config["KEY"] == CANARY
    clock.advance(2)
    assert app.config["KEY"] == CANARY  # stale: served once more while the new one is fetched
    assert app.config["KEY"] == "rotated"
    assert app.config["URL"] == "x://rotated/"


def test_an_outage_does_not_reach_the_app(
    backend: FakeBackend, clock: FakeClock, make_app: Callable[..., Flask]
) -> None:
    """Values go on being served while Secrets Manager is away, for as long as is allowed."""
    app = make_app(KEY="secret://prod/web#key")
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    clock.advance(1000)
    assert [app.config["KEY"] for _ in range(3)] == [CANARY] * 3
    clock.advance(3600)
    with pytest.raises(SecretConfigError, match="no answer"):
        app.config["KEY"]


# --- nothing is shown -----------------------------------------------------------------------------


def test_neither_dict_nor_repr_shows_a_value(make_app: Callable[..., Flask]) -> None:
    """What the config holds are the references."""
    app = make_app(
        SECRET_KEY="secret://prod/web#key",
        URL=f"postgresql://{DYNAMIC % ('prod/web', 'user')}:{DYNAMIC % ('prod/web', 'key')}@db",
        TEXT="secret://prod/text",
    )
    shown = [dict(app.config), list(app.config.items()), list(app.config.values()), app.config]
    shown += [app.config.copy(), app.extensions, vars(app.config), app.__dict__]
    shown += [app.config["SECRET_KEY"], app.config["URL"], app.config["TEXT"]]
    assert "secret://prod/web#key" in repr(shown)
    assert "canary" not in repr(shown)
    assert app.config["URL"] == f"postgresql://us-canary-er:{CANARY}@db"
    with pytest.raises(TypeError, match="pickling"):
        pickle.dumps(app.config["SECRET_KEY"])


@pytest.fixture
def failing_app(make_app: Callable[..., Flask]) -> Flask:
    """Two pages that fail: by an error of ours, and by one that prints what it has at hand."""
    app = make_app(SMCLIENT_LAZY=True, KEY="secret://prod/web#key", BAD="secret://prod/web#nokey")

    @app.get("/ours")
    def ours() -> str:
        return str(current_app.config["KEY"] + current_app.config["BAD"])

    @app.get("/theirs")
    def theirs() -> str:
        config = current_app.config
        raise RuntimeError(f"with {config!r} and {[config['KEY']]} and {dict(config)}")

    return app


FAILING = [("/ours", "SecretConfigError"), ("/theirs", "RuntimeError")]


@pytest.mark.parametrize(("path", "error"), FAILING)
def test_the_debug_page_of_an_error_shows_no_value(
    failing_app: Flask, path: str, error: str
) -> None:
    """The page is full of source and messages, and has the references only."""
    failing_app.debug = True
    answer = Client(DebuggedApplication(failing_app, evalex=True)).get(path)
    assert answer.status_code == 500
    assert error in answer.text
    assert "secret://prod/web#" in answer.text
    assert "canary" not in answer.text


@pytest.mark.parametrize(("path", "error"), FAILING)
def test_neither_log_nor_page_of_an_error_in_production_shows_a_value(
    failing_app: Flask, caplog: pytest.LogCaptureFixture, path: str, error: str
) -> None:
    """Flask logs the traceback; ours names setting and reference."""
    caplog.set_level(logging.DEBUG)
    answer = failing_app.test_client().get(path)
    assert answer.status_code == 500
    assert error in caplog.text
    assert "secret://prod/web#nokey" in caplog.text
    assert "canary" not in caplog.text + answer.text
