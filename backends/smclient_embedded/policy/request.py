"""What is asked: one request, and its form for matching."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .principals import Caller, identify

ContextValue = str | Sequence[str]
Context = Mapping[str, ContextValue]


class LazyContext(Mapping[str, ContextValue]):
    """A context that is made when a condition first asks for a key: most statements have none.

    ``make`` is trusted to keep to the types; what it makes is not checked again.
    """

    __slots__ = ("_made", "_make", "asked")

    def __init__(self, make: Callable[[], Context]) -> None:
        """Keep the maker; it is called once at most."""
        self._make = make
        self._made: Context | None = None
        self.asked: set[str] = set()
        """The keys that conditions and variables asked for, in lower case."""

    @property
    def was_made(self) -> bool:
        """Whether anything asked for a key."""
        return self._made is not None

    @property
    def made(self) -> Context:
        """The context itself."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, key: str) -> ContextValue:
        """A value."""
        return self.made[key]

    def __iter__(self) -> Iterator[str]:
        """The keys."""
        return iter(self.made)

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self.made)


@dataclass(frozen=True, slots=True)
class Request:
    """One authorization question. The engine adds nothing to the context and reads no clock.

    Attributes:
        principal: ARN of the caller (user, role session, federated-user session, root) or a
            service name.
        principal_role: Role of a role session, with its path, which the session ARN lacks.
        account: Account that owns the resource; the account called where the resource is ``*``.
        action: ``service:Action``.
        resource: ARN, or ``*`` for an action without a resource type.
        context: Condition keys and their values; a list of strings for a multivalued key.
        principal_user: User whose credentials asked for a federated-user session, where known.
    """

    principal: str
    account: str
    action: str
    resource: str
    context: Context = field(default_factory=dict)
    principal_role: str | None = None
    principal_user: str | None = None


class Facts:
    """A request made ready for matching: caller identified, action and key names in lower case.

    ``has_boundary`` says whether a permissions boundary binds the caller: NotPrincipal asks for it.
    """

    __slots__ = ("_context", "action", "caller", "has_boundary", "request", "resource")

    def __init__(self, request: Request) -> None:
        """Prepare the request.

        Raises:
            ValueError: The principal cannot be identified.
            TypeError: A context key is no string, or a value neither a string nor a list of them.
        """
        self.request = request
        self.caller: Caller = identify(
            request.principal, request.principal_role, request.principal_user
        )
        self.action = request.action.lower()
        self.resource = request.resource
        self.has_boundary = False
        self._context: dict[str, ContextValue] | None = None
        if type(request.context) is LazyContext:
            return
        for key, value in request.context.items():
            if type(value) is not str or type(key) is not str:
                _check(key, value)

    @property
    def context(self) -> dict[str, ContextValue]:
        """The request context with key names in lower case; made when a condition asks for it."""
        if self._context is None:
            given = self.request.context
            if type(given) is LazyContext:
                given = given.made
            self._context = {key.lower(): value for key, value in given.items()}
            if len(self._context) != len(given):
                self._context = _merged(given)
        return self._context

    def values(self, lowered: str) -> ContextValue | None:
        """Value of a condition key; None if it is absent or has no values."""
        value = self._found(lowered)
        if value is None or isinstance(value, str):
            return value
        return value if value else None

    def lookup(self, lowered: str) -> str | None:
        """The value that a policy variable takes; None if the key is absent or multivalued."""
        value = self._found(lowered)
        return value if isinstance(value, str) else None

    def _found(self, lowered: str) -> ContextValue | None:
        given = self.request.context
        if type(given) is LazyContext:
            given.asked.add(lowered)
        return self.context.get(lowered)


def _merged(context: Context) -> dict[str, ContextValue]:
    """Names that differ only in case give one key several values, in the order of names."""
    merged: dict[str, ContextValue] = {}
    for key in sorted(context):
        lowered, value = key.lower(), context[key]
        if lowered in merged:
            merged[lowered] = [*_as_list(merged[lowered]), *_as_list(value)]
        else:
            merged[lowered] = value
    return merged


def _as_list(value: ContextValue) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _check(key: object, value: object) -> None:
    if not isinstance(key, str):
        raise TypeError(f"context key {key!r:.40} is not a string")
    if isinstance(value, str):
        return
    if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"context value {value!r:.40} is neither a string nor a list of strings")
