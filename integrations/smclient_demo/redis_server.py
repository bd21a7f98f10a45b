"""A real Redis (or Valkey) for the tests: our child process, in a temporary folder.

It listens on 127.0.0.1 only, knows one user at first (the administrator; the default user is off)
and keeps users in an ACL file, so that they outlive a restart once ``ACL SAVE`` was said. No
password is ever written: the file holds digests.
"""

import atexit
import hashlib
import os
import secrets
import shutil
import signal
import time
from pathlib import Path
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from smclient_demo.server_home import (
    HOST,
    Home,
    ServerStartError,
    ServerUnavailableError,
    launch_on_free_port,
)

PROGRAMS = ("redis-server", "valkey-server")
ACCOUNTS = ("redis", "nobody")


class RedisServer:
    """One Redis server, from ``start`` to ``stop`` or over a ``with`` block.

    Args:
        startup_timeout: seconds until ``start`` and ``restart`` give up.
    """

    host = HOST
    admin = "admin"

    def __init__(self, *, startup_timeout: float = 30.0) -> None:
        self.admin_password = secrets.token_urlsafe(24)
        self.port = 0  # 0 until started
        self._startup_timeout = startup_timeout
        self._home: Home | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers a login.

        Raises:
            ServerUnavailableError: there is no Redis here.
            ServerStartError: it does not come up.
        """
        if self._home is not None:
            raise RuntimeError("this Redis server is started already")
        _find()
        self._home = home = Home("redis", ACCOUNTS)
        atexit.register(self.stop)
        try:
            self._create_data(home)
            launch_on_free_port(lambda port: self._launch(home, port))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and remove its folder; does nothing when it is not started."""
        if self._home is None or self._home.owner != os.getpid():
            return
        atexit.unregister(self.stop)
        try:
            self._home.end(signal.SIGTERM, then=signal.SIGKILL)
        finally:
            self._home.remove()
            self._home = None

    def kill(self) -> None:
        """End the server at once, as a crash would; ``restart`` brings back the saved users."""
        if self._home is not None:
            self._home.end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the server if it runs, start it again on its port; fails as ``start``."""
        if self._home is None:
            raise RuntimeError("this Redis server is not started")
        self._home.end(signal.SIGTERM, then=signal.SIGKILL)
        self._launch(self._home, self.port)

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

    def _create_data(self, home: Home) -> None:
        home.make_data()
        digest = hashlib.sha256(self.admin_password.encode()).hexdigest()
        users = home.data / "users.acl"
        users.write_text(f"user {self.admin} on #{digest} ~* &* +@all\nuser default off\n")
        users.chmod(0o600)
        home.give(users)

    def _launch(self, home: Home, port: int) -> None:
        self.port = port
        settings = {
            "bind": HOST,
            "port": port,
            "dir": home.data,
            "aclfile": home.data / "users.acl",
            "save": '""',
            "appendonly": "no",
        }
        config = "".join(f"{name} {value}\n" for name, value in settings.items())
        home.run(_find(), "-", feed=config)
        deadline = time.monotonic() + self._startup_timeout
        while home.exit_code(0.02) is None:  # first, because the port may be a stranger's
            try:
                return self.connect().close()
            except redis.RedisError as error:
                if time.monotonic() > deadline:
                    home.end(signal.SIGKILL)
                    raise ServerStartError(f"no login in time{home.log_tail()}") from error
        raise ServerStartError(f"Redis exited{home.log_tail()}")


def _find() -> Path:
    for program in PROGRAMS:
        if found := shutil.which(program):
            return Path(found)
    raise ServerUnavailableError(
        "no Redis server on this machine: `apt-get install redis-server`, or your system's "
        "package of Redis or Valkey"
    )
