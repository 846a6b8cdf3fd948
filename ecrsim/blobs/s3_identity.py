"""The owner of a store in S3: `store.json` below its prefix, as a directory has it (`identity.py`)."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ecrsim.blobs.identity import NAME, InUse, StoreHome, StoreIdentity, alone
from ecrsim.blobs.s3 import Bucket, Missing, Overtaken


class S3Home(StoreHome):
    """S3 has no locks: that the store is in use is seen by those of one machine, in the directory of their database.

    On others, an ecrsim whose store was given away finds so before it deletes anything.
    """

    def __init__(self, bucket: Bucket, directory: Path) -> None:
        self._bucket, self._directory = bucket, directory
        self.place = bucket.url
        self._in_use = InUse(directory)

    def read(self) -> StoreIdentity | None:
        try:
            content = self._bucket.get(NAME)[1]
        except Missing:
            return None
        return StoreIdentity.from_json(content, f"{self.place}/{NAME}")

    def write(self, identity: StoreIdentity, *, replace: bool = False) -> bool:
        try:
            self._bucket.put(NAME, identity.to_json(), only_new=not replace)
        except Overtaken:
            return False
        return True

    def begin(self) -> None:
        self._in_use.begin()

    def end(self) -> None:
        self._in_use.end()

    def alone(self) -> contextlib.AbstractContextManager[None]:
        return alone(self._directory)
