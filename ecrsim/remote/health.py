"""Whether an ecrsim answers, and waiting until one does: wait."""

from __future__ import annotations

import argparse
import time

from ecrsim.config import Config
from ecrsim.remote import RemoteError, address, ask

#: Seconds between two questions, and the least and the most that one of them may take.
_PAUSE, _LEAST, _PATIENCE = 0.1, 1, 3


def wait(config: Config, options: argparse.Namespace) -> int:
    """Returns as soon as an ecrsim can work. RemoteError when the time is over, with the reason of the last try.

    Health answers without a token, and where the admin surface is switched off.
    """
    if config.port == 0:
        raise RemoteError("a port is needed: the ready line of `ecrsim serve --port 0` says which one it took")
    deadline = time.monotonic() + options.timeout
    while True:
        left = deadline - time.monotonic()
        try:
            found = ask(config, "GET", "/_ecrsim/health", timeout=min(max(left, _LEAST), _PATIENCE))
            print(f"ecrsim {found['version']} answers on {address(config)}")
        except RemoteError as error:
            if time.monotonic() + _PAUSE > deadline:
                raise RemoteError(f"{error} (waited {options.timeout} s)") from error
            time.sleep(_PAUSE)
        else:
            return 0
