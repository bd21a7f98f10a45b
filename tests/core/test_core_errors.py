"""The error tree, the public names, and what importing costs."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys

import botocore.session
import pytest

import smclient
from smclient import errors
from smclient.errors import BackendError, SmclientError, explain, from_code

PUBLIC = {
    name: cls
    for name, cls in vars(errors).items()
    if inspect.isclass(cls) and issubclass(cls, SmclientError)
}


def drawn_tree() -> dict[str, str | None]:
    """Class name to the name of its base, as the docstring of ``errors`` draws it."""
    parents: dict[str, str | None] = {}
    path: list[tuple[int, str]] = []
    tree = (errors.__doc__ or "").split("Messages say")[0]
    for line in tree.splitlines():
        match = re.match(r"^[\s│├└─(]*(?=[A-Z])", line)
        if not match or "Every error" in line or "(BackendError itself" in line:
            continue
        depth, rest = match.end(), line[match.end() :]
        names = re.match(r"(?:\w+Error(?:,\s*)?)+", rest)
        assert names, line
        while path and path[-1][0] >= depth:
            path.pop()
        for name in re.findall(r"\w+", names[0]):
            parents[name] = path[-1][1] if path else None
        path.append((depth, re.findall(r"\w+", names[0])[-1]))
    return parents


def test_the_tree_drawn_in_the_docstring_is_the_tree_there_is() -> None:
    """Every class, under its base, and no other."""
    real = {
        name: next((b.__name__ for b in cls.__bases__ if issubclass(b, SmclientError)), None)
        for name, cls in PUBLIC.items()
    }
    assert drawn_tree() == real


@pytest.mark.parametrize("name", PUBLIC)
def test_every_error_says_what_it_means(name: str) -> None:
    """In a docstring of its own, in a sentence."""
    doc = PUBLIC[name].__dict__.get("__doc__")
    assert doc
    assert doc[0].isupper()
    assert doc.strip().split("\n")[0].endswith((".", ";"))


def test_every_modelled_error_of_the_service_has_a_class() -> None:
    """With AWS's code as its own."""
    model = botocore.session.get_session().get_service_model("secretsmanager")
    codes = [shape.name for shape in model.error_shapes]
    assert len(codes) >= 12
    for code in codes:
        error = from_code(code, "told")
        assert type(error) is not BackendError, code
        assert type(error).default_code == code == error.code


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", errors.AccessDeniedError),
        ("ThrottlingException", errors.ThrottlingError),
        ("InternalServiceError", errors.InternalServiceError),
        ("NeverHeardOf", BackendError),
    ],
)
def test_a_code_is_kept_whether_it_has_a_class_or_not(code: str, kind: type[BackendError]) -> None:
    """And so are the attempts that it cost."""
    error = from_code(code, "told", attempts=3)
    assert (type(error), error.code, error.attempts, str(error)) == (kind, code, 3, "told")


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (
            ("Throttling", "TooManyRequestsException", "RequestLimitExceeded"),
            errors.ThrottlingError,
        ),
        (("InternalFailure", "InternalServerError"), errors.InternalServiceError),
        (("ServiceUnavailable", "RequestTimeout"), errors.BackendUnavailableError),
        (("AccessDenied",), errors.AccessDeniedError),
        (("ExpiredTokenException", "InvalidSignatureException"), errors.CredentialsError),
    ],
)
def test_other_names_for_the_same_mean_the_same(
    codes: tuple[str, ...], kind: type[BackendError]
) -> None:
    """Wherever they come from: an answer, an item of a batch, the agent."""
    for code in codes:
        error = from_code(code, "told")
        assert (type(error), error.code) == (kind, code)


def test_an_explained_error_names_the_secret_and_stays_what_it_is() -> None:
    """Class, code, attempts and cause."""
    error = from_code("ThrottlingException", "slow down", attempts=2)
    error.__cause__ = OSError("socket")
    told = explain(error, secret="a", stage="AWSCURRENT")
    assert str(told) == "secret 'a', stage AWSCURRENT: slow down"
    assert (type(told), told.code, told.attempts) == (errors.ThrottlingError, error.code, 2)
    assert told.__cause__ is error.__cause__


def test_an_error_that_names_the_secret_is_left_as_it_is() -> None:
    """A name that merely occurs in a word does not count."""
    error = from_code("ThrottlingException", "secret 'db': slow down")
    assert explain(error, secret="db") is error
    assert "secret 'd'" in str(explain(error, secret="d"))


# --- public names ---------------------------------------------------------------------------------


def test_every_public_name_can_be_imported() -> None:
    """``__all__`` is what there is, and each name comes from the module that is said to hold it."""
    homes = {name for names in smclient._HOMES.values() for name in names}
    assert homes | {"__version__", "parse_reference"} == set(smclient.__all__)
    assert len(smclient.__all__) == len(set(smclient.__all__))
    for name in smclient.__all__:
        assert getattr(smclient, name) is not None
    for module, names in smclient._HOMES.items():
        for name in names:
            home = importlib.import_module(module)
            assert getattr(home, name) is getattr(smclient, name)
    assert dir(smclient) == sorted(smclient.__all__)


def test_the_names_for_type_checkers_are_the_same() -> None:
    """Those under ``TYPE_CHECKING`` are a second list of the same names."""
    source = inspect.getsource(smclient)
    checked = source.split("if TYPE_CHECKING:")[1].split("_HOMES")[0]
    named = set(re.findall(r"^\s{8}(\w+),|import (\w+)$|as (\w+),", checked, re.MULTILINE))
    names = {next(filter(None, found)) for found in named}
    assert names == set(smclient.__all__) - {"__version__"}


def test_every_error_of_the_tree_is_public() -> None:
    """One can be caught without knowing where it lives."""
    assert PUBLIC.keys() <= set(smclient.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match="'smclient' has no attribute 'SecretClient'"):
        smclient.SecretClient  # noqa: B018


# --- what importing loads -------------------------------------------------------------------------

HEAVY = {"boto3", "botocore", "jmespath", "flask", "sqlalchemy", "click", "rich", "cryptography"}


@pytest.mark.parametrize(
    "statement", ["import smclient", "from smclient import SecretsClient, ClientConfig, Usage"]
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    """Neither boto3 nor a framework; Python itself says what it loaded."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement],
        capture_output=True,
        text=True,
        check=True,
        cwd=str(importlib.import_module("pathlib").Path(smclient.__file__).parents[1]),
    )
    loaded = {
        line.rsplit("|", 1)[1].strip().partition(".")[0]
        for line in ran.stderr.splitlines()
        if "|" in line
    }
    assert "smclient" in loaded
    assert not loaded & HEAVY


def test_importing_the_package_loads_no_part_of_it() -> None:
    """Each public name is loaded when it is first used."""
    program = "import sys, smclient; print([m for m in sys.modules if m.startswith('smclient.')])"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=str(importlib.import_module("pathlib").Path(smclient.__file__).parents[1]),
    )
    assert ran.stdout.strip() == "['smclient._version']"
