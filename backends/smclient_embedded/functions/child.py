"""One process that runs one function: started, asked, and ended together with all it started.

Waiting is done in one place, ``_Talk``, over three pipes with a deadline, without threads. Time
is the machine's: a function's limits are real, whatever clock the service is under.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smclient.errors import FunctionFailedError
from smclient_embedded.functions.definition import ChildFunction
from smclient_embedded.functions.failures import StaleProcessError, failed
from smclient_embedded.functions.log import InvocationLog
from smclient_embedded.functions.package import unpack
from smclient_embedded.functions.session import Session

BOOTSTRAP = Path(__file__).with_name("runtime") / "bootstrap.py"
START_SECONDS = 60.0
"""How long the interpreter and the import of the handler's module may take."""
IDLE_SECONDS = 60.0
MOST_ANSWER = 6 * 2**20
"""Lambda's limit of what a function may return, in bytes."""

_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_MEMORY_LIMIT = "RLIMIT_DATA" if sys.platform == "linux" else "RLIMIT_AS"
_PIECE = 64 * 1024


class Child:
    """A running process. Not safe to use from two threads at once."""

    def __init__(self, function: ChildFunction, session: Session) -> None:
        """Start it. Nothing of the function has run when this returns; see ``start``.

        Raises:
            FunctionFailedError: the interpreter cannot be started.
        """
        self.function = function
        self.session = session
        self.loaded = False
        self.served = 0
        self._folder = Path(tempfile.mkdtemp(prefix="smclient-function-"))
        self._closed = False
        try:
            task = self._folder / "task"
            task.mkdir()
            (self._folder / "tmp").mkdir()
            unpack(function.package, task)
            self._process, self._results = self._spawn(task)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def process_id(self) -> int:
        """The process, which is its group, too."""
        return self._process.pid

    def start(self, log: InvocationLog) -> None:
        """Wait until the handler is loaded.

        Raises:
            FunctionFailedError: it cannot be, or not in time.
        """
        setup = {
            "name": self.function.name,
            "arn": self.function.arn,
            "handler": self.function.handler,
            "memory_mb": self.function.memory_mb,
            "memory_limit": _MEMORY_LIMIT,
            "idle_seconds": IDLE_SECONDS,
        }
        talk = self._talk(log)
        talk.send(setup)
        answer = talk.answer(START_SECONDS, "Runtime.StartError", "its module took longer to load")
        if answer is None:
            raise self._ended()
        if "error" in answer:
            raise failed(answer, self.function.memory_mb)
        self.loaded = True

    def invoke(self, event: Mapping[str, Any], request_id: str, log: InvocationLog) -> str:
        """Run the function with an event and return its result, as JSON.

        Raises:
            FunctionFailedError: it raised, ran too long, needed too much, or ended.
            StaleProcessError: the process, which served before, was gone before it began.
        """
        seconds = self.function.timeout_seconds
        talk = self._talk(log)
        talk.send({"event": event, "request_id": request_id, "timeout_seconds": seconds})
        started = talk.answer(START_SECONDS, "Runtime.StartError", "it took longer to begin")
        if started is None:
            if self.served:
                raise StaleProcessError
            raise self._ended()
        answer = talk.answer(seconds, "Sandbox.Timedout", "it ran longer")
        if answer is None:
            raise self._ended()
        self.served += 1
        if "error" in answer:
            raise failed(answer, self.function.memory_mb)
        return str(answer.get("ok"))

    def close(self) -> None:
        """Kill it with all that it started, and remove its folder. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        os.close(self._results)
        shutil.rmtree(self._folder, ignore_errors=True)

    def forget(self) -> None:
        """In a fork of the process that started it: close this side, leave the rest alone."""
        self._closed = True
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        os.close(self._results)

    # --- inside -----------------------------------------------------------------------------------

    def _spawn(self, task: Path) -> tuple[subprocess.Popen[bytes], int]:
        read_end, write_end = os.pipe()
        try:
            process = subprocess.Popen(  # noqa: S603  no shell, and nothing secret among them
                [self.function.python, str(BOOTSTRAP), str(write_end)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=task,
                env=self._environment(task),
                pass_fds=(write_end,),
                start_new_session=True,
            )
        except OSError as error:
            os.close(read_end)
            raise FunctionFailedError(
                f"Runtime.StartError: the interpreter {self.function.python} cannot be started "
                f"({error.strerror})",
                kind="Runtime.StartError",
            ) from error
        finally:
            os.close(write_end)
        return process, read_end

    def _environment(self, task: Path) -> dict[str, str]:
        """What Lambda sets, the function's own, and none of the service's: keys may be there."""
        function, session = self.function, self.session
        region, temporary = function.arn.split(":")[3], str(self._folder / "tmp")
        inherited = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        return {
            **inherited,
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "HOME": temporary,
            "TMPDIR": temporary,
            **function.environment,
            "AWS_ACCESS_KEY_ID": session.access_key_id,
            "AWS_SECRET_ACCESS_KEY": session.secret_key,
            "AWS_SESSION_TOKEN": session.session_token,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": session.endpoint,
            "SECRETS_MANAGER_ENDPOINT": session.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"[$LATEST]{self._folder.name}",
            "LAMBDA_TASK_ROOT": str(task),
            "LAMBDA_RUNTIME_DIR": str(BOOTSTRAP.parent),
            "_HANDLER": function.handler,
        }

    def _talk(self, log: InvocationLog) -> _Talk:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        stdin, stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        return _Talk(stdin, self._results, stdout, log)

    def _kill(self) -> None:
        """End the process and all of its group, if anything of it is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _ended(self) -> FunctionFailedError:
        """Its answers ended without one: say how the process ended."""
        self._kill()
        status = self._process.wait()
        how = f"with status {status}" if status >= 0 else f"by signal {-status}"
        return FunctionFailedError(
            f"Runtime.ExitError: its process ended ({how})", kind="Runtime.ExitError"
        )


