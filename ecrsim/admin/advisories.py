"""Admin routes of advisories: what scans know, and what a test would have them know."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest, Conflict

from ecrsim.admin.arguments import json_answer, json_body
from ecrsim.core.clock import parse_iso
from ecrsim.core.durations import SECOND
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.scanning.advisories import AdvisoriesBusy, RecordsRefused, open_advisories
from ecrsim.ecr.scanning.vex import VexError


def advisory_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("advisories", __name__, url_prefix="/_ecrsim")

    @routes.get("/advisories")
    def get_advisories() -> Response:
        """The sources, and what is ignored."""
        return _answer(runtime)

    @routes.put("/advisories")
    def put_advisories() -> Response:
        """Replace what was put before: records in the OSV schema, what is ignored, OpenVEX documents.

        A member that is not given stays as it is. One record that is refused, and nothing is changed.
        """
        body = json_body("records", "ignored", "vex")
        parts = {name: _list(body, name) for name in ("records", "ignored", "vex") if name in body}
        ignored = None if "ignored" not in parts else [_ignored(each) for each in parts["ignored"]]
        try:
            open_advisories(runtime).replace_added(parts.get("records"), ignored, parts.get("vex"))
        except (RecordsRefused, VexError) as error:
            raise BadRequest(str(error)) from None
        except AdvisoriesBusy as error:
            raise Conflict(str(error)) from None
        return _answer(runtime)

    return routes


def _answer(runtime: Runtime) -> Response:
    found = open_advisories(runtime).snapshot()
    return json_answer(
        {
            "revision": found.revision,
            "updatedAt": found.updated_at,
            "sources": [each._asdict() for each in found.sources()],
            "ignored": [each._asdict() for each in found.ignored()],
        }
    )


def _list(body: Any, member: str) -> list[Any]:
    if not isinstance(body[member], list):
        raise BadRequest(f"{member} is not a list")
    return list(body[member])


def _ignored(entry: Any) -> tuple[str, str, float | None, str]:
    """`{"id": "CVE-…", "repository": "app", "until": "2026-12-31", "reason": "…"}`; all but the id may be left out."""
    if not isinstance(entry, dict) or entry.keys() - {"id", "repository", "until", "reason"}:
        raise BadRequest("ignored holds objects of id, repository, until and reason")
    texts = [entry.get(name) or "" for name in ("id", "repository", "until", "reason")]
    if not all(isinstance(text, str) for text in texts) or not texts[0]:
        raise BadRequest("an entry of ignored has an id, and texts")
    try:
        until = parse_iso(texts[2]) / SECOND if texts[2] else None
    except (ValueError, OverflowError):
        raise BadRequest(f"{texts[2]} is no date") from None
    return texts[0], texts[1], until, texts[3]
