"""A boto3 client from settings. The one place that loads boto3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smclient._version import __version__
from smclient.backend import Identity
from smclient.errors import ConfigError
from smclient_aws import calls, redact
from smclient_aws.settings import SESSION_NAME, AwsSettings

if TYPE_CHECKING:
    from botocore.config import Config

ATTEMPTS = 3
CONNECT_TIMEOUT = 5.0  # seconds; botocore would wait a minute, three times
READ_TIMEOUT = 20.0
POOL = 50  # connections kept; botocore keeps 10, and throws the others away
ROLE = "assume-role"


def open_client(settings: AwsSettings) -> Any:
    """A Secrets Manager client, watched, its log masked. Raises what boto3 raises, and
    ``ConfigError`` for an endpoint that is not FIPS where that is asked."""
    import boto3.session
    import botocore.session
    from botocore.exceptions import BotoCoreError

    redact.install()
    core = botocore.session.Session(profile=settings.profile)
    if settings.role_arn is not None:
        _assume(core, settings)
    session = boto3.session.Session(region_name=settings.region, botocore_session=core)
    try:
        client: Any = session.client(
            "secretsmanager", endpoint_url=settings.endpoint_url, config=_config(settings)
        )
    except ValueError as error:
        if isinstance(error, BotoCoreError):
            raise
        raise ConfigError(
            "boto3 refuses the endpoint; look at endpoint_url in the URL and in the profile, "
            "AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_SECRETS_MANAGER"
        ) from None
    try:
        settings.require_fips(client.meta.endpoint_url)
    except ConfigError:
        client.close()
        raise
    calls.attach(client)
    return client


def adopt(client: Any) -> Any:
    """A ready client, watched, its log masked."""
    redact.install()
    calls.attach(client)
    return client


def identity_of(client: Any, settings: AwsSettings) -> Identity:
    """Who a client asks as. Asks nobody, and never holds a secret key.

    The principal is the assumed role, else the access key id, else (where keys come and go) the
    profile, else the kind of credentials together with a mark of this very client.
    """
    # botocore has no public way to a client's credentials
    credentials = getattr(client, "_get_credentials", lambda: None)()
    account, principal = settings.account, settings.role_arn or ""
    if credentials is not None and not principal:
        if hasattr(credentials, "refresh_needed"):  # its key would change, or cost a call
            mark = f"{credentials.method}#{id(credentials):x}"
            principal = settings.profile or mark
        else:
            frozen = credentials.get_frozen_credentials()
            principal = frozen.access_key
            account = getattr(frozen, "account_id", None) or ""
    return Identity(account, client.meta.region_name or "", client.meta.endpoint_url, principal)


def _config(settings: AwsSettings) -> Config:
    from botocore.config import Config

    return Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        max_pool_connections=POOL,
        user_agent_extra=f"smclient/{__version__}",
        use_fips_endpoint=settings.fips,
    )


@dataclass(frozen=True)
class _Provider:
    """The only provider of a session whose login is an assumed role."""

    credentials: Any
    METHOD = ROLE

    def load(self) -> Any:
        return self.credentials


def _assume(core: Any, settings: AwsSettings) -> None:
    """Let a session log in as the role: at its first request, and again before that expires."""
    from botocore.credentials import CredentialResolver, DeferredRefreshableCredentials

    def refresh() -> dict[str, Any]:
        return _role_credentials(settings)

    credentials = DeferredRefreshableCredentials(refresh_using=refresh, method=ROLE)
    core.register_component("credential_provider", CredentialResolver([_Provider(credentials)]))


def _role_credentials(settings: AwsSettings) -> dict[str, Any]:
    import boto3.session

    source = boto3.session.Session(profile_name=settings.profile, region_name=settings.region)
    asked = {"RoleArn": settings.role_arn, "RoleSessionName": settings.session_name or SESSION_NAME}
    if settings.external_id is not None:
        asked["ExternalId"] = settings.external_id
    sts: Any = source.client("sts", config=_config(settings))
    try:
        answered = sts.assume_role(**asked)["Credentials"]
    finally:
        sts.close()
    return {
        "access_key": answered["AccessKeyId"],
        "secret_key": answered["SecretAccessKey"],
        "token": answered["SessionToken"],
        "expiry_time": answered["Expiration"].isoformat(),
        "account_id": settings.account,
    }
