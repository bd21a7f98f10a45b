"""What a server loads before it serves: nothing that only a client, another store, or what nobody
asked for yet needs."""

from __future__ import annotations

import subprocess
import sys

NOT_NEEDED = (
    "boto3",
    "botocore",
    "urllib3",
    "psycopg",
    "sqlalchemy.dialects.postgresql",
    "rich",
    "smclient_embedded.backup",
    "smclient_embedded.findings",
)

STARTED = """
import sys
from smclient_embedded import serve_cli
from smclient_embedded.http import app, server
from smclient_embedded.service import EmbeddedService

with EmbeddedService("embedded://" + sys.argv[1]) as service:
    service.call("ListSecrets", {})
print("\\n".join(sys.modules))
"""


def test_a_server_over_sqlite_loads_no_client_and_no_other_database(tmp_path: object) -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", STARTED, f"{tmp_path}/s.db"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    for package in NOT_NEEDED:
        assert not [name for name in loaded if name == package or name.startswith(package + ".")]
