"""Uploads of layers to another site that are under way, so that a restart goes on with them where they stood."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select

from ecrsim.core.durations import DAY
from ecrsim.core.jobs import Job, is_pending
from ecrsim.core.query import Change, Query, upsert
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.replication.tables import replication_uploads

#: What nobody went on with for so long is forgotten: no registry keeps an upload for longer.
KEPT = 7 * DAY

_IS_IT = (
    (replication_uploads.c.registry_id == bindparam("registry_id"))
    & (replication_uploads.c.region == bindparam("region"))
    & (replication_uploads.c.repository_name == bindparam("repository_name"))
    & (replication_uploads.c.layer_digest == bindparam("layer_digest"))
)
_FIND = Query(select(replication_uploads.c.location).where(_IS_IT), str)
_FORGET = Change(delete(replication_uploads).where(_IS_IT))
_TIDY = Change(delete(replication_uploads).where(replication_uploads.c.updated_at < bindparam("before")))


class KeptUpload:
    """An `UploadSession` (`core/upstream/pushing.py`) of one layer. Writes for as long as the job waits."""

    def __init__(self, call: Call, job: Job, destination: Registry, repository_name: str, layer_digest: str) -> None:
        self._call = call
        self._job = job
        self._key = {
            "registry_id": destination.account,
            "region": destination.region,
            "repository_name": repository_name,
            "layer_digest": layer_digest,
        }
        self._known: str | None = None

    def find(self) -> str | None:
        with self._call.reading():
            self._known = _FIND.first(self._call.connection, **self._key)
        return self._known

    def keep(self, location: str) -> None:
        if location == self._known:
            return
        now = self._call.runtime.clock.now()
        with self._call.writing():
            if is_pending(self._call, self._job):
                upsert(self._call.connection, replication_uploads, self._key, {"location": location, "updated_at": now})
                _TIDY.run(self._call.connection, before=now - KEPT)
        self._known = location

    def forget(self) -> None:
        if self._known is None and self.find() is None:
            return
        with self._call.writing():
            _FORGET.run(self._call.connection, **self._key)
        self._known = None
