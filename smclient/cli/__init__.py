"""The ``smclient`` command: a root whose commands are entry points, each loaded when it is used."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Without click it says which extra to install, and exits with 2."""
    try:
        from smclient.cli.root import root
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich"):
            raise
        sys.stderr.write("the smclient command needs more: pip install 'smclient[cli]'\n")
        sys.exit(2)
    root()
