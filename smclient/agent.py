"""``agent://localhost:2773``: AWS's Secrets Manager agent on this machine.

The agent, or the Lambda extension that speaks like it, has a cache of its own (300 s unless it was
told otherwise) that all processes of the machine share. ``fetch`` may be answered from it;
``fetch_newest``, which a login or ``refresh()`` asks, makes the agent ask AWS. An answer counts as
one call, also where the agent had it: what is counted is the most that AWS can bill.

    agent://localhost:2773[?token_file=/path][&timeout=10]

The agent wants a token with each request: ``token_file``, else the first of ``AWS_TOKEN``,
``AWS_SESSION_TOKEN`` and ``AWS_CONTAINER_AUTHORIZATION_TOKEN`` that is set, which holds the token
or ``file://`` and a path. A file is read again when it changes. Only loopback is spoken to, since
neither the token nor the answer is encrypted on the way.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from smclient.agent_answers import error_in, value_in
from smclient.agent_http import Broken, Connections, Refused
from smclient.backend import Answer, BackendUrl, Identity
from smclient.clock import Clock
from smclient.errors import (
    BackendError,
    BackendUnavailableError,
    ConfigError,
    CredentialsError,
    NotSupportedError,
    SmclientError,
)
from smclient.secret import RedactedStr, SecretDescription, SecretRef, SecretValue

PORT = 2773
PORT_VARIABLE = "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT"
"""Where the Lambda extension is told its port; it counts where the URL names none."""
TOKEN_HEADER = "X-Aws-Parameters-Secrets-Token"  # noqa: S105  a header's name
TOKEN_VARIABLES = ("AWS_TOKEN", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")

_START = (
    "start it (systemctl start aws-secretsmanager-agent, or add the AWS Parameters and Secrets "
    "layer to the Lambda function) or name its port in agent://localhost:PORT"
)


class AgentBackend:
    """Reads through the agent. Thread-safe; keeps a few connections; asks nobody until it reads.

    Args:
        host, port: where the agent listens; loopback only.
        token_file: where the token is, instead of in the environment.
        timeout: seconds to wait for the agent, which waits for AWS where it has to.

    Raises:
        ConfigError: the host is not this machine, or a number makes no sense.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = PORT,
        *,
        token_file: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        if not 0 < timeout < float("inf"):
            raise ConfigError(f"agent: timeout is {timeout!r}; it must be more than 0 seconds")
        self._where = f"{'[' + host + ']' if ':' in host else host}:{port}"
        self._connections = Connections(_loopback(host), port, timeout)
        self._token = _Token(token_file)

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        """Read one version of one secret; the agent may answer from its memory."""
        return self._get(ref, newest=False)

    def fetch_newest(self, ref: SecretRef) -> Answer[SecretValue]:
        """Read one version of one secret, the agent asking AWS for it now."""
        return self._get(ref, newest=True)

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        """Read many, one by one: the agent has no batch. Once it does not answer at all, the rest
        is not asked."""
        found: dict[str, SecretValue | SmclientError] = {}
        attempts, gone = 0, None
        for secret_id in dict.fromkeys(secret_ids):
            if gone is not None:
                found[secret_id] = BackendUnavailableError(str(gone), code=gone.code, attempts=0)
                continue
            try:
                answer = self.fetch(SecretRef(secret_id))
            except BackendError as error:
                found[secret_id] = error
                attempts += error.attempts
                gone = error if error.code == BackendUnavailableError.default_code else None
            else:
                found[secret_id] = answer.value
                attempts += answer.attempts
        return Answer(found, attempts)

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        """Always ``NotSupportedError``: the agent gives values only."""
        raise _read_only("DescribeSecret")

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        """Always ``NotSupportedError``: the agent gives values only."""
        raise _read_only(operation)

    def identity(self) -> Identity:
        """The agent. Whose eyes it sees with it does not tell."""
        return Identity("", "", f"http://{self._where}", "agent")

    def close(self) -> None:
        """Close the connections. Closing twice is fine."""
        self._connections.close()

    def __repr__(self) -> str:
        return f"AgentBackend({self._where})"

    # --- inside ---------------------------------------------------------------------------------

    def _get(self, ref: SecretRef, *, newest: bool) -> Answer[SecretValue]:
        query = {"secretId": ref.secret_id}
        if ref.version_id is not None:
            query["versionId"] = ref.version_id
        if ref.version_stage is not None and not ref.is_current:
            query["versionStage"] = ref.version_stage
        if newest:
            query["refreshNow"] = "true"
        path = "/secretsmanager/get?" + urlencode(query, quote_via=quote)
        token = self._token.read()
        problem: BackendError
        body = b""
        try:
            status, body = self._connections.get(path, {TOKEN_HEADER: token, "Host": self._where})
        except Refused:
            problem = BackendUnavailableError(
                f"nothing listens at the Secrets Manager agent's address {self._where}; {_START}"
            )
        except Broken as error:
            problem = BackendUnavailableError(
                f"the Secrets Manager agent at {self._where} did not answer: {error}"
            )
        else:
            if status == 200:
                value = value_in(body)
                if value is not None:
                    return Answer(value)
                problem = BackendUnavailableError(
                    f"what answers at {self._where} does not answer as the Secrets Manager agent"
                )
            else:
                problem = error_in(status, body, token=token, where=self._where)
        del token, body
        raise problem  # outside the handlers: neither a context nor a frame that holds the token


