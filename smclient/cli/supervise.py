"""A child process that is started anew when its environment changes. POSIX signals are forwarded.

``run`` waits in the main thread; another thread waits for the child. A signal that ends things is
passed to the child and no new one is started after it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, NoReturn

FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT")
ENDING = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
FROM_TERMINAL = ("SIGINT", "SIGQUIT", "SIGWINCH")
"""What a terminal sends to the whole foreground group, so that the child has it already."""

NOT_FOUND, NOT_RUNNABLE = 127, 126

Changed = Callable[[], Mapping[str, str] | None]


class Supervisor:
    """Runs one child at a time.

    Args:
        command: program and arguments.
        changed: called every ``interval`` seconds; a new environment where there is one.
        interval: seconds between two looks; ``None`` never looks.
        grace: seconds between SIGTERM and SIGKILL.
        tell: what to do with a line for the user.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        changed: Changed = lambda: None,
        interval: float | None = None,
        grace: float = 10.0,
        tell: Callable[[str], object] = lambda text: None,
    ) -> None:
        self._command = list(command)
        self._changed = changed
        self._interval = interval
        self._grace = grace
        self._tell = tell
        self._child: subprocess.Popen[bytes] | None = None
        self._ending = False

    def run(self, environ: Mapping[str, str]) -> int:
        """Run until the child ends by itself; its exit code, 128 + n if signal n ended it."""
        before = self._listen()
        try:
            while True:
                code, after = self._run_once(environ)
                if after is None or self._ending:
                    return code if code >= 0 else 128 - code
                environ = after
                self._tell("secrets were rotated: starting the command anew")
        finally:
            if self._child is not None and self._child.poll() is None:
                self._child.kill()  # only if something here went wrong
            for number, handler in before.items():
                signal.signal(number, handler)

    # --- inside ---------------------------------------------------------------------------------

    def _run_once(self, environ: Mapping[str, str]) -> tuple[int, Mapping[str, str] | None]:
        child = subprocess.Popen(self._command, env=dict(environ))  # noqa: S603  the user's command
        self._child = child
        ended = threading.Event()

        def wait() -> None:
            child.wait()
            ended.set()

        threading.Thread(target=wait, daemon=True).start()
        if self._ending:
            child.terminate()  # a signal came before there was a child to have it
        after: Mapping[str, str] | None = None
        while after is None and not ended.wait(self._interval):
            after = None if self._ending else self._changed()
        if not ended.is_set():
            child.terminate()
            if not ended.wait(self._grace):
                self._tell(f"the command did not end within {self._grace:g} s: killing it")
                child.kill()
                ended.wait()
        return child.returncode, after

    def _listen(self) -> dict[int, Any]:
        before: dict[int, Any] = {}
        for name in FORWARDED:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, self._forward)
        return before

    def _forward(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        self._ending = self._ending or name in ENDING
        child = self._child
        if child is None or child.poll() is not None:
            return
        if name in FROM_TERMINAL and sys.stdin is not None and sys.stdin.isatty():
            return
        child.send_signal(number)


def replace_process(path: str, command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Become the command: signals, exit code and terminal are its own from then on. Where there is
    no exec, run it and end with its exit code. Raises ``OSError``."""
    if os.name != "posix":
        done = subprocess.run([path, *command[1:]], env=dict(environ))  # noqa: S603  user's command
        sys.exit(done.returncode)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(path, list(command), dict(environ))  # noqa: S606  the user's command
