"""``python examples/flask/start.py``: PostgreSQL, secrets, and the app under gunicorn."""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent
sys.path.insert(0, str(HOME.parent))

from common import start  # noqa: E402


def command(port: int, workers: int) -> list[str]:
    """gunicorn, as one would run it anywhere."""
    return [
        *("-m", "gunicorn", "app:create_app()"),
        *("--bind", f"127.0.0.1:{port}", "--workers", str(workers), "--threads", "4"),
    ]


if __name__ == "__main__":
    start(HOME, command)
