"""Rotation functions: Python callables in this process, and Lambda code in processes of its own.

definition  what is kept of a function       package  its code as a zip
kept        functions in a store, sealed     masters  what else it may read
child       one process                      pool     processes kept warm
log         what functions wrote             registry the ``FunctionRunner`` over all of it
runtime/    what runs inside the process
"""

from smclient_embedded.functions.definition import (
    DEFAULT_HANDLER,
    DEFAULT_MEMORY,
    DEFAULT_TIMEOUT,
    ChildFunction,
    function_arn,
)
from smclient_embedded.functions.registry import FunctionContext, Functions, Handler, Invocation

__all__ = [
    "DEFAULT_HANDLER",
    "DEFAULT_MEMORY",
    "DEFAULT_TIMEOUT",
    "ChildFunction",
    "FunctionContext",
    "Functions",
    "Handler",
    "Invocation",
    "function_arn",
]
