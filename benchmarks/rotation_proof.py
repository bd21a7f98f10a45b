"""The proof at length: a pool under load through rotation after rotation, on real servers.

An application with a pool of 20 connections, forced reconnects, no retry and no pre-ping goes
through ten rotations whose window between setSecret and finishSecret is held open for seconds;
single user and alternating users, on PostgreSQL and MariaDB, with reads at once and reads that lag.
Then once more with the ladder off, and with AWS's caching client, to see what it prevents. Ends
with 1 if a request of ours failed, if none did with the ladder off, or if there was no server.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from smclient_demo.mariadb_server import MariaDBServer
from smclient_demo.postgres_server import PostgresServer
from smclient_demo.proof import Case, Outcome, run_cases
from smclient_demo.server_home import ServerUnavailableError

SERVERS = {"postgres": PostgresServer, "mariadb": MariaDBServer}
ROW = "{:<9} {:<12} {:<27} {:>5} {:>9} {:>9} {:>7} {:>8} {:>9} {:>8}"
HEADERS = (
    *("server", "users", "how", "lag", "requests", "failed", "logins"),
    *("calls/rot", "worst_ms", "pending"),  # API calls for each rotation; logins by AWSPENDING
)


def main() -> int:
    options = _options()
    print(ROW.format(*HEADERS))
    broken: list[str] = []
    ran = 0
    for name in options.servers:
        try:
            with SERVERS[name](max_connections=50 + 25 * 8) as server:
                for outcome in run_cases(server, list(_cases(options))):
                    print(ROW.format(*_row(outcome)), flush=True)
                    broken += [f"{name}, {outcome.case}: {told}" for told in outcome.broken()]
                    ran += 1
        except ServerUnavailableError as error:
            print(f"{name}: left out: {error}")
    if not ran:
        broken.append("nothing was run, so nothing was shown")
    print(*broken, sep="\n")
    return 1 if broken else 0


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    shape = {"rotations": options.rotations, "hold": options.hold, "threads": options.threads}
    for lag in (0.0, options.lag):
        for users in ("single", "alternating"):
            yield Case(users, lag=lag, **shape)
    yield Case("single", "ladder off", **shape)
    try:
        import aws_secretsmanager_caching  # noqa: F401
    except ImportError:
        print("aws-secretsmanager-caching is not installed: left out")
    else:
        yield Case("single", "aws-secretsmanager-caching", **shape)


def _row(outcome: Outcome) -> tuple[object, ...]:
    case, usage = outcome.case, outcome.usage
    return (
        outcome.server,
        case.users,
        case.how,
        f"{case.lag:g}",
        outcome.requests,
        outcome.failed,
        outcome.logins,
        "-" if usage is None else f"{usage.calls / max(1, outcome.rotated):.1f}",
        f"{1000 * outcome.slowest:.0f}",
        "-" if usage is None else usage.logins.get("AWSPENDING", 0),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--rotations", type=int, default=10)
    parser.add_argument("--hold", type=float, default=2.0, help="seconds of each window")
    parser.add_argument("--lag", type=float, default=5.0, help="seconds that reads may be behind")
    parser.add_argument("--threads", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
