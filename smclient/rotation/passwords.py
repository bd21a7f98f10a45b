"""Password rules, by the environment variables of AWS's own rotation functions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smclient.errors import ConfigError

_TRUE = frozenset({"1", "y", "yes", "true"})


@dataclass(frozen=True, slots=True)
class PasswordRules:
    """What GetRandomPassword is asked for.

    Attributes:
        length: how many characters.
        exclude_characters: characters that must not be in it; by default those that break
            connection URLs and quoting.
    """

    length: int = 32
    exclude_characters: str = "/@\"'\\"
    exclude_numbers: bool = False
    exclude_punctuation: bool = False
    exclude_uppercase: bool = False
    exclude_lowercase: bool = False
    require_each_included_type: bool = True

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] = os.environ, *, exclude_characters: str = "/@\"'\\"
    ) -> PasswordRules:
        """Rules from ``PASSWORD_LENGTH``, ``EXCLUDE_CHARACTERS``, ``EXCLUDE_NUMBERS`` and so on.

        Raises:
            ConfigError: a length that is no number.
        """
        length = environ.get("PASSWORD_LENGTH", "32")
        if not (length.isascii() and length.isdigit()) or not 1 <= int(length) <= 4096:
            raise ConfigError(f"PASSWORD_LENGTH is {length!r}; it must be 1 to 4096")

        def flag(name: str, default: str) -> bool:
            return environ.get(name, default).lower() in _TRUE

        return cls(
            length=int(length),
            exclude_characters=environ.get("EXCLUDE_CHARACTERS", exclude_characters),
            exclude_numbers=flag("EXCLUDE_NUMBERS", "false"),
            exclude_punctuation=flag("EXCLUDE_PUNCTUATION", "false"),
            exclude_uppercase=flag("EXCLUDE_UPPERCASE", "false"),
            exclude_lowercase=flag("EXCLUDE_LOWERCASE", "false"),
            require_each_included_type=flag("REQUIRE_EACH_INCLUDED_TYPE", "true"),
        )

    def parameters(self) -> dict[str, Any]:
        """The parameters of GetRandomPassword."""
        return {
            "PasswordLength": self.length,
            "ExcludeCharacters": self.exclude_characters,
            "ExcludeNumbers": self.exclude_numbers,
            "ExcludePunctuation": self.exclude_punctuation,
            "ExcludeUppercase": self.exclude_uppercase,
            "ExcludeLowercase": self.exclude_lowercase,
            "RequireEachIncludedType": self.require_each_included_type,
        }
