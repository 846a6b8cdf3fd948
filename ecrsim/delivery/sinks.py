"""How an envelope reaches a file, a bus of EventBridge or a queue of SQS, and which sink a target has."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from ecrsim.core.neighbours import Access, Neighbour, NeighbourError
from ecrsim.core.partitions import PARTITIONS
from ecrsim.delivery.parcels import EventSink, Parcel, Refused, Undelivered
from ecrsim.delivery.reach import OutOfReach, Reach
from ecrsim.delivery.targets import Target
from ecrsim.delivery.webhook import WebhookSink

#: Entries that PutEvents takes in a call, and bytes that they must stay below (documented).
ENTRIES = 10
ENTRY_BYTES = 256 * 1024
#: The longest MessageGroupId (documented).
_GROUP = 128
_SUFFIXES = "|".join(sorted({re.escape(each.dns_suffix) for each in PARTITIONS}))
_AWS_QUEUE = re.compile(rf"(?:sqs\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.(?:{_SUFFIXES})", re.ASCII)


def sink_of(target: Target, reach: Reach, region: str, now: Callable[[], int]) -> EventSink:
    """The sink of a target that was checked. `now`: the real time, epoch milliseconds."""
    settings = target.settings
    match target.type:
        case "file":
            return FileSink(settings["path"], reach)
        case "webhook":
            return WebhookSink(settings["url"], settings.get("secret"), now, link_local=reach.link_local)
        case "eventbridge":
            access = _access(settings, region)._replace(link_local=reach.link_local)
            return EventBridgeSink(Neighbour("events", access), settings.get("event_bus"), settings.get("source"))
        case "sqs":
            access = _queue_access(settings, region)._replace(link_local=reach.link_local)
            return SqsSink(Neighbour("sqs", access), settings["queue_url"])
    raise ValueError(f"there are no targets of type {target.type}")


def _access(settings: dict[str, str], region: str) -> Access:
    return Access(
        settings.get("region", region),
        settings.get("endpoint_url"),
        settings.get("access_key_id"),
        settings.get("secret_access_key"),
    )


def _queue_access(settings: dict[str, str], region: str) -> Access:
    """A queue's URL says where it is, unless something else was said."""
    parts = urlsplit(settings["queue_url"])
    at_aws = _AWS_QUEUE.fullmatch(parts.hostname or "")
    access = _access(settings, region)
    if at_aws is not None:
        return access._replace(region=settings.get("region") or at_aws[1] or at_aws[2])
    return access._replace(endpoint_url=access.endpoint_url or f"{parts.scheme}://{parts.netloc}")


# --- file -------------------------------------------------------------------------------------------------------------


class FileSink:
    """Appends JSON lines. The file is opened for each delivery, so that it may be moved away or deleted meanwhile.

    A crash, or a full disk, may leave a line that is torn: what comes next begins a line of its own, and the event that
    was torn is written again. A file that holds something else is left alone.
    """

    def __init__(self, path: str, reach: Reach) -> None:
        self._path = path
        self._reach = reach

    def take(self, parcels: Sequence[Parcel]) -> int:
        return len(parcels)

    def deliver(self, parcels: Sequence[Parcel]) -> None:
        done = 0
        try:
            # Looked up each time: a link may lead elsewhere by now.
            file = self._reach.file(self._path)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(file, flags, 0o600)
            try:
                lead = _lead(descriptor)
                for parcel in parcels:
                    _write(descriptor, lead + parcel.body + b"\n")
                    lead = b""
                    done += 1
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Undelivered(f"{self._path}: {error.strerror or error}", done) from error
        except OutOfReach as error:
            raise Undelivered(str(error), done) from error

    def rest(self) -> None:
        return None

    def close(self) -> None:
        return None

    def abort(self) -> None:
        return None


