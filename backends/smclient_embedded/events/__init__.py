"""What happens in the service, told to subscribers as EventBridge tells it.

``shapes`` makes the events, ``pattern`` decides who wants one, ``bus`` delivers it off the caller's
path. Pure are the first two.
"""

from smclient_embedded.events.bus import EventBus, Subscription
from smclient_embedded.events.pattern import EventPattern, InvalidPatternError

__all__ = ["EventBus", "EventPattern", "InvalidPatternError", "Subscription"]
