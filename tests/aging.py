"""Files that look older than they are."""

from __future__ import annotations

import os
from pathlib import Path


def age(store: Path | str, hours: float = 25) -> None:
    """Let the blobs and uploads of a store be so much older."""
    for part in ("blobs", "uploads"):
        for path in (Path(store) / part).rglob("*"):
            if path.is_file():
                os.utime(path, (path.stat().st_mtime - hours * 3600,) * 2)
