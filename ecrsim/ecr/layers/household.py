"""What layers need at the start."""

from __future__ import annotations

from ecrsim.core.household import at_start
from ecrsim.core.runtime import Runtime


@at_start
def make_download_key(runtime: Runtime) -> None:
    """Whoever asked for the first URL would have to wait for the writer."""
    runtime.secret("download")
