"""Usage as OpenTelemetry metrics, through its API; which SDK and exporter is the user's choice.

OpenTelemetry has no histogram that can be observed, so those come as counters as Prometheus has
them: ``…_bucket`` with ``le``, ``…_sum`` and ``…_count``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from smclient._version import __version__
from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.errors import MissingExtraError
from smclient.report.measures import Family, Sample, families
from smclient.usage import Usage

PREFIX = "smclient."
TOGETHER = 1.0
"""Seconds within which all instruments show the same look at the counters: one collection."""


def observe(
    usage: Callable[[], Usage], meter: Any | None = None, *, clock: Clock = SYSTEM_CLOCK
) -> list[Any]:
    """Register observable instruments for ``client.usage`` and return them.

    Args:
        usage: asked at each collection, once for all instruments.
        meter: an OpenTelemetry ``Meter``; default: that of the global provider.

    Raises:
        MissingExtraError: ``opentelemetry-api`` is not installed.
    """
    try:
        api = import_module("opentelemetry.metrics")
    except ImportError as error:
        raise MissingExtraError(
            "OpenTelemetry is not installed; pip install 'smclient[otel]'"
        ) from error
    using: Any = meter or api.get_meter("smclient", __version__)
    look = _Look(usage, clock)
    instruments = []
    for name, kind, told, suffix in _instruments():
        create = (
            using.create_observable_gauge if kind == "gauge" else using.create_observable_counter
        )
        callback = _callback(look, name, suffix, api.Observation)
        instruments.append(
            create(_otel_name(name, suffix), [callback], unit=_unit(name, suffix), description=told)
        )
    return instruments


class _Look:
    """One look at the counters, kept for the instruments of one collection."""

    def __init__(self, usage: Callable[[], Usage], clock: Clock) -> None:
        self._usage = usage
        self._now = clock.monotonic
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._found: dict[str, Family] = {}

    def family(self, name: str) -> Family:
        with self._lock:
            now = self._now()
            if now >= self._until:
                self._found = {family.name: family for family in families(self._usage())}
                self._until = now + TOGETHER
            return self._found[name]


def _instruments() -> Iterator[tuple[str, str, str, str]]:
    for family in families(Usage.none()):
        if family.kind == "histogram":
            for suffix in ("_bucket", "_sum", "_count"):
                yield family.name, "counter", family.help, suffix
        else:
            yield family.name, family.kind, family.help, ""


def _callback(
    look: _Look, name: str, suffix: str, observation: Callable[..., Any]
) -> Callable[[Any], list[Any]]:
    def observed(sample: Sample) -> Any:
        return observation(sample.value, dict(sample.labels))

    def call(options: Any) -> list[Any]:
        return [observed(s) for s in look.family(name).samples if s.suffix == suffix]

    return call


def _otel_name(name: str, suffix: str) -> str:
    return PREFIX + name.removesuffix("_total") + suffix


def _unit(name: str, suffix: str) -> str:
    if suffix in ("", "_sum") and "seconds" in name:
        return "s"
    return "By" if "bytes" in name else "1"
