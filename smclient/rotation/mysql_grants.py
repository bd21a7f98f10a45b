"""What MySQL and MariaDB show of a user's rights, turned into statements for another user. Pure.

``SHOW GRANTS`` answers with statements; only the name at their end has to change. Servers differ in
how they quote it, so every way is tried. A user's own password is cut out of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_KINDS = {"GRANT": "TO", "REVOKE": "FROM", "SET": "FOR"}  # the word before the user's name
_STRING = r"'(?:[^'\\]|''|\\.)*'"
_WORD = r"(?:`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'|[A-Za-z0-9_]+)"
# IDENTIFIED BY PASSWORD '…' | IDENTIFIED VIA plugin [USING|AS '…'] [OR …] | IDENTIFIED WITH …
_IDENTIFIED = re.compile(
    rf" IDENTIFIED (?:BY PASSWORD {_STRING}|BY PASSWORD <secret>"
    rf"|(?:VIA|WITH) {_WORD}(?: (?:USING|AS) {_STRING})?"
    rf"(?: OR {_WORD}(?: (?:USING|AS) {_STRING})?)*)"
)


def literal(text: str) -> str:
    """Text quoted for a session whose ``sql_mode`` is ``NO_BACKSLASH_ESCAPES``."""
    return "'" + text.replace("'", "''") + "'"


def account(user: str, host: str) -> str:
    """An account, quoted for a statement."""
    return f"{literal(user)}@{literal(host)}"


def grants_for(statements: Iterable[str], user: str, host: str, other: str) -> Iterator[str]:
    """The statements that give ``other``, at the same host, what ``user`` has.

    Statements about anyone else (the roles of the user) are left out.
    """
    for statement in statements:
        word = _KINDS.get(statement.partition(" ")[0])
        if word is None:
            continue
        for shown in _spellings(user, host):
            head, found, tail = statement.rpartition(f" {word} {shown}")
            if found and (not tail or tail.startswith(" ")):
                kept = _IDENTIFIED.sub("", tail, count=1)
                if "IDENTIFIED" in kept:  # a form not known here may hold the password's hash
                    kept = ""
                yield f"{head} {word} {account(other, host)}{kept}"
                break


def requirements(create_user: str) -> str | None:
    """From SHOW CREATE USER of MySQL: ``REQUIRE …`` and the limits after it, for ALTER USER."""
    plain = re.sub(rf"{_STRING}|`(?:[^`]|``)*`", lambda found: "\0" * len(found[0]), create_user)
    start = plain.find(" REQUIRE ")
    if start < 0:
        return None
    ends = (
        plain.find(end, start) for end in (" PASSWORD ", " ACCOUNT ", " COMMENT ", " ATTRIBUTE ")
    )
    end = min((at for at in ends if at >= 0), default=len(create_user))
    return create_user[start + 1 : end]


def _spellings(user: str, host: str) -> Iterator[str]:
    def ticks(text: str) -> str:
        return "`" + text.replace("`", "``") + "`"

    def slashes(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def bare(text: str) -> str:
        return f"'{text}'"

    for quote in (ticks, literal, slashes, bare):
        yield f"{quote(user)}@{quote(host)}"
