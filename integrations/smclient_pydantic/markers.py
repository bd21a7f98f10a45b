"""``FromSecret``: which secret a field of a settings class is read from."""

from __future__ import annotations

from dataclasses import dataclass, field

from smclient import ConfigError, SecretRef
from smclient.references import AnyReference, Reference, parse, shown


@dataclass(frozen=True, slots=True)
class FromSecret:
    """Marks a field: ``password: Annotated[SecretStr, FromSecret("prod/db", "password")]``.

    Args:
        secret: a name, an ARN (also ECS's longer form), or any reference; then it says all.
        key: one key of the JSON, flat or JMESPath. None: the whole text.
        version_stage, version_id: AWSCURRENT unless given.
        optional: where secret or key are absent, the field keeps its default.

    Raises:
        InvalidReferenceError: the reference does not follow the grammar.
        ConfigError: a reference that says all, and more arguments beside it.
    """

    secret: str
    key: str | None = None
    version_stage: str | None = None
    version_id: str | None = None
    optional: bool = False
    reference: AnyReference = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference", self._parse())

    def _parse(self) -> AnyReference:
        more = (self.key, self.version_stage, self.version_id)
        if "://" in self.secret or ":" in self.secret:
            found = parse(self.secret)
            plain = isinstance(found, Reference) and found == Reference(found.ref)
            if not plain and (any(more) or self.optional):
                raise ConfigError(
                    f"FromSecret({shown(found)!r}) says key, version and optional itself; leave "
                    "the other arguments out"
                )
            if not plain:
                return found
            secret_id = found.refs()[0].secret_id
        else:
            secret_id = parse(f"secret://{self.secret}").refs()[0].secret_id
        ref = SecretRef(secret_id, version_stage=self.version_stage, version_id=self.version_id)
        return Reference(ref, self.key, self.optional)
