"""What is misconfigured, in the shape of Security Hub's findings (ASFF).

``controls`` judges a secret, ``exposure`` its policies, both purely; ``asff`` makes a finding of a
verdict and of what was known of it before; ``taking_in`` reads findings of others; ``frameworks``
says what a control evidences; ``book`` keeps them in a store.
"""

from smclient_embedded.findings.book import FindingsBook
from smclient_embedded.findings.controls import CONTROLS, Control, FindingParameters
from smclient_embedded.findings.frameworks import FRAMEWORKS, by_requirement
from smclient_embedded.findings.summary import summarise
from smclient_embedded.findings.taking_in import InvalidFindingError

__all__ = [
    "CONTROLS",
    "FRAMEWORKS",
    "Control",
    "FindingParameters",
    "FindingsBook",
    "InvalidFindingError",
    "by_requirement",
    "summarise",
]
