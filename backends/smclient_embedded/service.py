"""``EmbeddedService``: the whole service in one object, put together here and nowhere else."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any, Literal, Self

from smclient.backend import Backend, BackendUrl
from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.errors import ConfigError
from smclient_embedded.access import Authoriser
from smclient_embedded.accounts.authority import PolicyAuthoriser
from smclient_embedded.accounts.directory import StoredDirectory
from smclient_embedded.alarms import AlarmBoard
from smclient_embedded.audit import AnnouncingStore, AuditTrail, set_timer
from smclient_embedded.backend import EmbeddedBackend
from smclient_embedded.context import Principal, RequestContext
from smclient_embedded.deps import Deps
from smclient_embedded.door import Door
from smclient_embedded.events import EventBus
from smclient_embedded.explaining import Explains
from smclient_embedded.faults import Faults
from smclient_embedded.function_host import FunctionHost
from smclient_embedded.gate import Gate
from smclient_embedded.ids import Ids, SystemIds
from smclient_embedded.keys import Keys
from smclient_embedded.last_accessed import LastAccessed
from smclient_embedded.managed import ManagedSecrets
from smclient_embedded.master import MasterKey, MasterKeys, Passphrase
from smclient_embedded.metrics import Metrics
from smclient_embedded.model import service_model
from smclient_embedded.opening import recognised
from smclient_embedded.principals import Principals
from smclient_embedded.quotas import Quotas, RateLimits
from smclient_embedded.reopening import ReopenedBackend
from smclient_embedded.scheduler import Done, Scheduler
from smclient_embedded.standing import Duty, Standing
from smclient_embedded.store import Scope, Store, Transaction, load_store
from smclient_embedded.upkeep import Upkeep
from smclient_embedded.watching import Watching

DEFAULT_ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"


class EmbeddedService(Principals, Explains, Upkeep, Watching, FunctionHost):
    """AWS Secrets Manager in this process.

    Args:
        store: a URL: ``embedded://`` for a new store in memory, ``embedded:///abs/secrets.db`` for
            an SQLite file; or a ready ``Store``.
        account, region: where the administrator, the zero-configuration caller, is at home.
        master_key: the key over all keys, or a passphrase that it comes from. Else
            ``?master_key_file=``, one of ``SMCLIENT_MASTER_KEY``, ``SMCLIENT_MASTER_PASSPHRASE``,
            ``SMCLIENT_MASTER_KEY_FILE``, a file beside SQLite's (made 0600), or, in memory, one
            that dies with the process.
        access: ``enforce``, or ``audit``: decide and put every denial on record (under
            ``additionalEventData`` of the call's record), but let the call through.
        clock, ids, authoriser: replaceable for tests; the authoriser decides by the policies of the
            store's accounts.
        quotas: how many of a thing there may be; AWS's numbers.
        rate_limits: ``True`` for AWS's request rates, or operations with other rates than those.

    Attributes:
        faults: faults on purpose, see ``smclient_embedded.faults``.
        audit: the trail, see ``smclient_embedded.audit``.
        events: who is told of what, see ``smclient_embedded.events``; ``events.flush()`` waits.
        keys: KMS keys are disabled, enabled and deleted here, see ``smclient_embedded.keys``.
        accounts: principals and their policies, see ``smclient_embedded.accounts``.
        managed: secrets that database services own and rotate, see ``smclient_embedded.managed``.

    Raises:
        ConfigError, StoreError: a bad URL, a store that cannot be opened, a wrong master key.
    """

    def __init__(
        self,
        store: str | Store = "embedded://",
        *,
        account: str | None = None,
        region: str | None = None,
        master_key: MasterKey | Passphrase | None = None,
        clock: Clock = SYSTEM_CLOCK,
        ids: Ids | None = None,
        access: Literal["enforce", "audit"] = "enforce",
        authoriser: Authoriser | None = None,
        quotas: Quotas = Quotas(),  # noqa: B008  it never changes
        rate_limits: bool | Mapping[str, float] = False,
    ) -> None:
        self.url = BackendUrl.parse(store if isinstance(store, str) else "embedded:")
        self.account = account or self.url.options.get("account", DEFAULT_ACCOUNT)
        self.region = region or self.url.options.get("region", DEFAULT_REGION)
        if not re.fullmatch(r"[0-9]{12}", self.account):
            raise ConfigError(f"an account has 12 digits; {self.account!r} is none")
        if access not in ("enforce", "audit"):
            raise ConfigError(f"access is 'enforce' or 'audit', not {access!r}")
        limits = rate_limits if isinstance(rate_limits, Mapping) else None
        rates = None if rate_limits is False else RateLimits(limits)
        self._clock = clock
        self.faults = Faults(clock)
        self._store = load_store(self.url, clock=clock) if isinstance(store, str) else store
        self._closed = False
        try:
            master = recognised(self._store, self.url, master_key)
        except BaseException:
            self._store.close()
            raise
        self.audit = AuditTrail(
            self._store,
            clock.monotonic,
            Scope(self.account, self.region),
            set_timer if clock is SYSTEM_CLOCK else None,
        )
        self.events = EventBus()
        self.audit.listen(self.events.heard)
        self._ids = ids or SystemIds()
        home = Scope(self.account, self.region)
        self.alarms = AlarmBoard(clock.now, home, self.events.publish, self._ids.uuid)
        self.audit.listen(self.alarms.heard)
        self._directory = StoredDirectory(self._store, self._ids.uuid, clock.monotonic)
        self._policies = PolicyAuthoriser(self._directory)
        self._functions = self._open_functions(clock, self._ids.uuid)
        announcing = AnnouncingStore(self._store, self.audit.tell)
        self._door = Door(
            store=announcing,
            master=MasterKeys(master),
            model=service_model(),
            gate=Gate(
                authoriser or self._policies,
                clock.now,
                self._ids.uuid,
                audit_only=access == "audit",
                may_exist=lambda arn, setting: self._directory.current(setting).may_exist(arn),
                stamp=self._policies.stamp if authoriser is None else lambda: None,
            ),
            functions=self._functions,
            audit=self.audit,
            last_accessed=LastAccessed(announcing),
            events=self.events,
            metrics=Metrics(clock.now),
            clock=clock,
            ids=self._ids,
            faults=self.faults,
            quotas=quotas,
            rate_limits=rates,
        )
        self._home = Scope(self.account, self.region)
        self.keys = Keys(self._store, self._deps_for, self._home)
        self._opened = {}
        self.managed = ManagedSecrets(self._store, self._deps_for, self._quiet_keys, self._home)
        self._scheduler = Scheduler(
            self._door,
            self._deps_for,
            self._secrets_for,
            self.managed.rotation(),
            owner=self._ids.uuid(),
        )

    # --- asking ---------------------------------------------------------------------------------

    def call(
        self, operation: str, request: Mapping[str, Any], context: RequestContext | None = None
    ) -> dict[str, Any]:
        """Answer one call; as the administrator, unless a context says who asks.

        Raises:
            ServiceError: with AWS's code and message.
        """
        answer: dict[str, Any] = self._door.call(operation, request, context or self.context())
        return answer

    def context(
        self, principal: Principal | str | None = None, region: str | None = None
    ) -> RequestContext:
        """The context of a new request."""
        return RequestContext(
            self.principal(principal), region or self.region, request_id=self._ids.uuid()
        )

    def backend(
        self, principal: Principal | str | None = None, *, region: str | None = None
    ) -> Backend:
        """The service as a ``Backend`` for ``SecretsClient``. Closing it leaves the service open.

        ``principal`` is a test aid, not a security boundary: whoever runs in this process can be
        anybody.
        """
        return self._backend(self.principal(principal), region or self.region, close=lambda: None)

    def client(
        self,
        service_name: str = "secretsmanager",
        *,
        region_name: str | None = None,
        principal: Principal | str | None = None,
    ) -> Any:
        """A real botocore client, answered by this service without a socket."""
        from smclient_embedded.http.wired import wired_client

        region = region_name or self.region
        return wired_client(service_name, self._answer(principal, region), region=region)

    def patch_boto3(
        self, *, principal: Principal | str | None = None
    ) -> AbstractContextManager[None]:
        """While it is entered, every client for Secrets Manager that is made in this process (by
        ``boto3.client``, a session of any age, botocore) is answered by this service, also inside
        moto's ``mock_aws``; other services are left alone. See ``smclient_embedded.http.patching``.
        """
        from smclient_embedded.http.patching import patched_boto3

        return patched_boto3(functools.partial(self._answer, principal), region=self.region)

    @property
    def door(self) -> Door:
        """The one door, for those who bring calls from outside: HTTP."""
        return self._door

    # --- setting up -----------------------------------------------------------------------------

    def create_key(self, *, alias: str | None = None, region: str | None = None) -> str:
        """Make a customer KMS key and return its ARN.

        Raises:
            ConfigError: the store brings its own keys, the alias is AWS's, or it is in use.
        """
        if alias is not None:
            alias = "alias/" + alias.removeprefix("alias/")
            if alias.startswith("alias/aws/"):
                raise ConfigError(f"{alias} is not yours to give: alias/aws/ is for AWS's own keys")
        scope = Scope(self.account, region or self.region)
        with self._store.transaction(write=True) as tx:
            kms = self._deps_for(scope, tx).kms
            if kms is None:
                raise ConfigError("this store brings its own keys; it takes no KMS key")
            if alias is not None and any(key.alias == alias for key in tx.keys(scope)):
                raise ConfigError(f"{alias} is the alias of another key already")
            return kms.create_key(alias=alias).arn

    # --- running and looking ----------------------------------------------------------------------

    def run_due(self, *, workers: int = 1) -> Done:
        """Run the rotations and deletions (of secrets and of KMS keys) that are due now, and return
        what was done; so many rotations at a time. Writes what audit holds back and lets alarms
        look at the time, too."""
        done = self._scheduler.run_due(workers=workers)
        self._look_at_the_time()
        return done

    def run_in_background(
        self, *, workers: int = 4, seconds: float = 1.0
    ) -> AbstractContextManager[object]:
        """While it is entered, what ``run_due`` does is done every so many seconds by threads: one
        for all that calls no function, and ``workers`` for rotations, each on its own. A step that
        runs longer than 20 minutes is given up: its rotation has failed, and another thread takes
        the place of the one that hangs."""
        duties: dict[str, Duty] = {
            f"smclient-rotation-{number}": self._scheduler.work for number in range(workers)
        }
        return Standing({"smclient-due": lambda on_hang: self._tend(), **duties}, seconds)

    def close(self) -> None:
        """Write what audit holds back and close the store. Closing twice is fine.

        Raises:
            StoreError: audit cannot be written, and is lost; everything is closed all the same.
        """
        if self._closed:
            return
        self._closed = True
        with ExitStack() as closing:  # each is closed, whatever the one before raised
            closing.callback(self._store.close)
            closing.callback(self.events.close)
            closing.callback(self.audit.close)
            closing.callback(self._functions.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- inside ---------------------------------------------------------------------------------

    def _tend(self) -> None:
        self._scheduler.tend()
        self._look_at_the_time()

    def _look_at_the_time(self) -> None:
        self.alarms.check()
        self.audit.flush()

    def _answer(self, principal: Principal | str | None, region: str) -> Any:
        from smclient_embedded.http.json11 import answer

        caller = self.principal(principal)

        def answered(target: str, body: bytes) -> Any:
            return answer(self._door, target, body, self.context(caller, region))

        return answered

    def _backend(self, principal: Principal, region: str, *, close: Any) -> EmbeddedBackend:
        def call(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
            return self.call(operation, request, self.context(principal, region))

        return EmbeddedBackend(
            call,
            principal=principal,
            region=region,
            endpoint=self.url.text,
            new_token=self._ids.uuid,
            close=close,
        )

    def _deps_for(self, scope: Scope, tx: Transaction) -> Deps:
        caller = Principal.administrator(scope.account)
        context = RequestContext(caller, scope.region, request_id=self._ids.uuid())
        return self._door.deps(context, tx, lambda version: None)

    def _secrets_for(self, scope: Scope, role: str) -> Backend:
        return self._backend(self.principal(role), scope.region, close=lambda: None)


def open_backend(url: BackendUrl, *, clock: Clock) -> Backend:
    """Entry point of ``embedded:``: a service of its own, closed with the backend. Over a store
    that outlives the process, it is opened anew in a forked child."""

    def open_one() -> Backend:
        service = EmbeddedService(url.text, clock=clock)
        try:
            principal = service.principal(url.options.get("principal"))
        except BaseException:
            service.close()
            raise
        return service._backend(principal, service.region, close=service.close)

    in_memory = url.scheme == "embedded" and not url.path
    return open_one() if in_memory else ReopenedBackend(open_one)
