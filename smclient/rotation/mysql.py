"""MySQL and MariaDB users: ``MySQLSingleUser``, ``MySQLAlternatingUsers``, ``MariaDBSingleUser``,
``MariaDBAlternatingUsers``.

Both servers are told apart by what they say of themselves, not by the name of the class: AWS's
function for MySQL is used with MariaDB too. An account is a name and a host; whichever of them the
login matched is the one that is changed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
from typing import Any, ClassVar

from smclient.errors import ConfigError
from smclient.rotation.databases import (
    CONNECT_TIMEOUT,
    Engine,
    Login,
    ca_file,
    error_number,
    load_driver,
    tls_context,
)
from smclient.rotation.mysql_grants import account, grants_for, literal, requirements
from smclient.rotation.users import AlternatingUsers, SingleUser

logger = logging.getLogger("smclient.rotation")

DRIVERS = ("pymysql", "MySQLdb", "mysql.connector")
LIMIT_VARIABLE = "USERNAME_CHARACTER_LIMIT"
_NO_TLS_HERE = 2026
_USER_EXISTS = 1396
# A digest that the user's plugin or the server's rules have no use for. 1290 is many things (a
# server that is read-only, for one): only its text tells.
_WANTS_CLEAR = frozenset({1372, 1819, 1827})
_OPTION_PREVENTS = 1290
_STRICT = "strict-password-validation"


class MySQLSession:
    """Runs statements. Text in them is quoted here, in a mode where a backslash is a backslash, so
    that all drivers and servers do the same and none looks for placeholders in a password."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.run("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'")
        self._version = str(self.run("SELECT VERSION()")[0][0])

    @property
    def is_mariadb(self) -> bool:
        """Whether the server says that it is MariaDB."""
        return "mariadb" in self._version.lower()

    @property
    def version(self) -> tuple[int, ...]:
        """The numbers of the server's version."""
        return tuple(int(number) for number in re.findall(r"\d+", self._version)[:3])

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement and give its rows, if it has any."""
        cursor = self._connection.cursor()
        try:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            cursor.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class MySQLEngine(Engine):
    """MySQL, RDS and Aurora MySQL. Drivers: PyMySQL, mysqlclient, mysql-connector."""

    title: ClassVar[str] = "MySQL"
    engines: ClassVar[frozenset[str]] = frozenset({"mysql", "aurora-mysql"})
    port: ClassVar[int] = 3306
    name_limit: ClassVar[int] = 32  # 16 before 5.7.8: set USERNAME_CHARACTER_LIMIT there

    def errors(self) -> tuple[type[Exception], ...]:
        """See ``Engine``."""
        return (load_driver(*DRIVERS)[1].Error,)

    def connect(self, login: Login) -> MySQLSession:
        """See ``Engine``. Without ``ssl`` in the secret: TLS where the server has it."""
        name, driver = load_driver(*DRIVERS)
        arguments: dict[str, Any] = {
            "host": login.host,
            "port": login.port,
            "user": login.username,
            # PyMySQL takes text for Latin-1; the others for UTF-8, which is what the server hashes.
            "password": login.password.encode() if name == "pymysql" else str(login.password),
            "charset": "utf8mb4",
            "autocommit": True,
        }
        arguments["connection_timeout" if name == "mysql.connector" else "connect_timeout"] = (
            CONNECT_TIMEOUT
        )
        if login.dbname:
            arguments["database"] = login.dbname
        if login.use_tls is not None:
            return MySQLSession(driver.connect(**arguments, **_tls(name, login.use_tls)))
        try:
            connection = driver.connect(**arguments, **_tls(name, None))
        except driver.Error as error:
            if error_number(error) != _NO_TLS_HERE:
                raise
            connection = driver.connect(**arguments, **_tls(name, False))
        return MySQLSession(connection)

    def probe(self, session: MySQLSession) -> None:
        """See ``Engine``."""
        session.run("SELECT NOW()")

    def set_password(self, session: MySQLSession, login: Login) -> None:
        """See ``Engine``."""
        self._set_password(session, "SET PASSWORD =", login.password)

    def check_name(self, name: str) -> str | None:
        """The limit of the server's version, or of ``USERNAME_CHARACTER_LIMIT``."""
        text = os.environ.get(LIMIT_VARIABLE, str(self.name_limit))
        if not (text.isascii() and text.isdecimal()):
            raise ConfigError(f"{LIMIT_VARIABLE} is {text!r}; it must be a number")
        return f"it is longer than {text} characters" if len(name) > int(text) else None

    def clone(self, master: MySQLSession, current: MySQLSession, old: Login, new: Login) -> None:
        """The user is made with a password nobody knows, then given the rights, then its own
        password: whoever can log in with that has everything. Repeated at each rotation, as AWS's
        function does, so rights granted to one are the other's after its next turn."""
        host = str(current.run("SELECT CURRENT_USER()")[0][0]).rpartition("@")[2]
        user = account(new.username, host)
        self._create_user(master, user)
        shown = [str(row[0]) for row in current.run("SHOW GRANTS FOR CURRENT_USER()")]
        for statement in grants_for(shown, old.username, host, new.username):
            master.run(statement)
        if not master.is_mariadb and master.version >= (5, 7):
            self._copy_requirements(master, current, old, host, user)
        self._set_password(master, f"SET PASSWORD FOR {user} =", new.password)

    def _create_user(self, master: MySQLSession, user: str) -> None:
        nobody = secrets.token_urlsafe(24) + "aA1!"
        ways = [f"BY {literal(nobody)}"]
        if master.is_mariadb:
            ways.insert(0, f"BY PASSWORD {literal(_digest(nobody))}")
        try:
            self._first_that_works(master, [f"CREATE USER {user} IDENTIFIED {way}" for way in ways])
        except self.errors() as error:
            if error_number(error) != _USER_EXISTS:
                raise

    def _set_password(self, session: MySQLSession, statement: str, password: str) -> None:
        """MySQL blanks passwords in its logs. MariaDB does not, so it is sent the digest, and the
        password itself only where it says that the user's plugin or its rules want that."""
        clear = literal(str(password))
        if session.is_mariadb:
            ways = [literal(_digest(password)), f"PASSWORD({clear})"]
        else:
            ways = [f"PASSWORD({clear})" if session.version < (5, 7, 6) else clear]
        self._first_that_works(session, [f"{statement} {way}" for way in ways])

    def _first_that_works(self, session: MySQLSession, statements: list[str]) -> None:
        for statement in statements[:-1]:
            try:
                session.run(statement)
            except self.errors() as error:
                if not _wants_clear(error):
                    raise
                logger.info("the server wants the password itself (%s)", error_number(error))
            else:
                return
        session.run(statements[-1])

    def _copy_requirements(
        self, master: MySQLSession, current: MySQLSession, old: Login, host: str, user: str
    ) -> None:
        """MySQL 5.7 and later show what a login requires, and default roles, elsewhere."""
        shown = current.run("SHOW CREATE USER CURRENT_USER()")
        needed = requirements(str(shown[0][0])) if shown else None
        if needed:
            master.run(f"ALTER USER {user} {needed}")
        if master.version >= (8,):
            roles = master.run(
                "SELECT DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles "  # noqa: S608
                f"WHERE USER = {literal(old.username)} AND HOST = {literal(host)}"
            )
            if roles:
                names = ", ".join(account(str(role), str(at)) for role, at in roles)
                master.run(f"SET DEFAULT ROLE {names} TO {user}")


