"""Admin routes of signing: profiles all at once, what a verifier trusts, and what signatures an image has."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest

from ecrsim.admin.arguments import check_query, json_answer, json_body
from ecrsim.core.clock import iso
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr.access.directory import DirectoryError, replace_section
from ecrsim.ecr.images.lookup import get_image
from ecrsim.ecr.repositories.service import get_repository, repository_uri
from ecrsim.ecr.signing import profiles
from ecrsim.ecr.signing.profiles import ProfileRefused, SigningProfile, WantedProfile
from ecrsim.ecr.signing.service import statuses

_SECTION = "signing_profiles"


def signing_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("signing", __name__, url_prefix="/_ecrsim")
    config = runtime.config

    @routes.get("/signing-profiles")
    def get_profiles() -> Response:
        """All profiles of all accounts, by ARN."""
        with runtime.database.read() as connection:
            return json_answer({_SECTION: [_shown(each) for each in profiles.everywhere(connection)]})

    @routes.put("/signing-profiles")
    def put_profiles() -> Response:
        """Make these the profiles that there are; those described as before keep their keys."""
        body = json_body(_SECTION)
        if _SECTION not in body:
            raise BadRequest(f"{_SECTION} is the list of all profiles that there are to be")
        try:
            with runtime.database.write() as connection:
                replace_section(connection, _SECTION, body, config.account, config.region)
        except DirectoryError as error:
            raise BadRequest(str(error)) from None
        return get_profiles()

    @routes.post("/signing-profiles")
    def create_profile() -> Response:
        """Make one more of the platform that images are signed with, or a new version of it."""
        body = json_body("name", "account", "region")
        try:
            name = profiles.name_in(body, config.account, config.region)
            with runtime.database.write() as connection:
                return json_answer(_shown(profiles.put(connection, WantedProfile(name))))
        except (DirectoryError, ProfileRefused) as error:
            raise BadRequest(str(error)) from None

    @routes.get("/signer/root")
    def get_root() -> Response:
        """The certificate that all signatures end in, as PEM: what a verifier has to trust."""
        # 80 ms and 8 MB of cryptography that an ecrsim does without which signs nothing.
        from ecrsim.ecr.signing import keys

        return json_answer({"certificate": keys.root_of(runtime).pem, "revocationList": keys.list_url(runtime)})

    @routes.get("/signatures")
    def get_signatures() -> Response:
        """The signatures of `image` (`app`, `app:tag`, `app@sha256:…`), in words, and the statuses of its signing."""
        # 80 ms and 8 MB of cryptography that an ecrsim does without which signs nothing.
        from ecrsim.ecr.signing.examination import gather, judge

        check_query("image", "account", "region")
        name, image_id = _named(request.args.get("image", ""))
        account = request.args.get("account") or config.account
        registry = Registry(account, request.args.get("region") or config.region)
        with runtime.call(root_caller(*registry[:2])) as call:
            with call.reading():
                repository = get_repository(call, registry, name)
                image = get_image(call, repository, image_id, "image")
                evidence, found = gather(call, repository, image), [each.as_json() for each in statuses(call, image.id)]
            return json_answer(
                {
                    "repositoryUri": repository_uri(runtime, registry, name),
                    "imageDigest": image.image_digest,
                    "signatures": [each.as_json() for each in judge(call, evidence)],
                    "hasMore": evidence.has_more,
                    "signingStatuses": found,
                }
            )

    return routes


def _shown(profile: SigningProfile) -> dict[str, Any]:
    revoked = profile.revocation_effective_from
    return {
        "arn": profile.arn,
        "profileVersion": profile.profile_version,
        "name": profile.profile_name,
        "account": profile.account,
        "region": profile.region,
        "platform_id": profile.platform_id,
        "signature_validity_period": profile.signature_validity_period,
        "shared_with": profile.shared_with,
        "tags": profile.tags,
        "status": profile.status,
        "statusReason": profile.status_reason,
        "revocationEffectiveFrom": None if revoked is None else iso(revoked),
    }


def _named(image: str) -> tuple[str, dict[str, str]]:
    name, at, digest = image.partition("@")
    # A tag behind a repository; a digest outranks it, as in docker's references.
    name, colon, tag = name.partition(":")
    if not name or (colon and not tag) or (at and not digest):
        raise BadRequest("image is REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST")
    return name, {"imageDigest": digest} if at else {"imageTag": tag or "latest"}
