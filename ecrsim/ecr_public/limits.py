"""How much clients may ask of ECR Public: AWS's numbers, on ecrsim's clock, with the setting `public_limits`.

A client without credentials is known by its address, any other by its account. A pull is the GET of a manifest. Those
of the images that an index lists belong to the pull of the index (inferred: one pull, and not three, is one).
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, select

from ecrsim.core.clock import iso
from ecrsim.core.public_errors import ThrottlingException
from ecrsim.core.query import Query, upsert
from ecrsim.core.runtime import Call
from ecrsim.ecr_public.tables import public_meters

#: Requests a second of an account (documented).
RATES = {
    "GetAuthorizationToken": 200,
    "BatchCheckLayerAvailability": 200,
    "InitiateLayerUpload": 10,
    "UploadLayerPart": 260,
    "CompleteLayerUpload": 10,
    "PutImage": 10,
}
#: Pulls a second of an account, and of an address without credentials (documented).
PULLS, ANONYMOUS_PULLS = 10, 1
_SECOND = 1_000_000  # in microseconds


class _Meter(NamedTuple):
    """A row of `public_meters`. `next_at` in microseconds of the epoch; `month` as 2026-01."""

    next_at: int
    month: str
    bytes: int


_METER = Query(
    select(public_meters.c.next_at, public_meters.c.month, public_meters.c.bytes).where(
        public_meters.c.subject == bindparam("subject"), public_meters.c.action == bindparam("action")
    ),
    _Meter,
)


def subject_of(call: Call) -> str:
    """The name that requests are counted under: the account, or the address of who has no credentials."""
    return call.caller.account or call.caller.source_ip


def check_rate(call: Call, action: str) -> None:
    """Count a request of an action that has a rate. ThrottlingException."""
    if call.runtime.config.public_limits and action in RATES:
        _take(call, action, RATES[action])


def check_pull(call: Call) -> None:
    """Count a pull. ThrottlingException."""
    if call.runtime.config.public_limits:
        _take(call, "pull", PULLS if call.caller.account else ANONYMOUS_PULLS)


def _take(call: Call, action: str, rate: int) -> None:
    """Count one request: a second's number may come at once, and then one in each interval. ThrottlingException."""
    with call.writing():
        meter, now, interval = _meter(call, action), call.now * 1000, _SECOND // rate
        # A `next_at` that is further ahead was written before the clock was set back, and does not hold.
        next_at = meter.next_at if now <= meter.next_at <= now + _SECOND else now
        if next_at - now > _SECOND - interval:
            raise ThrottlingException("Rate exceeded")  # R
        _put(call, action, meter._replace(next_at=next_at + interval))


def check_data(call: Call) -> None:
    """ThrottlingException for an address that has had the bytes of a month without credentials."""
    config = call.runtime.config
    if config.public_limits and not call.caller.account:
        with call.writing():
            meter = _meter(call, "data")
            if meter.bytes >= config.quota_public_data:
                raise ThrottlingException("Data limit exceeded")  # R
            _put(call, "data", meter)


def count_data(call: Call, size: int) -> None:
    """Count bytes that are sent without credentials. After `check_data`, in the same call."""
    if call.runtime.config.public_limits and not call.caller.account:
        with call.writing():
            meter = _meter(call, "data")
            _put(call, "data", meter._replace(bytes=meter.bytes + size))


def _meter(call: Call, action: str) -> _Meter:
    """The meter of the present month; months are the calendar's (inferred)."""
    found = _METER.first(call.connection, subject=subject_of(call), action=action)
    month = iso(call.now)[:7]
    if found is None or found.month != month:
        return _Meter(found.next_at if found else 0, month, 0)
    return found


def _put(call: Call, action: str, meter: _Meter) -> None:
    upsert(call.connection, public_meters, {"subject": subject_of(call), "action": action}, meter._asdict())
