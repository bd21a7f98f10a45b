"""All functions of one service: callables in this process, and code in processes of its own."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from smclient.backend import Backend
from smclient.clock import Clock
from smclient.errors import ConfigError, FunctionFailedError, SmclientError
from smclient_embedded.functions.definition import ChildFunction
from smclient_embedded.functions.failures import StaleProcessError
from smclient_embedded.functions.kept import KeptFunctions, index
from smclient_embedded.functions.log import InvocationLog, appended
from smclient_embedded.functions.pool import Pool
from smclient_embedded.functions.session import Session
from smclient_embedded.store.ports import Transaction

if TYPE_CHECKING:
    from smclient_embedded.functions.child import Child

logger = logging.getLogger("smclient.embedded.functions")

Handler = Callable[[dict[str, Any], Any], object]


@dataclass(frozen=True, slots=True)
class FunctionContext:
    """What a handler gets as ``context``: Lambda's names, and ``secrets``, a ``Backend`` that acts
    under the function's role."""

    function_name: str
    invoked_function_arn: str
    secrets: Backend


@dataclass(frozen=True, slots=True)
class _Callable:
    name: str
    handler: Handler
    role: str


class Reception(Protocol):
    """Lets the processes of functions in, each with keys of its own."""

    def open(self, function: ChildFunction) -> Session:
        """Keys of the function's role, and where they are good."""
        ...

    def expect(self, session: Session, function: ChildFunction, event: Mapping[str, Any]) -> None:
        """These keys are used for this event next: its secret may name others to be read."""
        ...

    def end(self, session: Session) -> None:
        """Its keys are good no longer."""
        ...

    def close(self) -> None:
        """Nobody is let in any more."""
        ...


@dataclass(frozen=True, slots=True)
class Invocation:
    """How an invocation went: ``result`` is JSON, ``log`` what it wrote."""

    result: str
    log: str


@dataclass(slots=True)
class _Running:
    """An invocation under way. ``hide`` is what its log must not show; ``function`` is what runs,
    once that is known."""

    arn: str
    event: Mapping[str, Any]
    request_id: str
    log: InvocationLog = field(default_factory=InvocationLog)
    hide: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    function: ChildFunction | None = None