class _Talk:
    """One question and its answers over the pipes of a process."""

    def __init__(self, orders: int, results: int, output: int, log: InvocationLog) -> None:
        self._orders, self._results, self._output = orders, results, output
        self._log = log
        self._pending = b""
        self._answers = bytearray()
        for descriptor in (orders, results, output):
            os.set_blocking(descriptor, False)

    def send(self, message: Mapping[str, Any]) -> None:
        """Have a message written while the answer is waited for."""
        self._pending += json.dumps(message).encode() + b"\n"

    def answer(self, seconds: float, kind: str, late: str) -> dict[str, Any] | None:
        """The next line of the answers; ``None`` when they end. What is written meanwhile goes to
        the log.

        Raises:
            FunctionFailedError: of ``kind`` if it takes longer; or the line is no answer.
        """
        deadline = time.monotonic() + seconds
        output_open = True
        while (line := self._line()) is None:
            if time.monotonic() >= deadline:
                raise FunctionFailedError(f"{kind}: {late} than {seconds:g} seconds", kind=kind)
            with selectors.DefaultSelector() as selector:
                selector.register(self._results, selectors.EVENT_READ)
                if output_open:
                    selector.register(self._output, selectors.EVENT_READ)
                if self._pending:
                    selector.register(self._orders, selectors.EVENT_WRITE)
                ready = selector.select(max(0.0, deadline - time.monotonic()))
            descriptors = {key.fd for key, _ in ready}
            if self._orders in descriptors:
                self._write()
            if self._output in descriptors:
                output_open = self._read_log()
            if self._results in descriptors and not self._read_answers():
                self._drain_log()
                return None
        self._drain_log()
        return _parsed(line)

    def _line(self) -> bytes | None:
        line, found, rest = self._answers.partition(b"\n")
        if not found:
            if len(line) > MOST_ANSWER:
                raise _rubbish(f"its answer is longer than {MOST_ANSWER // 2**20} MB")
            return None
        self._answers = rest
        return bytes(line)

    def _write(self) -> None:
        try:
            written = os.write(self._orders, self._pending[:_PIECE])
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._pending = b""  # it is gone, and its answers will end
            return
        self._pending = self._pending[written:]

    def _read_answers(self) -> bool:
        content = _read(self._results)
        self._answers += content or b""
        return content != b""

    def _read_log(self) -> bool:
        """Whether there may be more."""
        content = _read(self._output)
        if content:
            self._log.write(content)
        return content != b""

    def _drain_log(self) -> None:
        """What was written before the answer is in the pipe already. A pipe holds no more than a
        piece, and what is written after the answer is not waited for."""
        left = _PIECE
        while left > 0 and (content := _read(self._output)):
            self._log.write(content)
            left -= len(content)


def _read(descriptor: int) -> bytes | None:
    """Some bytes; empty at the end, ``None`` if there are none for now."""
    try:
        return os.read(descriptor, _PIECE)
    except BlockingIOError:
        return None


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise _rubbish("something else than answers came through its answers' pipe")
    return answer


def _rubbish(what: str) -> FunctionFailedError:
    return FunctionFailedError(f"Runtime.InvalidResponse: {what}", kind="Runtime.InvalidResponse")
