"""Admin route of bills: what an image holds, by the same list as scans go by."""

from __future__ import annotations

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest, UnprocessableEntity

from ecrsim.admin.arguments import check_query, json_answer
from ecrsim.core.clock import iso
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr.atrest.service import open_keys_now
from ecrsim.ecr.images.lookup import get_image
from ecrsim.ecr.repositories.service import get_repository, repository_uri
from ecrsim.ecr.scanning.bills import examined_for_bill, image_of_platform
from ecrsim.imagename import image_named

_PARAMETERS = ("image", "platform", "account", "region")


def bill_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("bills", __name__, url_prefix="/_ecrsim")

    @routes.get("/bill")
    def get_bill() -> Response:
        """The packages of `image` (`app`, `app:tag`, `app@sha256:…`), which need not have been scanned.

        Of an index, those of the image for `platform`. 422 with the reason when a layer cannot be read.
        """
        check_query(*_PARAMETERS)
        try:
            name, image_id = image_named(request.args.get("image", ""))
        except ValueError as error:
            raise BadRequest(str(error)) from None
        account = request.args.get("account") or runtime.config.account
        registry = Registry(account, request.args.get("region") or runtime.config.region)
        with runtime.call(root_caller(*registry[:2])) as call:
            with call.reading():
                repository = get_repository(call, registry, name)
            open_keys_now(call, repository)
            with call.reading():
                named = get_image(call, repository, image_id, "image")
                image = image_of_platform(call, repository, named, request.args.get("platform"))
            examined = examined_for_bill(call, repository, image)
            if examined.bill is None:
                raise UnprocessableEntity(examined.failure)
            return json_answer(
                {
                    "repositoryUri": repository_uri(runtime, registry, name),
                    "imageDigest": image.image_digest,
                    "now": iso(call.now),
                    "bill": examined.bill,
                }
            )

    return routes
