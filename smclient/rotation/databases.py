"""What rotating a database user needs, whichever database: the login read from a secret, drivers
loaded by name when a step needs them, and errors that say what to do and hold no password."""

from __future__ import annotations

import os
import re
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Protocol

from smclient.backend import missing_extra
from smclient.drivers import Verdict, scrub, verdict
from smclient.errors import RotationStepError
from smclient.secret import RedactedStr, SecretValue

CONNECT_TIMEOUT = 5
_UNFIT = re.compile("[\0\ud800-\udfff]")
# How servers quote a statement in an error: PostgreSQL, MySQL, Redis.
_STATEMENT = re.compile(r"LINE \d+:|\bnear\b|PASSWORD|IDENTIFIED|SETUSER")
SUFFIX = "_clone"
LAMBDA_CA_FILE = "/etc/pki/tls/cert.pem"  # where AWS's own functions look


@dataclass(frozen=True, slots=True)
class Login:
    """Where a version of a secret logs in, and as whom. Its ``repr`` shows no password.

    Attributes:
        label: which credentials these are, for messages: pending, current, previous, master.
        use_tls: True: only with TLS, the certificate verified. False: never. None: TLS where the
            server has it.
    """

    arn: str
    version_id: str
    label: str
    host: str
    port: int
    dbname: str
    username: str
    password: RedactedStr
    use_tls: bool | None


class Session(Protocol):
    """A connection that is logged in."""

    def close(self) -> None:
        """Let go of it."""
        ...


class Engine(ABC):
    """One kind of database: how to log in and how to change a password.

    Methods raise the driver's own errors, which are among ``errors()``; ``doing`` dresses them.
    """

    title: ClassVar[str]
    engines: ClassVar[frozenset[str]]
    port: ClassVar[int]
    dbname: ClassVar[str] = ""
    excluded: ClassVar[str] = "/@\"'\\"

    @abstractmethod
    def errors(self) -> tuple[type[Exception], ...]:
        """What its driver raises. Raises ``MissingExtraError`` where there is no driver."""

    @abstractmethod
    def connect(self, login: Login) -> Any:
        """Log in."""

    @abstractmethod
    def probe(self, session: Any) -> None:
        """Ask something harmless."""

    @abstractmethod
    def set_password(self, session: Any, login: Login) -> None:
        """Give the user who is logged in the password of ``login``."""

    def clone(self, master: Any, current: Any, old: Login, new: Login) -> None:
        """Make ``new`` a user with the password of its secret and the rights of ``old``; as the
        last thing that becomes visible, so that a crash before it is found and made good."""
        raise RotationStepError(f"{self.title}: alternating users are not supported")

    def check_name(self, name: str) -> str | None:
        """Why the database would not take this user name; ``None`` if it would."""
        return None


def load_driver(*names: str) -> tuple[str, Any]:
    """The first of these modules that is installed, with its name.

    Raises:
        MissingExtraError: none is; the message names the extra that brings the first.
    """
    missing: ImportError | None = None
    for name in names:
        try:
            return name, import_module(name)
        except ImportError as error:
            missing = missing or error
    if missing is None:
        raise RotationStepError("no driver was named")
    raise missing_extra(f"rotation with {' or '.join(names)}", missing) from missing


