"""What the real servers of the demo and the tests do alike: start, stop, crash, come back.

A server says how its data are made, how it is launched on a port, and what it takes to be up.
"""

import atexit
import os
import signal
import time
from abc import ABC, abstractmethod
from typing import ClassVar, Generic, Self, TypeVar

from smclient_demo.server_home import HOST, Home, ServerStartError, launch_on_free_port

H = TypeVar("H", bound=Home)

Signals = tuple[signal.Signals, signal.Signals]
"""What ends a server, and what does if that does not."""


class ChildServer(ABC, Generic[H]):
    """One server with its own data, from ``start`` to ``stop`` or over a ``with`` block.

    Server and folder also go away when the interpreter exits or is killed. Start and stop it from
    one thread at a time; any thread may connect.
    """

    host = HOST
    title: ClassVar[str]
    """What error messages call it."""
    stopped_by: ClassVar[Signals]
    restarted_by: ClassVar[Signals]
    killed_by: ClassVar[signal.Signals] = signal.SIGKILL
    start_error: ClassVar[type[ServerStartError]] = ServerStartError
    not_up: ClassVar[type[Exception]]
    """What ``_answer`` raises as long as the server is not up."""

    def __init__(self, startup_timeout: float) -> None:
        self.port = 0  # 0 until started
        self._startup_timeout = startup_timeout
        self._home: H | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Create the data, start the server and wait until it answers.

        Raises:
            ServerUnavailableError: there is none on this machine.
            ServerStartError: it does not come up.
            RuntimeError: it is started already.
        """
        if self._home is not None:
            raise RuntimeError(f"this {self.title} server is started already")
        self._home = home = self._open_home()
        atexit.register(self.stop)
        try:
            self._create_data(home)
            launch_on_free_port(self._launch_on)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and remove its folder; does nothing when it is not started."""
        if self._home is None or self._home.owner != os.getpid():  # a forked child leaves it alone
            return
        atexit.unregister(self.stop)
        try:
            first, then = self.stopped_by
            self._home.end(first, then=then)
        finally:
            self._home.remove()
            self._home = None

    def kill(self) -> None:
        """End the server at once, as a crash would; ``restart`` brings back what it had saved."""
        if self._home is not None:
            self._home.end(self.killed_by)

    def restart(self) -> None:
        """Stop the server if it runs, start it again: same port, same data; fails as ``start``."""
        if self._home is None:
            raise RuntimeError(f"this {self.title} server is not started")
        first, then = self.restarted_by
        self._home.end(first, then=then)
        self._launch_on(self.port)

    @abstractmethod
    def _open_home(self) -> H:
        """The folder of the server. Raises ``ServerUnavailableError``."""

    @abstractmethod
    def _create_data(self, home: H) -> None:
        """Make what the server needs before it is launched for the first time."""

    @abstractmethod
    def _launch(self, home: H) -> None:
        """Run the server on ``port``; not waited for."""

    @abstractmethod
    def _answer(self) -> None:
        """Return if the server is up; else raise ``not_up``."""

    def _launch_on(self, port: int) -> None:
        assert self._home is not None
        home, self.port = self._home, port
        deadline = time.monotonic() + self._startup_timeout
        self._launch(home)
        while home.exit_code(0.02) is None:  # first, because the port may be a stranger's
            try:
                return self._answer()
            except self.not_up as error:
                if time.monotonic() > deadline:
                    home.end(self.killed_by)
                    raise self.start_error(f"no login in time{home.log_tail()}") from error
        raise self.start_error(f"{self.title} exited{home.log_tail()}")
