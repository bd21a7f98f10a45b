"""How a service gets its functions and lets them in: the part of ``EmbeddedService`` about them."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smclient.backend import missing_extra
from smclient.clock import Clock
from smclient.errors import ConfigError, FunctionFailedError, ResourceNotFoundError
from smclient.secret import AWSCURRENT
from smclient_embedded.context import Principal
from smclient_embedded.door import Door
from smclient_embedded.errors import ServiceError
from smclient_embedded.functions import (
    DEFAULT_HANDLER,
    DEFAULT_MEMORY,
    DEFAULT_TIMEOUT,
    ChildFunction,
    Functions,
    Handler,
    Invocation,
    function_arn,
)
from smclient_embedded.functions.definition import checked
from smclient_embedded.functions.kept import KeptFunctions
from smclient_embedded.functions.masters import master_named_in
from smclient_embedded.functions.session import Session
from smclient_embedded.kms import Kms, open_version
from smclient_embedded.store import Keyring, Scope, Store, Transaction

if TYPE_CHECKING:
    from smclient_embedded.http.loopback import Loopback

SESSION_SECONDS = 3600.0 - 60.0
"""How long the keys of a function's process are good for. A process whose keys would end within
its time limit is not used again."""


class FunctionHost:
    """Needs an open store and a door."""

    account: str
    region: str
    _door: Door
    _store: Store
    _functions: Functions

    if TYPE_CHECKING:

        def principal(self, principal: Principal | str | None = None) -> Principal:
            """See ``EmbeddedService.principal``."""
            ...

    def register_function(
        self,
        name: str,
        handler: Handler | str | None = None,
        role: str | None = None,
        *,
        file: str | Path | None = None,
        package: bytes | None = None,
        python: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        role_policy: str | Mapping[str, Any] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        memory_mb: int = DEFAULT_MEMORY,
    ) -> str:
        """Make a function that rotations and events can call, and return its ARN.

        With a callable as ``handler`` it runs in this process: ``handler(event, context)``, where
        ``context.secrets`` is a ``Backend`` that acts as ``role`` (a principal's ARN; the
        administrator unless given).

        With ``file`` it is code as AWS Lambda takes it, run in a process of its own. It is kept in
        the store, where that keeps functions, and found there again after a restart.

        Args:
            handler: for such code ``module.function``; ``lambda_function.lambda_handler`` unless
                given.
            role: for such code a role that exists; unless given it has one of its own, which may
                rotate the secrets that name this function, or do what ``role_policy`` says.
            file: a Python file, a folder, or a zip.
            package: a zip, in place of ``file``.
            python: the interpreter whose packages the code imports; this one's unless given.
            environment: variables of its own.
            timeout, memory_mb: its limits, in seconds and megabytes.

        Raises:
            ConfigError: what is given cannot be run; the message says what.
        """
        arn = function_arn(self.account, self.region, name)
        if file is None and package is None:
            if handler is None or isinstance(handler, str):
                raise ConfigError(
                    f"function {name!r}: a {type(handler).__name__} cannot be called; give a "
                    "callable, or code as file="
                )
            acting = self.principal(role)
            self._functions.register(arn, name, handler, role or acting.arn)
            return arn
        if handler is not None and not isinstance(handler, str):
            raise ConfigError(f"function {name!r}: the handler of a file is named, as text")
        from smclient_embedded.functions import package as packages

        code = (
            packages.package_of(Path(file or "")) if package is None else packages.checked(package)
        )
        function = ChildFunction(
            arn=arn,
            name=name,
            package=code,
            handler=handler or DEFAULT_HANDLER,
            python=str(python or sys.executable),
            environment=dict(environment or {}),
            role=None if role is None else self.principal(role).arn,
            role_policy=_policy_text(name, role_policy),
            timeout_seconds=timeout,
            memory_mb=memory_mb,
        )
        self._functions.put(checked(function))
        return arn

    def functions(self) -> list[dict[str, Any]]:
        """What may be shown of every function: no code, no values of variables."""
        return self._functions.about()

    def remove_function(self, name: str) -> None:
        """Forget a function, its code and its log. Raises ``ResourceNotFoundError``."""
        if not self._functions.remove(self._arn_of(name)):
            raise _no_function(name)

    def invoke_function(self, name: str, event: Mapping[str, Any]) -> Invocation:
        """Run a function with code of its own once, with an event, and wait for it.

        Raises:
            FunctionFailedError: why it failed; ``function_log`` has what it said.
        """
        return self._functions.run(self._arn_of(name), event)

    def function_log(self, name: str) -> str:
        """What a function with code of its own wrote of late."""
        arn = self._arn_of(name)
        if not self._functions.knows(arn):
            raise _no_function(name)
        return self._functions.log(arn)

    @property
    def keeps_functions(self) -> bool:
        """Whether the store keeps functions. The encrypted file does not."""
        return self._functions.kept is not None

    # --- inside -----------------------------------------------------------------------------------

    def _arn_of(self, name: str) -> str:
        return name if name.startswith("arn:") else function_arn(self.account, self.region, name)

    def _open_functions(self, clock: Clock, new_id: Callable[[], str]) -> Functions:
        kept = None
        if self._store.keyring() is None:
            kept = KeptFunctions(self._store, self._quiet_keys, new_id)
        return Functions(_Reception(self), kept, clock=clock, new_id=new_id)

    def _quiet_keys(self, scope: Scope, tx: Transaction) -> Keyring:
        """The keys of a scope, for what is no call of Secrets Manager to KMS: counted nowhere."""
        own = self._store.keyring()
        if own is not None:
            return own
        door = self._door
        return Kms(door.master.within(tx.setting), tx, scope, door.now(), door.ids.uuid)


@dataclass
class _Reception:
    """Lets the processes of functions in, at an endpoint of their own."""

    host: FunctionHost
    _loopback: Loopback | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, function: ChildFunction) -> Session:
        """See ``Reception.open``."""
        loopback = self._endpoint()
        key = loopback.admit(self._principal(function, ()), SESSION_SECONDS)
        return Session(
            endpoint=loopback.endpoint(),
            access_key_id=key.access_key_id,
            secret_key=key.secret,
            session_token=key.session_token or "",
            ends_at=time.monotonic() + SESSION_SECONDS,
        )

    def expect(self, session: Session, function: ChildFunction, event: Mapping[str, Any]) -> None:
        """See ``Reception.expect``."""
        loopback = self._endpoint()
        key = loopback.found(session.access_key_id)
        if key is None:
            raise FunctionFailedError(
                "Runtime.KeysUnknown: the keys of its process are none that were handed out here",
                kind="Runtime.KeysUnknown",
            )
        principal = self._principal(function, self._masters(function, event))
        loopback.put(replace(key, principal=principal))

    def end(self, session: Session) -> None:
        """See ``Reception.end``."""
        if self._loopback is not None:
            self._loopback.dismiss(session.access_key_id)

    def close(self) -> None:
        """See ``Reception.close``."""
        if self._loopback is not None:
            self._loopback.close()

    def _endpoint(self) -> Loopback:
        try:
            from smclient_embedded.http.loopback import Loopback
        except ImportError as error:
            raise missing_extra("a function in a process of its own", error) from error
        host = self.host
        with self._lock:
            if self._loopback is None:
                self._loopback = Loopback(lambda: host._door, host.account, host.region)
            return self._loopback

    def _principal(self, function: ChildFunction, masters: tuple[str, ...]) -> Principal:
        if function.role is not None:
            return self.host.principal(function.role)
        from smclient_embedded.accounts.function_role import function_principal

        acting = function_principal(function.arn, masters=masters)
        if function.role_policy is None or acting.session is None:
            return acting
        return replace(acting, session=replace(acting.session, grants=(function.role_policy,)))

    def _masters(self, function: ChildFunction, event: Mapping[str, Any]) -> tuple[str, ...]:
        """The secret with the administrator's login that the secret being rotated names, if its
        rotation names this function. Read past the door: nobody asked for it yet."""
        secret_id = event.get("SecretId")
        if not isinstance(secret_id, str):
            return ()
        with self.host._store.transaction(write=False) as tx:
            secret = tx.secret(secret_id)
            if secret is None or secret.rotation is None:
                return ()
            if secret.rotation.function_arn != function.arn:
                return ()
            version = tx.version(secret.arn, tx.labels(secret.arn).get(AWSCURRENT, ""))
            if version is None or version.kind != "string":
                return ()
            try:
                value = open_version(self.host._quiet_keys(secret.scope, tx), version)
            except ServiceError:
                return ()  # the function cannot read it either, and fails for that reason
        master = master_named_in(value.decode(), account=secret.scope.account)
        return () if master is None else (master,)


def _policy_text(name: str, policy: str | Mapping[str, Any] | None) -> str | None:
    if policy is None:
        return None
    from smclient_embedded.policy import PolicyGrammarError, parse

    text = policy if isinstance(policy, str) else json.dumps(policy)
    try:
        parse(text, "identity")
    except PolicyGrammarError as error:
        raise ConfigError(f"function {name!r}: its role policy is none: {error}") from error
    return text


def _no_function(name: str) -> ResourceNotFoundError:
    return ResourceNotFoundError(
        f"there is no function {name!r}; make it with `smclient function add` or "
        "register_function()",
        code="ResourceNotFoundException",
    )
