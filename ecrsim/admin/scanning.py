"""Admin routes of scans: examine an image here and now, and set findings for a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest, UnprocessableEntity

from ecrsim.admin.arguments import check_query, json_answer, json_body
from ecrsim.core.clock import iso
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime, root_caller
from ecrsim.ecr.images.lookup import get_image, tags_of
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.repositories.service import get_repository
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.scanning import given_findings
from ecrsim.ecr.scanning.beginning import unscannable
from ecrsim.ecr.scanning.bills import image_of_platform
from ecrsim.ecr.scanning.examination_input import plan, remember
from ecrsim.ecr.scanning.examination_messages import Examined
from ecrsim.ecr.scanning.examiner_process import examiner_of

_PLACE = ("repositoryName", "imageId", "registryId", "region")


def scanning_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("scanning", __name__, url_prefix="/_ecrsim")

    @routes.post("/scan")
    def scan() -> Response:
        """What is vulnerable in an image now; no scan of ECR's is begun, and none is counted.

        422 with the reason when it cannot be read.
        """
        body = json_body(*_PLACE, "platform")
        registry, name, image_id = _place(runtime, body)
        with runtime.call(root_caller(*registry[:2])) as call:
            with call.reading():
                repository, image = _found(call, registry, name, image_id, platform=body.get("platform"))
                planned = plan(call, repository, image.id, ("ENHANCED",))
                tags = tags_of(call, image)
            if planned is None:
                raise UnprocessableEntity("The image is archived.")
            examined = examiner_of(runtime).examine(planned.asked)
            if examined.read:
                with call.writing():
                    remember(call, examined.read)
            if examined.failure is not None:
                raise UnprocessableEntity(examined.failure)
            about: dict[str, Any] = {"registryId": registry.account, "region": registry.region, "repositoryName": name}
            about |= {"imageDigest": image.image_digest, "imageTags": tags, "scannedAt": iso(call.now)}
            return json_answer(about | _document(examined))

    @routes.put("/scan-findings")
    def set_findings() -> Response:
        """Let scans of an image find these: `findings` of ECR's answer, or `enhancedFindings`, as boto3 shows them."""
        body = json_body(*_PLACE, *given_findings.MEMBERS.values())
        registry, name, image_id = _place(runtime, body)
        given = {kind: body[member] for kind, member in given_findings.MEMBERS.items() if member in body}
        if not given:
            raise BadRequest("findings or enhancedFindings are the findings to set")
        try:
            wanted = {kind: given_findings.read(kind, value) for kind, value in given.items()}
        except given_findings.FindingsRefused as error:
            raise BadRequest(str(error)) from None
        with runtime.call(root_caller(*registry[:2])) as call, call.writing():
            repository, image = _found(call, registry, name, image_id)
            for kind, found in wanted.items():
                given_findings.put(call, repository, image, kind, found)
            return _sources(call, image)

    @routes.get("/scan-findings")
    def say_what_is_set() -> Response:
        """Of which scan types the findings of an image were `set`, and of which they come from a `scan`."""
        return _of_query(runtime)

    @routes.delete("/scan-findings")
    def forget_findings() -> Response:
        """Let scans of an image find what is there again."""
        return _of_query(runtime, forget=True)

    return routes


def _of_query(runtime: Runtime, *, forget: bool = False) -> Response:
    check_query("repositoryName", "imageDigest", "imageTag", "registryId", "region")
    given = request.args.to_dict()
    named = {name: given.pop(name) for name in ("imageDigest", "imageTag") if name in given}
    registry, name, image_id = _place(runtime, {**given, "imageId": named})
    with runtime.call(root_caller(*registry[:2])) as call, call.writing():
        _, image = _found(call, registry, name, image_id)
        if forget:
            given_findings.forget(call, image)
        return _sources(call, image)


def _sources(call: Call, image: Image) -> Response:
    source = {kind: "set" if given_findings.is_set(call, image, kind) else "scan" for kind in given_findings.MEMBERS}
    return json_answer({"imageDigest": image.image_digest, "source": source})


def _place(runtime: Runtime, body: Mapping[str, Any]) -> tuple[Registry, str, dict[str, str]]:
    name, image_id = body.get("repositoryName"), body.get("imageId")
    if not isinstance(name, str) or not isinstance(image_id, dict) or not image_id:
        raise BadRequest("repositoryName and imageId say which image: imageDigest, imageTag")
    account, region = body.get("registryId") or runtime.config.account, body.get("region") or runtime.config.region
    if not all(isinstance(each, str) for each in (account, region, *image_id.values())):
        raise BadRequest("registryId, region and the members of imageId are texts")
    return Registry(account, region), name, image_id


def _found(
    call: Call, registry: Registry, name: str, image_id: Mapping[str, str], **of_index: Any
) -> tuple[Repository, Image]:
    """`platform`: which image of an index; without it an index is none."""
    repository = get_repository(call, registry, name)
    image = get_image(call, repository, image_id, "imageId")
    if of_index:
        image = image_of_platform(call, repository, image, of_index["platform"])
    media_type = unscannable(call, image)
    if media_type is not None:
        raise UnprocessableEntity(f"An artifact with media type '{media_type}' cannot be scanned.")
    return repository, image


def _document(examined: Examined) -> dict[str, Any]:
    reasons = {name: reason for name, _, reason in examined.suppressed.get("ENHANCED", ())}
    found = [
        each | {"suppressed": reasons.get(finding.name)}
        for finding in sorted(examined.findings["ENHANCED"], key=lambda each: (each.rank, each.name))
        for each in orjson.loads(finding.detail)
    ]
    return {
        "system": None if examined.system is None else " ".join(examined.system),
        "architecture": examined.architecture,
        "advisoriesUpdatedAt": iso(examined.advisories_updated_at),
        "vulnerabilities": found,
    }
