"""Why a function failed: a class and plain words of ours, never the function's own words."""

from __future__ import annotations

from smclient.errors import FunctionFailedError


class StaleProcessError(Exception):
    """A process that had served before was gone before it began: another one may do it."""


_MEANINGS = {
    "MemoryError": "it needed more than its memory of {memory_mb} MB",
    "Runtime.ExitError": "its process ended",
    "Runtime.HandlerNotFound": "its module has no callable of the handler's name",
    "Runtime.ImportModuleError": "its module cannot be imported",
    "Runtime.MalformedHandlerName": "its handler is not named module.function",
    "Runtime.MarshalError": "what it returned is not JSON",
    "Runtime.UserCodeSyntaxError": "its module has a syntax error",
}
_SHOWN = 100
_TOLD = 300


def failed(answer: dict[str, object], memory_mb: int) -> FunctionFailedError:
    """The error for what a function's process reported. ``words`` come only with errors of
    ``smclient.errors`` that hold no values."""
    kind, words = str(answer.get("error"))[:_SHOWN], answer.get("words")
    if not kind.isprintable():
        kind = "unprintable class name"
    meaning = _MEANINGS.get(kind)
    if meaning is not None:
        return FunctionFailedError(f"{kind}: {meaning.format(memory_mb=memory_mb)}", kind=kind)
    if isinstance(words, str) and words.isprintable():
        return FunctionFailedError(f"{kind}: {words[:_TOLD]}", kind=kind)
    return FunctionFailedError(kind, kind=kind)
