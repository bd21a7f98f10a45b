"""The port to the database of a managed secret: who sets the password."""

from __future__ import annotations

from typing import Protocol


class SetsPasswords(Protocol):
    """Sets the password of a user of one database, as the service that runs it can. Raises whatever
    goes wrong; the rotation then fails and is tried again. Messages must hold no password."""

    def set_password(self, username: str, password: str) -> None:
        """Make it the user's password. It may be so already."""
        ...

    def takes(self, username: str, password: str) -> bool:
        """Whether the database lets the user in with it."""
        ...
