"""Work on layers at the start."""

from __future__ import annotations

from ecrsim.core.household import at_start
from ecrsim.core.runtime import Runtime


@at_start
def make_download_key(runtime: Runtime) -> None:
    """Make the key of download URLs at the start: the first request for one would have to wait for the writer."""
    runtime.secret("download")
