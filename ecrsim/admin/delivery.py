"""Admin routes of delivery: where events go, how far each target is, and a wait until all of them are done."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify
from werkzeug.exceptions import BadRequest

from ecrsim.admin.arguments import json_answer, json_body
from ecrsim.admin.guard import reaches_beyond
from ecrsim.core.outbox import newest
from ecrsim.core.runtime import Runtime
from ecrsim.delivery import targets
from ecrsim.delivery.reach import Reach
from ecrsim.delivery.targets import TargetsError

#: Seconds: the longest wait, what it is without a wish, and how long between two looks.
_LONGEST, _USUAL, _STEP = 300.0, 10.0, 0.05


def delivery_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("delivery", __name__, url_prefix="/_ecrsim")

    @routes.put("/targets")
    @reaches_beyond
    def put_targets() -> Response:
        """Replace all targets and rules."""
        try:
            with runtime.database.write() as connection:
                counts = targets.replace_all(connection, json_body(), Reach.of(runtime.config, runtime.data_dir))
        except TargetsError as error:
            raise BadRequest(str(error)) from None
        return jsonify(counts)

    @routes.get("/targets")
    def get_targets() -> Response:
        """Targets without secrets, how far each is, and the rules."""
        with runtime.database.read() as connection:
            found = {"targets": targets.state(connection), "rules": _rules(targets.known(connection).rules)}
        return json_answer(found)

    @routes.post("/targets/settle")
    def settle() -> Response:
        """Answer once every target is done with the events that there are now; 504 with those that are not in time."""
        deadline = time.monotonic() + _seconds(json_body("seconds", optional=True))
        with runtime.database.read() as connection:
            last = newest(connection)
        pause = threading.Event()
        while True:
            with runtime.database.read() as connection:
                late = targets.behind(connection, last)
            if not late:
                return jsonify(status="ok", sequence=last)
            left = deadline - time.monotonic()
            if left <= 0:
                names = ", ".join(target["name"] for target in late)
                answer = jsonify(message=f"not done in time: {names}", behind=late)
                answer.status_code = 504
                return answer
            pause.wait(min(_STEP, left))

    return routes


def _rules(rules: tuple[targets.EventRule, ...]) -> list[dict[str, Any]]:
    return [{"name": rule.name, "pattern": rule.pattern, "targets": list(rule.targets)} for rule in rules]


def _seconds(body: Mapping[str, Any]) -> float:
    seconds = body.get("seconds", _USUAL)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST:
        raise BadRequest(f"seconds is a number from 0 to {_LONGEST:g}")
    return seconds
