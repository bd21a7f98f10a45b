"""``python examples/fastapi/rotate.py database|session-key|message``, while the example runs."""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent
sys.path.insert(0, str(HOME.parent))

from common import rotate  # noqa: E402

if __name__ == "__main__":
    rotate(HOME)