class Functions:
    """A ``FunctionRunner``. ``kept`` is ``None`` where the store keeps no functions: then those
    with code of their own last as long as this object.

    Safe to use from many threads.
    """

    def __init__(
        self,
        reception: Reception,
        kept: KeptFunctions | None,
        *,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self.kept = kept
        self._reception = reception
        self._clock = clock
        self._new_id = new_id
        self._lock = threading.Lock()
        self._callables: dict[str, _Callable] = {}
        self._own: dict[str, tuple[str, ChildFunction]] = {}
        self._own_logs: dict[str, str] = {}
        self._pool = Pool(reception.open, reception.end)

    # --- putting and looking ----------------------------------------------------------------------

    def register(self, arn: str, name: str, handler: Handler, role: str) -> None:
        """Put a callable under an ARN, in place of an earlier one. Raises ``ConfigError``."""
        if not callable(handler):
            raise ConfigError(f"function {name!r}: a {type(handler).__name__} cannot be called")
        with self._lock:
            self._callables[arn] = _Callable(name, handler, role)

    def put(self, function: ChildFunction) -> None:
        """Keep a function with code of its own, in place of an earlier one."""
        with self._lock:
            self._callables.pop(function.arn, None)
            if self.kept is None:
                self._own[function.arn] = (self._new_id(), function)
        if self.kept is not None:
            self.kept.put(function)

    def remove(self, arn: str) -> bool:
        """Forget a function; whether there was one."""
        with self._lock:
            found = [t.pop(arn, None) for t in (self._callables, self._own, self._own_logs)]
        return (self.kept is not None and self.kept.remove(arn)) or any(found[:2])

    def about(self) -> list[dict[str, Any]]:
        """What may be shown of every function, by ARN."""
        with self._lock:
            shown = {
                arn: {"name": found.name, "arn": arn, "handler": None, "role": found.role}
                for arn, found in self._callables.items()
            }
            shown |= {arn: function.about() for arn, (_, function) in self._own.items()}
        for arn in () if self.kept is None else self.kept.arns():
            found_kept = self.kept.find(arn) if self.kept is not None else None
            if found_kept is not None:
                shown.setdefault(arn, found_kept[1].about())
        return [shown[arn] for arn in sorted(shown)]

    def log(self, arn: str) -> str:
        """What is kept of what a function with code of its own wrote, the oldest first."""
        with self._lock:
            own = self._own_logs.get(arn, "")
        return own if self.kept is None else self.kept.log(arn)

    def knows(self, function_arn: str, tx: Transaction | None = None) -> bool:
        """See ``FunctionRunner.knows``."""
        if function_arn in self._callables or function_arn in self._own:
            return True
        if self.kept is None:
            return False
        return function_arn in index(tx) if tx else self.kept.revision(function_arn) is not None

    # --- running ----------------------------------------------------------------------------------

    def invoke(
        self, function_arn: str, event: Mapping[str, Any], secrets: Callable[[str], Backend]
    ) -> None:
        """See ``FunctionRunner.invoke``."""
        found = self._callables.get(function_arn)
        if found is None:
            self.run(function_arn, event)
            return
        backend = secrets(found.role)
        try:
            found.handler(dict(event), FunctionContext(found.name, function_arn, backend))
        except SystemExit as error:  # it would end the thread that runs all the others
            kind = "Runtime.ExitError"
            raise FunctionFailedError(f"{kind}: it asked the process to end", kind=kind) from error

    def run(self, function_arn: str, event: Mapping[str, Any]) -> Invocation:
        """Run a function with code of its own.

        Raises:
            FunctionFailedError: what ``log`` has of it is kept, too.
        """
        revision = self._revision(function_arn)
        running = _Running(function_arn, event, self._new_id())
        failure: FunctionFailedError | None = None
        try:
            result = self._run(running, revision)
        except FunctionFailedError as error:
            failure = error
            raise
        finally:
            text = self._report(running, failure)
            self._keep_log(function_arn, text)
        return Invocation(result, text)

    def close(self) -> None:
        """End the processes that wait, and let nobody in any more."""
        self._pool.close()
        self._reception.close()

    # --- inside -----------------------------------------------------------------------------------

    def _revision(self, arn: str) -> str:
        """The revision of a function, whose code is not opened for that."""
        own = self._own.get(arn)
        kept = None if self.kept is None else self.kept.revision(arn)
        revision = kept if own is None else own[0]
        if revision is None:
            raise _no_function(arn)
        return revision

    def _find(self, running: _Running) -> tuple[str, ChildFunction]:
        arn = running.arn
        found = self._own.get(arn) or (None if self.kept is None else self.kept.find(arn))
        if found is None:
            raise _no_function(arn)
        running.function = found[1]
        return found

    def _run(self, running: _Running, revision: str) -> str:
        arn, log = running.arn, running.log
        while True:
            try:
                with self._pool.lend(arn, revision, lambda: self._find(running), log) as child:
                    return self._ask(child, running)
            except StaleProcessError:
                continue  # each costs a process that had served; a new one is never stale

    def _ask(self, child: Child, running: _Running) -> str:
        running.function = child.function
        running.hide += [child.session.secret_key, child.session.session_token]
        self._reception.expect(child.session, child.function, running.event)
        return child.invoke(running.event, running.request_id, running.log)

    def _report(self, running: _Running, failure: FunctionFailedError | None) -> str:
        milliseconds = (time.monotonic() - running.began) * 1000
        memory = "" if running.function is None else f"{running.function.memory_mb} MB"
        outcome = "" if failure is None else f"\tStatus: error\tError: {failure}"
        request_id, text = running.request_id, running.log.text(running.hide)
        return (
            f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ} START RequestId: {request_id}\n{text}"
            f"END RequestId: {request_id}\nREPORT RequestId: {request_id}\t"
            f"Duration: {milliseconds:.2f} ms\tMemory Size: {memory}{outcome}\n"
        )

    def _keep_log(self, arn: str, text: str) -> None:
        if self.kept is None:
            with self._lock:
                if arn in self._own:
                    self._own_logs[arn] = appended(self._own_logs.get(arn, ""), text)
            return
        try:
            self.kept.add_to_log(arn, text)
        except SmclientError as error:  # it did its work; only what it said is lost
            logger.error("the log of %s cannot be kept: %s", arn, error)


def _no_function(arn: str) -> FunctionFailedError:
    return FunctionFailedError(f"ResourceNotFound: there is no {arn}", kind="ResourceNotFound")


def decoded(invocation: Invocation) -> Any:
    """The result as a value."""
    return json.loads(invocation.result)
