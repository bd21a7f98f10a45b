"""Where this user's programs keep what is neither settings nor cache: pins, keys of a server."""

from __future__ import annotations

import os
import sys
from pathlib import Path

STATE_DIR = "SMCLIENT_STATE_DIR"
"""The variable that names the folder."""


def state_folder() -> Path | None:
    """The folder: that of ``SMCLIENT_STATE_DIR``, else the system's place for such things.

    ``None`` for a user without a home, as some containers have: nothing is ever kept in whatever
    folder the process happens to be in.
    """
    named = os.environ.get(STATE_DIR)
    if named:
        return Path(named).absolute()
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_STATE_HOME", ""))
        if not folder.is_absolute():  # XDG says to ignore it
            folder = home / ".local" / "state"
    return folder / "smclient" if folder.is_absolute() else None
