"""How many requests the fuzzer sends, and from which seed: the same in every ordinary run, which a change alone breaks.

`FUZZ_REQUESTS` and `FUZZ_SEED` set them; `scripts/test` makes a seed for FUZZ_SEED=random. `FUZZ_ROUND` runs one round.
"""

import os

SEED = int(os.environ.get("FUZZ_SEED") or 20260301)
REQUESTS = int(os.environ.get("FUZZ_REQUESTS") or 4_000)
#: Requests of one round, which begins with an empty ecrsim.
TOGETHER = 450
#: One request in ten is raw bytes on a socket.
RAW = REQUESTS // 10
ROUNDS = (
    [int(os.environ["FUZZ_ROUND"])] if os.environ.get("FUZZ_ROUND") else list(range(-(-(REQUESTS - RAW) // TOGETHER)))
)
