"""The proof: an application with a pool, under load, through rotations; and nothing fails.

* ``scene``: a database account, its secret, and a function that holds its window open;
* ``lagging``: reads that are some seconds behind, as AWS's may be;
* ``application``: what an ordinary service does with a pool, and what of it failed;
* ``case``: one run of all that, with smclient or with something else.
"""

from smclient_demo.proof.case import Case, Outcome, run_cases

__all__ = ["Case", "Outcome", "run_cases"]
