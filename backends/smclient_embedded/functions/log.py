"""What a function wrote, bounded: its beginning and its end, as CloudWatch shows an invocation."""

from __future__ import annotations

from collections.abc import Iterable

MOST_OF_ONE = 64 * 1024
"""Bytes kept of what one invocation wrote; the middle goes first."""
MOST_OF_ALL = 256 * 1024
"""Bytes kept of a function's log; the oldest go first."""

_HEAD = MOST_OF_ONE // 4
_HIDDEN = "***"


class InvocationLog:
    """Collects what one invocation writes."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._lost = 0

    def write(self, content: bytes) -> None:
        """Add to it."""
        room = _HEAD - len(self._head)
        self._head += content[:room] if room > 0 else b""
        self._tail += content[max(room, 0) :]
        surplus = len(self._tail) - (MOST_OF_ONE - _HEAD)
        if surplus > 0:
            del self._tail[:surplus]
            self._lost += surplus

    def text(self, hide: Iterable[str] = ()) -> str:
        """All that was kept, without the words to hide; it ends with a line break."""
        lost = f"\n... {self._lost} bytes left out ...\n".encode() if self._lost else b""
        text = (bytes(self._head) + lost + bytes(self._tail)).decode(errors="replace")
        for word in hide:
            text = text.replace(word, _HIDDEN)
        return text if not text or text.endswith("\n") else text + "\n"


def appended(kept: str, new: str) -> str:
    """A function's log with another invocation's at its end, within its bound, in whole lines."""
    text = kept + new
    if len(text) <= MOST_OF_ALL:
        return text
    return text[-MOST_OF_ALL:].partition("\n")[2]
