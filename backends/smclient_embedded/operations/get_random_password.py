"""GetRandomPassword."""

from __future__ import annotations

import string
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import InvalidParameterException

DEFAULT_LENGTH = 32
_TYPES = {
    "ExcludeLowercase": string.ascii_lowercase,
    "ExcludeUppercase": string.ascii_uppercase,
    "ExcludeNumbers": string.digits,
    "ExcludePunctuation": string.punctuation,
}


def get_random_password(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """A random password: one of each included type unless told otherwise, unbiased.

    Raises:
        InvalidParameterException: nothing is left to choose from, or the length is too short.
    """
    length = request.get("PasswordLength", DEFAULT_LENGTH)
    excluded = set(request.get("ExcludeCharacters", ""))
    types = [chars for option, chars in _TYPES.items() if not request.get(option, False)]
    alphabets = [[c for c in chars if c not in excluded] for chars in types]
    alphabets = [alphabet for alphabet in alphabets if alphabet]
    everything = [c for alphabet in alphabets for c in alphabet]
    if request.get("IncludeSpace", False) and " " not in excluded:
        everything.append(" ")
    if not everything:
        raise InvalidParameterException(
            "There are no characters left to choose from: everything is excluded."
        )
    required = alphabets if request.get("RequireEachIncludedType", True) else []
    if length < len(required):
        raise InvalidParameterException("Password length is too short based on the required types.")
    chosen = [deps.ids.choice(alphabet) for alphabet in required]
    chosen += [deps.ids.choice(everything) for _ in range(length - len(chosen))]
    deps.ids.shuffle(chosen)
    return {"RandomPassword": "".join(chosen)}
