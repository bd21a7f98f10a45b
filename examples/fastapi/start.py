"""``python examples/fastapi/start.py``: PostgreSQL, secrets, and the app under uvicorn."""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent
sys.path.insert(0, str(HOME.parent))

from common import start  # noqa: E402


def command(port: int, workers: int) -> list[str]:
    """uvicorn, as one would run it anywhere."""
    return [
        *("-m", "uvicorn", "app:app", "--log-level", "warning"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
    ]


if __name__ == "__main__":
    start(HOME, command)