class _Token:
    """The token, from wherever it is; a file is read again when it changes."""

    def __init__(self, token_file: str | None) -> None:
        self._file = token_file
        self._known: tuple[tuple[object, ...], str] = ((), RedactedStr(""))

    def read(self) -> str:
        """The token of now. Raises ``CredentialsError`` if there is none."""
        if self._file is not None:
            return self._checked(self._from_file(self._file), f"token_file {self._file}")
        for name in TOKEN_VARIABLES:
            text = os.environ.get(name, "").strip()
            if text.startswith("file://"):
                return self._checked(
                    self._from_file(text.removeprefix("file://")), f"file of {name}"
                )
            if text:
                return self._checked(text, name)
        raise CredentialsError(
            "the Secrets Manager agent wants a token, and there is none: set one of "
            f"{', '.join(TOKEN_VARIABLES)} to it or to file://PATH, or add ?token_file=PATH",
            attempts=0,
        )

    def _from_file(self, path: str) -> str:
        try:
            seen = os.stat(path)
            state = (path, seen.st_mtime_ns, seen.st_size, seen.st_ino)
            if self._known[0] != state:
                self._known = (state, RedactedStr(Path(path).read_text("utf-8").strip()))
            return self._known[1]
        except OSError as error:
            why = error.strerror or type(error).__name__
        except UnicodeDecodeError:
            why = "it is no text"
        raise CredentialsError(  # outside the handlers: a decoding error holds what it read
            f"the Secrets Manager agent's token file {path} cannot be read: {why}", attempts=0
        )

    @staticmethod
    def _checked(token: str, where: str) -> str:
        if token and token.isascii() and token.isprintable():
            return token
        wrong = "is empty" if not token else "is no token: it holds line breaks or odd characters"
        del token
        raise CredentialsError(f"the Secrets Manager agent's {where} {wrong}", attempts=0)


def _loopback(host: str) -> str:
    """The address of a host that is this machine, without asking a name server."""
    if host.lower() == "localhost":
        return "127.0.0.1"  # where the agent listens; nobody's hosts file is asked
    try:
        if ipaddress.ip_address(host).is_loopback:
            return host
    except ValueError:
        pass
    raise ConfigError(
        f"agent: {host!r} is not this machine. The agent speaks plain HTTP, so only localhost, "
        "127.0.0.1 and [::1] are spoken to"
    )


def _read_only(operation: str) -> NotSupportedError:
    return NotSupportedError(
        f"the Secrets Manager agent has no {operation}; it only gives values. Use aws:// for it",
        attempts=0,
    )


def open_backend(url: BackendUrl, *, clock: Clock) -> AgentBackend:
    """Entry point of ``agent://``. Asks nobody.

    Raises:
        UnknownSettingError: an option other than ``token_file`` and ``timeout``.
        ConfigError: the host is not this machine, or a part of the URL makes no sense.
    """
    options = url.take("token_file", "timeout")
    try:
        parts = urlsplit(f"//{url.host}")
        port = parts.port or int(os.environ.get(PORT_VARIABLE) or PORT)
        timeout = float(options.get("timeout", "10"))
    except ValueError:
        raise ConfigError(
            "agent: port and timeout are numbers, as in agent://localhost:2773?timeout=10"
        ) from None
    if "@" in url.host or url.path not in ("", "/"):
        raise ConfigError("agent: the URL is agent://localhost:PORT, without user or path")
    return AgentBackend(
        parts.hostname or "localhost",
        port,
        token_file=options.get("token_file"),
        timeout=timeout,
    )
