"""The audit trail: a CloudTrail-shaped record of each call, and of what the service does by itself.

``records`` and ``inner`` say what is recorded, ``held`` keeps it back until ``trail`` writes it,
``lookup`` finds it again and ``logfiles`` writes it as CloudTrail's log files. ``announcing`` tells
others of it once it is there to stay.
"""

from smclient_embedded.audit.announcing import AnnouncingStore
from smclient_embedded.audit.held import HELD_BACK, HELD_SECONDS, MOST_HELD
from smclient_embedded.audit.inner import batch_events, key_events, shared_with_owner
from smclient_embedded.audit.records import SOURCE, api_event, response_elements, service_event
from smclient_embedded.audit.trail import AuditTrail, Later, at_once, set_timer

__all__ = [
    "HELD_BACK",
    "HELD_SECONDS",
    "MOST_HELD",
    "SOURCE",
    "AnnouncingStore",
    "AuditTrail",
    "Later",
    "api_event",
    "at_once",
    "batch_events",
    "key_events",
    "response_elements",
    "service_event",
    "set_timer",
    "shared_with_owner",
]