def _lead(descriptor: int) -> bytes:
    """The bytes to write before a new line. Undelivered when the file is none of JSON lines."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return b""
    if os.pread(descriptor, 1, 0) not in (b"{", b"\n"):
        raise Undelivered("the file holds something else than JSON lines; it was left alone")
    return b"" if os.pread(descriptor, 1, status.st_size - 1) == b"\n" else b"\n"


def _write(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]


# --- EventBridge ------------------------------------------------------------------------------------------------------


class EventBridgeSink:
    """PutEvents to a bus: the default one, or that of a name or ARN.

    The bus takes or refuses each entry of a call by itself. So a call holds one entry of each repository at most: when
    an entry in the middle fails, nothing later of its repository has been taken. Entries behind it that were taken are
    of other repositories; they are remembered and not sent again, unless ecrsim is restarted before.

    AWS's own buses refuse entries whose source begins with `aws.` (NotAuthorizedForSourceException): there `source`
    replaces it. moto and LocalStack take them as they are. The bus gives each event its own id, time in whole seconds,
    account and region.
    """

    def __init__(self, neighbour: Neighbour, event_bus: str | None, source: str | None) -> None:
        self._neighbour = neighbour
        self._bus = {"EventBusName": event_bus} if event_bus else {}
        self._source = source
        #: Sequence numbers that were taken while one before them failed.
        self._taken: set[int] = set()

    def take(self, parcels: Sequence[Parcel]) -> int:
        groups, size = set(), 0
        for number, parcel in enumerate(parcels):
            size += _entry_size(self._entry(parcel))
            is_full = number == ENTRIES or parcel.group in groups or size >= ENTRY_BYTES
            if number and is_full:
                return number
            groups.add(parcel.group)
        return len(parcels)

    def deliver(self, parcels: Sequence[Parcel]) -> None:
        sent = [parcel for parcel in parcels if parcel.sequence not in self._taken]
        entries = [self._entry(parcel) for parcel in sent]
        if not entries:
            return
        size = _entry_size(entries[0])
        if size >= ENTRY_BYTES:  # `take` lets it go alone
            raise Refused(f"EventBridge takes less than {ENTRY_BYTES} bytes, and this is {size}")
        try:
            answer = self._neighbour.call("put_events", Entries=entries)
        except NeighbourError as error:
            raise Undelivered(str(error)) from error
        results = answer.get("Entries") or []
        if len(results) != len(entries):
            raise Undelivered(f"PutEvents answered {len(results)} results for {len(entries)} entries")
        self._settle(parcels, sent, results)

    def _settle(self, parcels: Sequence[Parcel], sent: Sequence[Parcel], results: Sequence[dict[str, Any]]) -> None:
        failed = {
            parcel.sequence: result
            for parcel, result in zip(sent, results, strict=True)
            if result.get("ErrorCode") or not result.get("EventId")
        }
        if not failed:
            self._taken.clear()
            return
        self._taken.update(parcel.sequence for parcel in sent if parcel.sequence not in failed)
        first = min(failed)
        self._taken = {sequence for sequence in self._taken if sequence > first}
        done = next(number for number, parcel in enumerate(parcels) if parcel.sequence == first)
        result = failed[first]
        raise Undelivered(f"{result.get('ErrorCode')}: {result.get('ErrorMessage')}", done)

    def _entry(self, parcel: Parcel) -> dict[str, Any]:
        envelope = parcel.envelope
        return {
            "Time": envelope["time"],
            "Source": self._source or envelope["source"],
            "DetailType": envelope["detail-type"],
            "Resources": envelope["resources"],
            "Detail": orjson.dumps(envelope["detail"]).decode(),
            **self._bus,
        }

    def rest(self) -> None:
        return None

    def close(self) -> None:
        self._neighbour.close()

    def abort(self) -> None:
        return None


def _entry_size(entry: dict[str, Any]) -> int:
    """Bytes of an entry as EventBridge counts them: 14 for the time, and four members in UTF-8 (documented)."""
    texts = [entry["Source"], entry["DetailType"], entry["Detail"], *entry["Resources"]]
    return 14 + sum(len(text.encode()) for text in texts)


# --- SQS --------------------------------------------------------------------------------------------------------------


class SqsSink:
    """SendMessage, one at a time. A FIFO queue keeps the order of each repository and drops what comes twice.

    Other queues keep no order of their own, whatever order messages are sent in.
    """

    def __init__(self, neighbour: Neighbour, queue_url: str) -> None:
        self._neighbour = neighbour
        self._queue_url = queue_url
        self._is_fifo = queue_url.endswith(".fifo")

    def take(self, parcels: Sequence[Parcel]) -> int:
        return 1

    def deliver(self, parcels: Sequence[Parcel]) -> None:
        (parcel,) = parcels
        order: dict[str, str] = {}
        if self._is_fifo:
            order = {"MessageGroupId": _group_id(parcel), "MessageDeduplicationId": parcel.event.event_id}
        try:
            self._neighbour.call("send_message", QueueUrl=self._queue_url, MessageBody=parcel.body.decode(), **order)
        except NeighbourError as error:
            # How long a message may be is a setting of the queue, and the code is that of any wrong parameter.
            if error.code == "InvalidMessageContents" or "must be shorter than" in str(error):
                raise Refused(str(error)) from error
            raise Undelivered(str(error)) from error

    def rest(self) -> None:
        return None

    def close(self) -> None:
        self._neighbour.close()

    def abort(self) -> None:
        return None


def _group_id(parcel: Parcel) -> str:
    registry, repository = parcel.group
    text = f"{registry.account}/{repository}" if repository else registry.account
    return text if len(text) <= _GROUP else hashlib.sha256(text.encode()).hexdigest()
