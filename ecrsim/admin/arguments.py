"""Arguments of admin routes, read and checked in one place, and JSON answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from flask import Response, request
from werkzeug.exceptions import BadRequest

from ecrsim.core.numbers import whole
from ecrsim.spelling import hint


def json_body(*members: str, optional: bool = False) -> Mapping[str, Any]:
    """The body, which is a JSON object. BadRequest. `optional`: nothing is an empty object.

    Where members are named it has no others: one that is misspelt would have no effect, and nobody would be told.
    """
    content = request.get_data()
    if optional and not content.strip():
        return {}
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(body, Mapping):
        raise BadRequest("the body is not an object")
    _no_others(body, members, "member")
    return body


def check_query(*names: str) -> None:
    """BadRequest when the query has a parameter of another name."""
    _no_others(request.args, names, "parameter")


def _no_others(given: Iterable[str], known: tuple[str, ...], what: str) -> None:
    for name in given:
        if known and name not in known:
            raise BadRequest(f"there is no {what} {name}{hint(name, known)}")


def number(name: str, default: int) -> int:
    """A whole number of the query. BadRequest."""
    found = whole(request.args.get(name, str(default)))
    if found is None:
        raise BadRequest(f"{name} is a whole number")
    return found


def json_answer(content: Any) -> Response:
    return Response(orjson.dumps(content), mimetype="application/json")
