"""MongoDB and DocumentDB users: ``MongoDBSingleUser`` and ``MongoDBAlternatingUsers``.

A user belongs to the database of the secret's ``dbname`` (``admin`` unless given), which is also
where it logs in. Every change is one command, so none is half done.
"""

from __future__ import annotations

from typing import Any, ClassVar

from smclient.rotation.databases import CONNECT_TIMEOUT, Engine, Login, ca_file, load_driver
from smclient.rotation.users import AlternatingUsers, SingleUser

_NO_SUCH_USER = 11


class MongoSession:
    """A client that is logged in, and the database of its user."""

    def __init__(self, client: Any, dbname: str) -> None:
        self._client = client
        self._database = client[dbname]

    def command(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        """Run a command of the database."""
        return dict(self._database.command(*arguments, **more))

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


class MongoDBEngine(Engine):
    """MongoDB 4 and later, DocumentDB. Driver: PyMongo 4."""

    title: ClassVar[str] = "MongoDB"
    engines: ClassVar[frozenset[str]] = frozenset({"mongo", "mongodb"})
    port: ClassVar[int] = 27017
    dbname: ClassVar[str] = "admin"

    def errors(self) -> tuple[type[Exception], ...]:
        """See ``Engine``."""
        return (load_driver("pymongo.errors")[1].PyMongoError,)

    def connect(self, login: Login) -> MongoSession:
        """See ``Engine``. Without ``ssl`` in the secret: with TLS, else without."""
        if login.use_tls is not None:
            return self._open(login, _verified() if login.use_tls else {"tls": False})
        unreachable = load_driver("pymongo.errors")[1].ServerSelectionTimeoutError
        try:
            return self._open(login, {"tls": True, "tlsAllowInvalidCertificates": True})
        except unreachable:
            return self._open(login, {"tls": False})

    def probe(self, session: MongoSession) -> None:
        """See ``Engine``."""
        session.command("connectionStatus")

    def set_password(self, session: MongoSession, login: Login) -> None:
        """See ``Engine``."""
        session.command("updateUser", login.username, pwd=str(login.password))

    def clone(self, master: MongoSession, current: MongoSession, old: Login, new: Login) -> None:
        """See ``Engine``. Roles are copied at each rotation, with the password, in one command."""
        found = master.command("usersInfo", {"user": old.username, "db": old.dbname})
        roles = found["users"][0]["roles"] if found.get("users") else []
        change = {"pwd": str(new.password), "roles": roles}
        try:
            master.command("updateUser", new.username, **change)
        except load_driver("pymongo.errors")[1].OperationFailure as error:
            if error.code != _NO_SUCH_USER:
                raise
            master.command("createUser", new.username, **change)

    def _open(self, login: Login, tls: dict[str, Any]) -> MongoSession:
        client = load_driver("pymongo")[1].MongoClient(
            host=login.host,
            port=login.port,
            username=login.username,
            password=str(login.password),
            authSource=login.dbname,
            directConnection=True,
            retryWrites=False,
            serverSelectionTimeoutMS=CONNECT_TIMEOUT * 1000,
            connectTimeoutMS=CONNECT_TIMEOUT * 1000,
            **tls,
        )
        session = MongoSession(client, login.dbname)
        try:
            session.command("ping")  # the client logs in with its first command
        except BaseException:
            session.close()
            raise
        return session


class MongoDBSingleUser(SingleUser):
    """Rotates the password of one MongoDB or DocumentDB user. See ``SingleUser``."""

    engine = MongoDBEngine


class MongoDBAlternatingUsers(AlternatingUsers):
    """Rotates between two MongoDB or DocumentDB users. See ``AlternatingUsers``."""

    engine = MongoDBEngine


def _verified() -> dict[str, Any]:
    trusted = ca_file()
    return {"tls": True, **({"tlsCAFile": trusted} if trusted else {})}
