"""What core knows about database drivers, without importing any: their argument names, and which of
their errors mean "bad password".

The error facts were observed on PostgreSQL, PgBouncer, MariaDB, Redis and a MongoDB double: psycopg
gives no SQLSTATE when a login fails, so its text decides, and that text is localised; hence a
verdict has three values.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

from smclient.errors import ConfigError, CredentialFieldError
from smclient.secret import SecretValue


class Verdict(Enum):
    """Whether an error of a driver means that user name or password were wrong."""

    YES = "the login was refused for its credentials"
    MAYBE = "the server refused, and does not say clearly why"
    NO = "something else: network, database, permission"


# --- which errors mean a bad password -------------------------------------------------------------

_PG_YES_TEXT = ("password authentication failed", "sasl authentication failed")
_PG_NO_TEXT = (
    "does not exist",
    "refused",
    "timeout",
    "timed out",
    "could not translate host",
    "failed to resolve",
    "name or service not known",
    "starting up",
    "shutting down",
    "not yet accepting",
    "recovery mode",
    "too many clients",
    "too many connections",
    "remaining connection slots",
    "closed the connection unexpectedly",
    "connection reset",
    "no such file",
)
_SSL = re.compile(r"(?<!\w)ssl(?!\w)")
_QUOTED = re.compile(r'["»«„“”「」][^"»«„“”「」]*["»«„“”「」]')
"""Names of users, databases and hosts, as servers quote them in several languages: they may hold
any word, and say nothing."""
_PG_SERVER_SAID = re.compile(r"(?:^|\s)[^\s:]+:  \S")
"""libpq puts a colon and two spaces after the server's severity, whatever its language calls FATAL;
what it says itself, of the network for example, has none."""
_MYSQL_YES = frozenset({1045})
_MYSQL_MAYBE = frozenset({1698})
_MONGO_YES = frozenset({18, 8000})


def verdict(error: BaseException, *, but: BaseException | None = None) -> Verdict:
    """Classify the error of a failed login by the driver that raised it.

    Looks through what wraps it: SQLAlchemy's ``orig``, Django's and others' causes; ``but`` not
    through an error that was being handled when the login began.
    """
    found = Verdict.NO
    for layer in _layers(error, but):
        family = _FAMILIES.get(module_of(layer))
        if family is not None:
            answer = family(layer)
            if answer is Verdict.YES:
                return answer
            if answer is Verdict.MAYBE:
                found = answer
    return found


def module_of(of: object) -> str:
    """The name of the driver that a function or an error comes from: its top-level package."""
    return (getattr(of, "__module__", None) or "").partition(".")[0]


def _layers(error: BaseException, but: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set() if but is None else {id(but)}
    queue: list[BaseException | None] = [error]
    while queue and len(seen) < 10:
        layer = queue.pop(0)
        if isinstance(layer, BaseException) and id(layer) not in seen:
            seen.add(id(layer))
            yield layer
            queue += [getattr(layer, "orig", None), layer.__cause__, layer.__context__]


def _postgresql(error: BaseException) -> Verdict:
    state = _sqlstate(error)
    text = str(error).lower()
    if state == "28P01":
        return Verdict.YES
    if state == "28000":
        return Verdict.MAYBE
    if any(words in text for words in _PG_YES_TEXT):
        return Verdict.YES
    if state is not None and state != "08P01":
        return Verdict.NO
    told = _QUOTED.sub("", text)
    if _SSL.search(told) or any(words in told for words in _PG_NO_TEXT):
        return Verdict.NO
    return Verdict.MAYBE if state == "08P01" or _PG_SERVER_SAID.search(text) else Verdict.NO


def _sqlstate(error: BaseException) -> str | None:
    for name in ("sqlstate", "pgcode"):
        state = getattr(error, name, None)
        if isinstance(state, str):
            return state
    fields = error.args[0] if error.args else None
    state = fields.get("C") if isinstance(fields, dict) else None  # pg8000
    return state if isinstance(state, str) else None


def _mysql(error: BaseException) -> Verdict:
    code = getattr(error, "errno", None)
    if not isinstance(code, int):
        code = error.args[0] if error.args else None
    if code in _MYSQL_YES:
        return Verdict.YES
    return Verdict.MAYBE if code in _MYSQL_MAYBE else Verdict.NO


def _redis(error: BaseException) -> Verdict:
    return Verdict.YES if type(error).__name__ == "AuthenticationError" else Verdict.NO


def _mongo(error: BaseException) -> Verdict:
    return Verdict.YES if getattr(error, "code", None) in _MONGO_YES else Verdict.NO


_FAMILIES: dict[str, Callable[[BaseException], Verdict]] = {
    **dict.fromkeys(("psycopg", "psycopg2", "asyncpg", "pg8000"), _postgresql),
    **dict.fromkeys(("pymysql", "MySQLdb", "mysql", "aiomysql"), _mysql),
    "redis": _redis,
    "pymongo": _mongo,
}


def scrub(error: BaseException, *, but: BaseException | None = None) -> None:
    """Cut the ways from a driver's error to the password: psycopg keeps the connection on it, and
    that shows the password in its ``repr``; the frames of drivers hold it in connection strings."""
    layers = list(_layers(error, but))
    of_a_driver = any(module_of(layer) in _FAMILIES for layer in layers)
    for layer in layers:
        if of_a_driver:
            layer.__traceback__ = None
        for name in ("_pgconn", "pgconn"):
            if getattr(layer, name, None) is not None:
                try:
                    setattr(layer, name, None)
                except AttributeError:
                    continue  # a read-only property over the attribute that was just cleared


# --- which arguments a driver takes ---------------------------------------------------------------

_POSTGRESQL = {
    "user": "username",
    "password": "password",
    "host": "host",
    "port": "port",
    "dbname": "dbname",
}
_DATABASE = {**{k: v for k, v in _POSTGRESQL.items() if k != "dbname"}, "database": "dbname"}
_MONGO = {"username": "username", "password": "password", "host": "host", "port": "port"}

_ARGUMENTS: dict[str, Mapping[str, str]] = {
    "psycopg": _POSTGRESQL,
    "psycopg2": _POSTGRESQL,
    "asyncpg": _DATABASE,
    "pg8000": _DATABASE,
    "pymysql": _DATABASE,
    "MySQLdb": _DATABASE,
    "mysql": _DATABASE,
    "aiomysql": {**{k: v for k, v in _DATABASE.items() if k != "database"}, "db": "dbname"},
    "redis": _MONGO,
    "pymongo": _MONGO,
}
_SYNONYMS = {
    "user": "username",
    "username": "username",
    "password": "password",
    "passwd": "password",
    "host": "host",
    "port": "port",
    "dbname": "dbname",
    "database": "dbname",
    "db": "dbname",
}
LOGIN_FIELDS = ("username", "password")
_ADDRESS_FIELDS = ("host", "dbname")
_USER_ARGUMENTS = frozenset({"user", "username"})
"""Given as plain text: drivers show user names in their errors, and asyncpg takes no subclass."""
_LOGIN_ARGUMENTS = _USER_ARGUMENTS | {"password", "passwd"}
_WHOLE_ADDRESS = frozenset({"conninfo", "dsn", "service", "uri", "url"})
"""Arguments that say where the database is, in one."""


def argument_fields(
    factory: Callable[..., Any], fields: Mapping[str, str] | None
) -> Mapping[str, str]:
    """Driver argument to field of the secret, for a connection factory.

    ``fields`` decides where given; else the module the factory comes from; else the names of its
    parameters; else psycopg's names.

    Raises:
        ConfigError: none of the factory's parameters takes a password.
    """
    if fields:
        return fields
    if module_of(factory) in _ARGUMENTS:
        return _ARGUMENTS[module_of(factory)]
    import inspect

    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return _POSTGRESQL
    named = {p.name: _SYNONYMS[p.name] for p in parameters if p.name in _SYNONYMS}
    if "password" in named.values():
        return named
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return {"user": "username", "password": "password", **named} if named else _POSTGRESQL
    raise ConfigError(
        f"{getattr(factory, '__qualname__', factory)} has no parameter for a password; say "
        "which parameter takes what with fields={argument: field of the secret}, or use login()"
    )


def unwrap(
    factory: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """The factory inside ``functools.partial``, and all arguments that its caller has given."""
    while isinstance(factory, functools.partial):
        args = factory.args + args
        kwargs = {**factory.keywords, **kwargs}
        factory = factory.func
    return factory, args, dict(kwargs)


def _as_it_is(password: str) -> str:
    return password


def _to_call(password: str) -> Callable[[], str]:
    return lambda: str(password)


def giver(driver: str) -> Callable[[str], Any]:
    """How a password is handed to a driver of that name: hidden from ``repr``, so that no traceback
    with locals shows it. asyncpg takes no subclass of ``str``, but a function to call."""
    return _to_call if driver == "asyncpg" else _as_it_is


def login_arguments(
    value: SecretValue,
    mapping: Mapping[str, str],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    give: Callable[[str], Any] = _as_it_is,
) -> dict[str, Any]:
    """The keyword arguments for one login: from the secret, under what the caller gave.

    Positional arguments stand for the address (a DSN), and so does one by keyword (``dsn=``,
    ``conninfo=``, ``url=``, ``uri=``, ``service=``): only user and password are added then.
    ``give`` makes of a password what the driver takes: see ``giver``.

    Raises:
        CredentialFieldError: the secret lacks user or password.
    """
    found = value.fields
    addressed = bool(args) or any(kwargs.get(name) is not None for name in _WHOLE_ADDRESS)
    arguments: dict[str, Any] = {}
    for argument, field in mapping.items():
        if field in LOGIN_FIELDS or argument in _LOGIN_ARGUMENTS:
            content = _login_field(value, field)
            plain = argument in _USER_ARGUMENTS or field == "username"
            arguments[argument] = str(content) if plain else give(content)
        elif not addressed and argument not in kwargs and found.get(field) is not None:
            read = _port if argument == "port" else _address
            arguments[argument] = read(value, field)
    return {**arguments, **kwargs}


def refuse_login_arguments(
    secret_id: str, kwargs: Mapping[str, Any], mapping: Mapping[str, str]
) -> None:
    """User and password come from the secret only. Raises ``ConfigError``."""
    mapped = {argument for argument, field in mapping.items() if field in LOGIN_FIELDS}
    clash = sorted((_LOGIN_ARGUMENTS | mapped) & kwargs.keys())
    if clash:
        raise ConfigError(
            f"{' and '.join(clash)} come from secret {secret_id!r}; leave them out of the call"
        )


def login_fields(mapping: Mapping[str, str]) -> tuple[str, ...]:
    """The fields of the secret that make up the credentials, given driver arguments to fields; all
    of them where none has the name of a user or a password."""
    chosen = [f for a, f in mapping.items() if a in _LOGIN_ARGUMENTS or f in LOGIN_FIELDS]
    return tuple(dict.fromkeys(chosen or mapping.values()))


def _login_field(value: SecretValue, field: str) -> str:
    content = value.fields.get(field)
    if not isinstance(content, str) or not content:
        raise CredentialFieldError(
            f"secret {value.name!r}, version {value.version_id}, has no {field!r} to log in with; "
            "store it, or name the right field with fields={argument: field}"
        )
    return content


def _address(value: SecretValue, field: str) -> Any:
    content = value.fields[field]  # plain where it is no secret: drivers show it in their errors
    return str(content) if field in _ADDRESS_FIELDS else content


def _port(value: SecretValue, field: str) -> int:
    try:
        return int(value.fields[field])
    except (TypeError, ValueError):
        raise CredentialFieldError(
            f"secret {value.name!r}: its field 'port' is not a number"
        ) from None