class MariaDBEngine(MySQLEngine):
    """MariaDB and RDS for MariaDB."""

    title: ClassVar[str] = "MariaDB"
    engines: ClassVar[frozenset[str]] = frozenset({"mariadb"})
    name_limit: ClassVar[int] = 80


class MySQLSingleUser(SingleUser):
    """Rotates the password of one MySQL user. See ``SingleUser``."""

    engine = MySQLEngine


class MySQLAlternatingUsers(AlternatingUsers):
    """Rotates between two MySQL users. See ``AlternatingUsers``."""

    engine = MySQLEngine


class MariaDBSingleUser(SingleUser):
    """Rotates the password of one MariaDB user. See ``SingleUser``."""

    engine = MariaDBEngine


class MariaDBAlternatingUsers(AlternatingUsers):
    """Rotates between two MariaDB users. See ``AlternatingUsers``."""

    engine = MariaDBEngine


def _digest(password: str) -> str:
    """What PASSWORD() makes of it."""
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()


def _wants_clear(error: BaseException) -> bool:
    """Whether a digest was refused because the server wants the password itself."""
    number = error_number(error)
    return number in _WANTS_CLEAR or (number == _OPTION_PREVENTS and _STRICT in str(error))


def _tls(driver: str, use: bool | None) -> dict[str, Any]:
    """The driver's arguments for verified TLS, any TLS (``None``), no TLS."""
    if driver == "pymysql":
        return {"ssl_disabled": True} if use is False else {"ssl": tls_context(verified=bool(use))}
    if driver == "mysql.connector":
        if use is False:
            return {"ssl_disabled": True}
        checks = {"ssl_ca": ca_file(), "ssl_verify_cert": True, "ssl_verify_identity": True}
        return checks if use else {}
    if use is False:
        return {"ssl_mode": "DISABLED"}
    return {"ssl": {"ca": ca_file()}, "ssl_mode": "VERIFY_IDENTITY"} if use else {}
