"""Admin routes of lifecycle policies: the images of a repository, as a forecast of a policy wants them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest

from ecrsim.admin.arguments import check_query, json_answer, number
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr.images.pulls import write_pulls
from ecrsim.ecr.lifecycle.engine import LifecycleImage
from ecrsim.ecr.lifecycle.service import find_policy
from ecrsim.ecr.lifecycle.state import images_of
from ecrsim.ecr.repositories.service import get_repository

_PAGE = 5000


def lifecycle_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("lifecycle", __name__, url_prefix="/_ecrsim/lifecycle")

    @routes.get("/images")
    def images() -> Response:
        """Images after the number `after`, in the order of their pushes, with all that a policy asks of them.

        `next` is the number to go on after, null on the last page. Times are epoch milliseconds. What an index lists
        is there too, which DescribeImages does not say.
        """
        check_query("repository", "registryId", "region", "after", "limit")
        registry, name = _registry(runtime), request.args.get("repository", "")
        if not name:
            raise BadRequest("repository is the name of a repository")
        after, limit = number("after", 0), min(number("limit", _PAGE), _PAGE) or 1
        with runtime.call(root_caller(*registry[:2])) as call:
            write_pulls(call)
            repository = get_repository(call, registry, name)
            found = images_of(call.connection, repository.id, after, limit + 1)
            policy = find_policy(call, repository.id)
            page = found[:limit]
            return json_answer(
                {
                    "registryId": registry.account,
                    "repositoryName": name,
                    "now": call.now,
                    "lifecyclePolicyText": policy.lifecycle_policy_text if policy else None,
                    "images": [_members(image) for image in page],
                    "next": page[-1].id if len(found) > limit else None,
                }
            )

    return routes


def _registry(runtime: Runtime) -> Registry:
    account = request.args.get("registryId") or runtime.config.account
    return Registry(account, request.args.get("region") or runtime.config.region)


def _members(image: LifecycleImage) -> dict[str, Any]:
    return {
        "id": image.id,
        "imageDigest": image.image_digest,
        "imageTags": image.image_tags,
        "imagePushedAt": image.image_pushed_at,
        "storageClass": image.storage_class,
        "imageSizeInBytes": image.image_size_in_bytes,
        "lastRecordedPullTime": image.last_recorded_pull_time,
        "lastArchivedAt": image.last_archived_at,
        "lastActivatedAt": image.last_activated_at,
        "subjectManifestDigest": image.subject,
        "references": image.references,
    }
