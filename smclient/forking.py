"""Surviving ``fork``: in the child, locks that another thread held stay locked for ever and threads
are gone. Whoever has either registers here and gets new ones."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something with locks, threads or connections of its own."""

    def after_fork(self) -> None:
        """In the child: take new locks, forget what was under way. Nobody else runs yet."""
        ...


_survivors: weakref.WeakSet[Forkable] = weakref.WeakSet()


def survive_fork(thing: Forkable) -> None:
    """Have ``after_fork`` called in every child process, as long as the thing lives."""
    _survivors.add(thing)


def _after_fork_in_child() -> None:
    for thing in list(_survivors):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