def read_login(engine: Engine, value: SecretValue, label: str) -> Login:
    """The login in a version of a secret, as AWS's templates store it.

    Raises:
        RotationStepError: wrong engine, a field missing, a port that is none.
        NotJsonError: the secret is no JSON object.
    """
    fields = value.fields
    where = f"secret {value.arn}"
    if fields.get("engine", min(engine.engines)) not in engine.engines:
        known = " or ".join(sorted(engine.engines, reverse=True))
        raise RotationStepError(
            f"{where}: its engine is not {known}; another engine needs another rotation function"
        )
    missing = [name for name in ("host", "username", "password") if not fields.get(name)]
    if missing:
        raise RotationStepError(f"{where}: it has no {', '.join(missing)}")
    for name in ("username", "password"):
        if _UNFIT.search(str(fields[name])):
            raise RotationStepError(f"{where}: its {name} has a character that is no text in it")
    port = str(fields.get("port") or engine.port)
    if not (port.isascii() and port.isdecimal()):
        raise RotationStepError(f"{where}: its port is not a number")
    return Login(
        arn=value.arn,
        version_id=value.version_id,
        label=label,
        host=str(fields["host"]),
        port=int(port),
        dbname=str(fields.get("dbname") or engine.dbname),
        username=str(fields["username"]),
        password=RedactedStr(fields["password"]),
        use_tls={"true": True, "false": False}.get(str(fields.get("ssl", "")).lower()),
    )


def log_in(engine: Engine, login: Login) -> Any:
    """A session, or ``None`` if the credentials are refused.

    Raises:
        RotationStepError: it failed for another reason, so that other credentials are no use.
    """
    expected: tuple[type[Exception], ...] = (*engine.errors(), OSError, OverflowError)
    try:
        return engine.connect(login)
    except expected as error:
        _scrub(error)
        if verdict(error) is not Verdict.NO:
            return None
        raise RotationStepError(
            f"secret {login.arn}: cannot reach the database with the {login.label} credentials "
            f"({type(error).__name__}); check host, port, database and network of the secret, and "
            "that the user is neither locked nor barred from the database"
        ) from error


def doing(engine: Engine, login: Login, what: str, work: Callable[[], None]) -> None:
    """Do something with a session.

    Raises:
        RotationStepError: the database refused. Its error is the cause, unless it repeats the
            statement, which may hold a password or its verifier.
    """
    expected: tuple[type[Exception], ...] = (*engine.errors(), OSError)
    try:
        return work()
    except expected as error:
        problem = _refused_statement(error, login, what)
    raise problem  # out here, so that the driver's error is not its context


def _refused_statement(error: Exception, login: Login, what: str) -> RotationStepError:
    _scrub(error)
    text = str(error)
    told = _STATEMENT.search(text) is None and str(login.password) not in text
    see = "see the cause, and" if told else "see"
    problem = RotationStepError(
        f"secret {login.arn}: the database let us in, but could not {what} "
        f"({type(error).__name__}{_code(error)}); {see} what the user is allowed"
    )
    problem.__cause__ = error if told else None
    return problem


def _scrub(error: BaseException) -> None:
    """Cut the ways to a password: the driver's connection, and the frames that held it."""
    scrub(error)
    error.__traceback__ = None


def error_number(error: BaseException) -> int | None:
    """The number of the database's error, where the driver has one; never its text."""
    number = getattr(error, "errno", None) or (error.args[0] if error.args else None)
    return number if isinstance(number, int) else None


def _code(error: BaseException) -> str:
    number = error_number(error)
    return "" if number is None else f" {number}"


def alternate(name: str, suffix: str = SUFFIX) -> str:
    """The other of the two names that alternating users have."""
    return name.removesuffix(suffix) if name.endswith(suffix) else name + suffix


def ca_file() -> str | None:
    """The certificates that a verified connection trusts: ``SSL_CERT_FILE``, else where AWS Lambda
    has them, else the system's own."""
    chosen = os.environ.get("SSL_CERT_FILE")
    if chosen:
        return chosen
    if os.path.exists(LAMBDA_CA_FILE):
        return LAMBDA_CA_FILE
    return ssl.get_default_verify_paths().cafile


def tls_context(*, verified: bool) -> ssl.SSLContext:
    """TLS with the certificate and the host name verified, or encryption alone."""
    context = ssl.create_default_context(cafile=ca_file() if verified else None)
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def close_all(sessions: Sequence[Session | None]) -> None:
    """Close those that were opened."""
    for session in sessions:
        if session is not None:
            session.close()
