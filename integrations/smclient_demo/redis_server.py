"""A real Redis (or Valkey) for the tests: our child process, in a temporary folder.

It listens on 127.0.0.1 only, knows one user at first (the administrator; the default user is off)
and keeps users in an ACL file, so that they outlive a restart once ``ACL SAVE`` was said. No
password is ever written: the file holds digests.
"""

import hashlib
import secrets
import shutil
import signal
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from smclient_demo.child_server import ChildServer
from smclient_demo.server_home import HOST, Home, ServerUnavailableError

PROGRAMS = ("redis-server", "valkey-server")
ACCOUNTS = ("redis", "nobody")


class RedisServer(ChildServer[Home]):
    """One Redis server.

    Args:
        startup_timeout: seconds until ``start`` and ``restart`` give up.
    """

    title = "Redis"
    stopped_by = restarted_by = (signal.SIGTERM, signal.SIGKILL)
    not_up = redis.RedisError
    admin = "admin"

    def __init__(self, *, startup_timeout: float = 30.0) -> None:
        super().__init__(startup_timeout)
        self.admin_password = secrets.token_urlsafe(24)

    def connect(self, user: str | None = None, password: str | None = None) -> "redis.Redis":
        """A client that is logged in, by default as the administrator.

        ``redis.exceptions.AuthenticationError`` if that is refused.
        """
        if user is None:
            user, password = self.admin, password or self.admin_password
        client = redis.Redis(
            host=HOST,
            port=self.port,
            username=user,
            password=password,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),  # else refused logins are repeated for seconds
        )
        try:
            client.ping()
        except redis.RedisError:
            client.close()
            raise
        return client

    def create_user(self, name: str, password: str, *rules: str) -> None:
        """Create a user that may do what the rules say; by default everything."""
        with self.connect() as client:
            digest = hashlib.sha256(password.encode()).hexdigest()
            granted = rules or ("~*", "&*", "+@all")
            client.execute_command("ACL", "SETUSER", name, "reset", "on", f"#{digest}", *granted)

    def admin_secret(self) -> dict[str, Any]:
        """The administrator's secret, as ``masterarn`` names one."""
        return {
            "engine": "redis",
            "host": self.host,
            "port": self.port,
            "username": self.admin,
            "password": self.admin_password,
        }

    def _open_home(self) -> Home:
        _find()
        return Home("redis", ACCOUNTS)

    def _create_data(self, home: Home) -> None:
        home.make_data()
        digest = hashlib.sha256(self.admin_password.encode()).hexdigest()
        users = home.data / "users.acl"
        users.write_text(f"user {self.admin} on #{digest} ~* &* +@all\nuser default off\n")
        users.chmod(0o600)
        home.give(users)

    def _launch(self, home: Home) -> None:
        settings = {
            "bind": HOST,
            "port": self.port,
            "dir": home.data,
            "aclfile": home.data / "users.acl",
            "save": '""',
            "appendonly": "no",
        }
        config = "".join(f"{name} {value}\n" for name, value in settings.items())
        home.run(_find(), "-", feed=config)

    def _answer(self) -> None:
        self.connect().close()


def _find() -> Path:
    for program in PROGRAMS:
        if found := shutil.which(program):
            return Path(found)
    raise ServerUnavailableError(
        "no Redis server on this machine: `apt-get install redis-server`, or your system's "
        "package of Redis or Valkey"
    )
