"""What the real servers of the demo and the tests share: a child process in a temporary folder.

Each listens on 127.0.0.1 only. Where we are root, an unprivileged account runs it. Server and
folder go away with us, even when we are killed. POSIX systems only.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

HOST = "127.0.0.1"
# Below Linux's range for outgoing connections: while the server is down, a client that keeps
# trying a port of that range can connect to itself, and a restart would find the port taken.
PORTS = range(20000, 32768)
ENVIRON = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}  # of every child process
# Reads what to watch, line by line: a process id, or "done". If the lines end before "done" we
# were killed, so it stops the server and removes the folder in our place.
GUARD = """exec >/dev/null 2>&1; while read -r word; do pid=$word; done
[ "$pid" = done ] || { kill -QUIT "$pid" && sleep 1; rm -rf "$1"; }"""


class ServerUnavailableError(RuntimeError):
    """A server is not on this machine, or no account to run it; the message says what to do."""


class ServerStartError(RuntimeError):
    """A server was found but did not come up; the message ends with the last lines of its log."""


class Home:
    """The temporary folder of one server, and the one program that runs in it.

    Args:
        name: what the folder's name begins with.
        accounts: who may run the server when we are root, best first.
    """

    def __init__(self, name: str, accounts: Sequence[str]) -> None:
        self.owner = os.getpid()
        self.account = _server_account(name, accounts)
        parent = Path(tempfile.gettempdir()).resolve()
        if self.account and not all(p.stat().st_mode & 1 for p in (parent, *parent.parents)):
            parent = Path("/tmp")  # noqa: S108  the account cannot reach ours; mkdtemp is safe
        self.folder = Path(tempfile.mkdtemp(prefix=f"smclient-{name}-", dir=parent))
        self.data = self.folder / "data"
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        guard = ["/bin/sh", "-c", GUARD, "smclient-guard", str(self.folder)]
        self._guard = subprocess.Popen(  # noqa: S603
            guard, stdin=subprocess.PIPE, text=True, cwd="/", env=ENVIRON, start_new_session=True
        )

    def make_data(self) -> None:
        """Make the data folder and give it to the account; the folder around it stays ours."""
        self.data.mkdir(mode=0o700)
        if self.account:
            os.chown(self.folder, 0, self.account.pw_gid)  # the account passes through
            self.folder.chmod(0o710)
            self.give(self.data)

    def give(self, path: Path) -> None:
        """Make a file the account's own, where another account runs the server."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def run(self, program: Path, *arguments: str | Path, feed: str | None = None) -> None:
        """Start a program away from our environment and terminal; its output goes to the log.

        ``feed`` is what it reads from standard input: the way for what must not be an argument.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [program, *arguments],
                stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**ENVIRON, "HOME": str(self.folder)},
                user=self.account and self.account.pw_uid,
                group=self.account and self.account.pw_gid,
                extra_groups=self.account and [],
                start_new_session=True,
            )
        self._tell_guard(self._process.pid)
        if feed is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it ended early: its exit code tells
                self._process.stdin.write(feed.encode())
                self._process.stdin.close()

    def exit_code(self, seconds: float) -> int | None:
        """How the program ended, if it does so in that time; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds) if self._process else 0
        return None

    def end(self, first: signal.Signals, *, then: signal.Signals = signal.SIGQUIT) -> None:
        """Stop the program: with the signal given, else ever more rudely."""
        for number, patience in ((first, 10), (then, 6), (signal.SIGKILL, 5)):
            if self._process is not None:
                self._process.send_signal(number)
                if self.exit_code(patience) is not None:
                    self._process = None
        self._tell_guard(None)

    def _tell_guard(self, pid: int | None) -> None:
        with contextlib.suppress(OSError):  # a guard that is gone is no reason to fail
            print(pid or "", file=self._guard.stdin, flush=True)

    def log_tail(self) -> str:
        """The last lines of the log, ready to end an error message."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "; its log ends with:\n" + "\n".join(lines[-20:])

    def remove(self) -> None:
        """Remove the folder and let the guard go."""
        for _ in range(20):  # after SIGKILL the server's own children may write a moment longer
            shutil.rmtree(self.folder, ignore_errors=True)
        self._guard.communicate("done\n")


def launch_on_free_port(launch: Callable[[int], None]) -> None:
    """Call ``launch`` with one free port after the other until it does not lose the port.

    Raises:
        ServerStartError: it failed on a port that nobody took, or no port was free.
    """
    for port in free_ports():
        try:
            return launch(port)
        except ServerStartError:
            if is_free(port):  # else another program was quicker to bind it: try the next
                raise
    raise ServerStartError(f"no free port on {HOST} in {PORTS}")


def free_ports() -> Iterator[int]:
    """Some ports that nothing listens on now."""
    return filter(is_free, secrets.SystemRandom().sample(PORTS, 20))


def is_free(port: int) -> bool:
    """Whether nothing listens on the port."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind((HOST, port))
        return True
    return False


def _server_account(name: str, accounts: Sequence[str]) -> pwd.struct_passwd | None:
    """Who the server must run as: None is ourselves."""
    if os.geteuid() != 0:
        return None
    for account in accounts:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(account)
    raise ServerUnavailableError(f"{name} is not run as root: add an account `{accounts[0]}`")
