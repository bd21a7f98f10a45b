"""Faults on purpose, for users who test their own resilience: throttling, errors, latency, outages.

    with service.faults.add(Fault.throttling(operation="GetSecretValue", count=3)):
        ...
    outage = service.faults.add(Fault.outage(secret="prod/*", duration=60))
    outage.cancel()

A fault strikes at the door: after the caller is known, before the store is touched, whether or not
the request is well formed. Several may strike one call: latencies add up, in the order in which the
faults were added, until one of them ends the call. A call that is throttled or refused goes on
record as any refusal does. An outage leaves no record, since nothing arrived: the connection is
closed without an answer, and in process ``ConnectionDropped`` is raised, which ``SecretsClient``
knows as ``BackendUnavailableError`` and the wired botocore client as ``ConnectionClosedError``.
"""

from smclient_embedded.faults.registry import FaultHandle, Faults
from smclient_embedded.faults.rules import Armed, Asked, Fault, Verdict, decide

__all__ = ["Armed", "Asked", "Fault", "FaultHandle", "Faults", "Verdict", "decide"]
