"""Admin routes of time: the clock, and the jobs that hang on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest, Conflict, NotFound

from ecrsim.admin.arguments import check_query, json_answer, json_body, number
from ecrsim.core import jobs
from ecrsim.core.clock import REAL, Clock, Setting, iso
from ecrsim.core.clock_advance import advance, set_clock
from ecrsim.core.clock_setting import ClockError, ClockSetMeanwhile, instant
from ecrsim.core.durations import DAY, SECOND
from ecrsim.core.runtime import Runtime

_STATES = ("PENDING", "DONE", "FAILED")
_MAX_PAGE = 1000
#: Seconds for which jobs are run at a request: clients wait for an answer no longer than a minute.
_TURN = 20


def time_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("time", __name__, url_prefix="/_ecrsim")

    @routes.get("/clock")
    def get_clock() -> Response:
        """The clock as the admin surface shows it: `{"now": …, "mode": …, "offsetSeconds": …}`."""
        return jsonify(_clock(runtime.clock))

    @routes.put("/clock")
    def put_clock() -> Response:
        """`{"mode": "real|frozen|offset", "now": ISO 8601}`; what is left out stays, but `real` alone is real time."""
        try:
            setting = _setting(runtime.clock, json_body("mode", "now"))
        except ClockError as error:
            raise BadRequest(str(error)) from None
        set_clock(runtime, setting)
        return jsonify(_clock(runtime.clock))

    @routes.post("/clock/advance")
    def advance_clock() -> Response:
        """`{"seconds": n}`, `{"days": n}` or both: answers with what ran on the way."""
        body = json_body("seconds", "days")
        if not body:
            raise BadRequest('the body is {"seconds": n} or {"days": n}')
        milliseconds = round(_amount(body, "seconds") * SECOND + _amount(body, "days") * DAY)
        try:
            ran = advance(runtime, milliseconds)
        except ClockSetMeanwhile as error:
            raise Conflict(str(error)) from None
        except ClockError as error:
            raise BadRequest(str(error)) from None
        return json_answer({**_clock(runtime.clock), "ran": [_ran(each) for each in ran]})

    @routes.get("/jobs")
    def get_jobs() -> Response:
        """Jobs after the number `after`, in the order in which they were made, and how many there are of each state."""
        check_query("state", "after", "limit")
        state = request.args.get("state")
        if state is not None and state not in _STATES:
            raise BadRequest(f"state is {', '.join(_STATES)}")
        after = number("after", 0)
        with runtime.database.read() as connection:
            found = jobs.page(connection, after, min(number("limit", 100), _MAX_PAGE), state)
            counts = jobs.counts(connection)
        return json_answer(
            {
                "jobs": [_job(each) for each in found],
                "counts": {name: counts.get(name, 0) for name in _STATES},
                "next": found[-1].id if found else after,
            }
        )

    @routes.post("/jobs/run")
    def run_jobs() -> Response:
        """Run what is due, for 20 s; `left` is still to be run. `{"id": n}` makes a job due, also one that FAILED."""
        body = json_body("id", optional=True)
        if "id" in body:
            chosen = body["id"]
            if type(chosen) is not int or not 0 < chosen < 1 << 63 or not jobs.run_again(runtime, chosen):
                raise NotFound(f"no job {chosen} waits or has failed")
        ran = jobs.run_due(runtime, turn=_TURN, gives_way=True)
        return json_answer({"ran": [_ran(each) for each in ran], "left": jobs.count_due(runtime)})

    return routes


def _clock(clock: Clock) -> dict[str, Any]:
    setting = clock.setting
    return {
        "now": iso(clock.now()),
        "mode": setting.mode,
        "offsetSeconds": None if setting.is_frozen else setting.value / SECOND,
    }


def _setting(clock: Clock, body: Mapping[str, Any]) -> Setting:
    mode, now = body.get("mode"), body.get("now")
    if (mode is None and now is None) or (now is not None and not isinstance(now, str)):
        raise ClockError('the body is {"mode": "real|frozen|offset", "now": ISO 8601}, or one of the two')
    if mode not in (None, "real", "frozen", "offset"):
        raise ClockError("mode is real, frozen or offset")
    moment = clock.now() if now is None else instant(now)
    if mode == "frozen" or (mode is None and clock.setting.is_frozen):
        return Setting(True, moment)
    if mode == "real" and now is None:
        return REAL
    return Setting(False, moment - clock.unturned())


def _amount(body: Any, name: str) -> float:
    value = body.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise BadRequest(f"{name} is a number, 0 or more")
    return value


def _job(job: jobs.Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "key": job.key,
        "account": job.registry_id,
        "region": job.region,
        "payload": job.payload,
        "runAt": iso(job.run_at),
        "state": job.state,
        "attempts": job.attempts,
        "error": job.error,
        "ranAt": None if job.ran_at is None else iso(job.ran_at),
    }


def _ran(ran: jobs.Ran) -> dict[str, Any]:
    job = ran.job
    return {
        "id": job.id,
        "kind": job.kind,
        "account": job.registry_id,
        "region": job.region,
        "payload": job.payload,
        "at": iso(ran.at),
        "error": ran.error,
    }
