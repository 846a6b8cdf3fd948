"""Work on access at the start and from time to time: principals are read, ended sessions are forgotten."""

from __future__ import annotations

from ecrsim.core.household import at_reset, at_start, every
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.access import loading


@at_start
@at_reset
def read_principals(runtime: Runtime) -> None:
    """DirectoryError when the file of the setting `principals` cannot be."""
    loading.load_principals(runtime)


@at_start
def make_token_key(runtime: Runtime) -> None:
    """Make the key of tokens at the start: the first login would have to wait for the writer."""
    runtime.secret("token")


@every(lambda config: config.gc_interval)
def forget_ended_sessions(runtime: Runtime) -> None:
    loading.forget_ended_sessions(runtime)
