"""Runs Lambda code in a process of its own: started by ``functions.child`` as a script.

It is run by whichever interpreter the function asked for, so it uses the standard library of
Python 3.8 alone and imports nothing of smclient. Three pipes:

    standard input       JSON lines from the service: first the set-up, then one line for each event
    descriptor argv[1]   JSON lines to the service: {"ready"}, {"started"}, then {"ok"} or {"error"}
    standard output and standard error    the function's log

When standard input ends, the service is gone, or has no more use for this process: the process
group is killed, so that no half-done step goes on by itself.
"""

from __future__ import annotations

import sys

sys.path.pop(0)  # this file's folder: a function's imports must not find it

import importlib
import json
import logging
import os
import queue
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

_LINE = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
_STACK = 256 * 1024


class LambdaContext:
    """What a handler gets as its second argument, with Lambda's names."""

    identity = None
    client_context = None

    def __init__(self, setup: dict[str, Any], invocation: dict[str, Any]) -> None:
        self.function_name = setup["name"]
        self.function_version = "$LATEST"
        self.invoked_function_arn = setup["arn"]
        self.memory_limit_in_mb = str(setup["memory_mb"])
        self.aws_request_id = invocation["request_id"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline = time.monotonic() + invocation["timeout_seconds"]

    def get_remaining_time_in_millis(self) -> int:
        """How long the function may still run."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))

    def log(self, message: object) -> None:
        """Write to the log."""
        sys.stdout.write(str(message))


def _read_orders(orders: queue.Queue[Any], work_folder: str) -> None:
    """Queue each line of standard input; when it ends, end everything."""
    with os.fdopen(os.dup(0), "rb") as lines:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)  # what the function reads from standard input is not for it
        os.close(null)
        orders.put(None)
        for line in lines:
            orders.put(json.loads(line.decode()))
    _end(work_folder)


def _end(work_folder: str) -> NoReturn:
    shutil.rmtree(work_folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)  # not reached


def _limit(setup: dict[str, Any]) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # memory of a function holds secrets
    limit = setup["memory_mb"] * 1024 * 1024
    resource.setrlimit(getattr(resource, setup["memory_limit"]), (limit, limit))


def _log_as_lambda_does() -> None:
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_LINE, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(_name_request)
    logging.getLogger().addHandler(handler)


_request_id = ""


def _name_request(record: logging.LogRecord) -> bool:
    record.aws_request_id = _request_id
    return True


def _load(name: str) -> Any:
    module, dot, attribute = name.rpartition(".")
    if not dot:
        raise LookupError("Runtime.MalformedHandlerName")
    loaded = importlib.import_module(module.replace("/", "."))
    if not callable(getattr(loaded, attribute, None)):
        raise LookupError("Runtime.HandlerNotFound")
    return getattr(loaded, attribute)


def _failure(error: BaseException, kind: str | None = None) -> dict[str, str]:
    """Its class for the service; its words and its trace go to the log only."""
    if isinstance(error, SystemExit):
        kind = "Runtime.ExitError"
    shown = kind or type(error).__name__
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    sys.stderr.write(f"[ERROR] {shown}: {error}\n{trace}")
    failure = {"error": shown}
    if type(error).__module__ == "smclient.errors" and shown == "RotationStepError":
        failure["words"] = str(error)  # they name no value
    return failure


def _handler(setup: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> Any:
    """The function, or None once it was said why there is none."""
    try:
        return _load(setup["handler"])
    except LookupError as error:
        if str(error).startswith("Runtime."):
            kind = str(error)
        else:
            kind = "Runtime.ImportModuleError"
        say(_failure(error, kind))
    except SyntaxError as error:
        say(_failure(error, "Runtime.UserCodeSyntaxError"))
    except MemoryError as error:
        say(_failure(error))
    except BaseException as error:  # noqa: BLE001  users' code may raise whatever it likes
        say(_failure(error, "Runtime.ImportModuleError"))
    return None


def _call(handler: Any, setup: dict[str, Any], invocation: dict[str, Any]) -> dict[str, str]:
    try:
        result = handler(invocation["event"], LambdaContext(setup, invocation))
    except BaseException as error:  # noqa: BLE001  users' code may raise whatever it likes
        return _failure(error)
    try:
        return {"ok": json.dumps(result)}
    except (TypeError, ValueError, RecursionError) as error:
        return _failure(error, "Runtime.MarshalError")


def main() -> None:
    """Set up, then answer events until nobody asks any more."""
    global _request_id
    results = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    os.set_inheritable(results.fileno(), False)

    def say(message: dict[str, Any]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        results.write(json.dumps(message) + "\n")
        results.flush()

    orders: queue.Queue[Any] = queue.Queue()
    threading.stack_size(_STACK)
    work_folder = os.path.dirname(os.getcwd())
    threading.Thread(target=_read_orders, args=(orders, work_folder), daemon=True).start()
    threading.stack_size(0)
    orders.get()
    setup = orders.get()
    _limit(setup)
    sys.path.insert(0, os.getcwd())
    _log_as_lambda_does()
    handler = _handler(setup, say)
    if handler is None:
        _end(work_folder)
    say({"ready": True})
    while True:
        try:
            invocation = orders.get(timeout=setup["idle_seconds"])
        except queue.Empty:
            _end(work_folder)
        _request_id = invocation["request_id"]
        say({"started": _request_id})
        say(_call(handler, setup, invocation))


if __name__ == "__main__":
    main()
