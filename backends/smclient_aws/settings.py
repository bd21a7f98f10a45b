"""What an ``aws://`` URL says, checked before anything is opened."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from smclient.backend import BackendUrl, is_aws_endpoint
from smclient.errors import ConfigError

_REGION = re.compile(r"(?!-)(?!\d+$)[a-z0-9-]{1,63}(?<!-)", re.IGNORECASE)  # botocore's own rule
_ROLE = re.compile(r"arn:[a-z0-9-]+:iam::(\d{12}):role/[\w+=,.@/-]+")
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_FLAGS = {"true": True, "false": False}

REPLICAS = "replica_regions"
PLACE = "{region}"

SESSION_NAME = "smclient"
"""Name of an assumed role's session, where the URL gives none; CloudTrail shows it."""


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """How to reach Secrets Manager. What is ``None`` is left to boto3: environment, then profile.

    Attributes:
        region: the URL's host.
        profile: a profile of the AWS configuration files; the source of the role's login, too.
        role_arn: a role to assume before anything is asked.
        external_id: what that role's trust policy may ask for.
        session_name: the name of the role's session.
        endpoint_url: another address of the service, for example a VPC endpoint; ``{region}`` in
            it stands for the Region.
        fips: whether only FIPS endpoints may be spoken to.
    """

    region: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    session_name: str | None = None
    endpoint_url: str | None = None
    fips: bool | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) == "":
                raise ConfigError(f"the aws: option {name} is empty; leave it out or give a value")
        if self.region is not None and not _REGION.fullmatch(self.region):
            raise ConfigError(
                "the host of an aws: URL is a Region, as in aws://eu-west-1; "
                "logins and ports do not belong there"
            )
        self._check_role()
        if self.endpoint_url is not None:
            self._check_endpoint(self.endpoint_url)

    @classmethod
    def from_url(cls, url: BackendUrl) -> AwsSettings:
        """The settings of a URL.

        Raises:
            UnknownSettingError: an option of another name.
            ConfigError: a value that cannot be meant, or options that exclude each other.
        """
        known = (name for name in cls.__slots__ if name != "region")
        given = dict(url.take(*known, REPLICAS))
        given.pop(REPLICAS, None)  # several settings, not one: see ``replica_regions``
        if url.path.strip("/"):
            raise ConfigError("an aws: URL has no path; it is aws:// or aws://REGION, and options")
        fips = given.pop("fips", None)
        if fips is not None and fips not in _FLAGS:
            raise ConfigError("the aws: option fips is either true or false")
        return cls(
            region=url.host or None,
            fips=None if fips is None else _FLAGS[fips],
            **given,
        )

    def in_region(self, region: str | None) -> AwsSettings:
        """The same settings for a Region; ``{region}`` in the endpoint becomes its name."""
        endpoint = self.endpoint_url
        if endpoint is not None and PLACE in endpoint:
            if region is None:
                raise ConfigError(
                    f"endpoint_url has {PLACE} and the aws: URL names no Region; "
                    "write aws://REGION?endpoint_url=…"
                )
            endpoint = endpoint.replace(PLACE, region)
        return replace(self, region=region, endpoint_url=endpoint)

    @property
    def account(self) -> str:
        """The account of the role, or an empty string."""
        found = _ROLE.fullmatch(self.role_arn or "")
        return found[1] if found else ""

    def _check_role(self) -> None:
        if self.role_arn is None:
            if self.external_id is not None or self.session_name is not None:
                raise ConfigError("the aws: options external_id and session_name need a role_arn")
            return
        if not _ROLE.fullmatch(self.role_arn):
            raise ConfigError(
                f"role_arn is {self.role_arn!r}; a role's ARN looks like "
                "arn:aws:iam::123456789012:role/NAME"
            )
        if self.session_name is not None and not _SESSION_NAME.fullmatch(self.session_name):
            raise ConfigError("session_name is 2 to 64 letters, digits or any of _+=,.@-")

    def _check_endpoint(self, endpoint_url: str) -> None:
        parts = urlsplit(endpoint_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("endpoint_url is an http: or https: URL with a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise ConfigError("endpoint_url has neither a login nor a query")
        self.require_fips(endpoint_url)

    def require_fips(self, endpoint_url: str) -> None:
        """Refuse an endpoint that is not FIPS, where ``fips`` is set. Raises ``ConfigError``."""
        if self.fips and not is_fips(endpoint_url):
            raise ConfigError(
                f"fips=true is set, and the endpoint {endpoint_url} is not a FIPS endpoint such as "
                "https://secretsmanager-fips.us-east-1.amazonaws.com; look for an endpoint_url, "
                "AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_SECRETS_MANAGER"
            )


def replica_regions(url: BackendUrl) -> tuple[str, ...]:
    """The Regions to read from while the URL's own does not answer, in order.

    Raises:
        ConfigError: one is no Region, is named twice, or no Region comes first; or one endpoint is
            given for them all.
    """
    text = url.options.get(REPLICAS)
    if text is None:
        return ()
    regions = tuple(region.strip() for region in text.split(","))
    if not url.host:
        raise ConfigError(
            f"{REPLICAS} needs the primary's Region in the URL: aws://REGION?{REPLICAS}={text}"
        )
    for region in regions:
        if not _REGION.fullmatch(region):
            raise ConfigError(f"{REPLICAS} is {text!r}; it must be Regions, separated by commas")
    if len({url.host, *regions}) <= len(regions):
        raise ConfigError(f"{REPLICAS} is {text!r}; it names a Region twice, or the primary's")
    if PLACE not in url.options.get("endpoint_url", PLACE):
        raise ConfigError(
            f"endpoint_url is one address, and {REPLICAS} needs one for each Region; write {PLACE} "
            "where the Region stands in it"
        )
    return regions


def is_fips(endpoint_url: str) -> bool:
    """Whether a URL is one of AWS's FIPS endpoints of Secrets Manager, VPC endpoints included."""
    return is_aws_endpoint(endpoint_url, fips=True)
