"""Keeping a process's memory out of core dumps, on request and as well as the platform can.

Best effort: whoever is root or may trace the process still reads its memory, and swap is not
touched. Python cannot wipe text, so nothing of that kind is promised.
"""

from __future__ import annotations

import sys

_PR_SET_DUMPABLE = 4  # linux/prctl.h

NO_CORE_DUMPS = "no core dumps"
NOT_TRACEABLE = "not traceable by the same user"


def harden_process() -> tuple[str, ...]:
    """Forbid core dumps of this process and its children; on Linux also let nobody of the same
    user read its memory through ``/proc`` or a debugger.

    Children keep the limit on core dumps; the second is lost with ``exec``, so call it again there.
    Debuggers and profilers that attach (py-spy, gdb) stop working.

    Returns:
        What took effect, as ``NO_CORE_DUMPS`` and ``NOT_TRACEABLE``: fewer on other platforms.
    """
    done = []
    if _forbid_core_dumps():
        done.append(NO_CORE_DUMPS)
    if sys.platform == "linux" and _forbid_tracing():
        done.append(NOT_TRACEABLE)
    return tuple(done)


def _forbid_core_dumps() -> bool:
    try:
        import resource
    except ImportError:  # Windows
        return False
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # lowering is always allowed
    return True


def _forbid_tracing() -> bool:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
