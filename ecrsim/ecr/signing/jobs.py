"""The job that signs an image."""

from __future__ import annotations

from typing import Any, NamedTuple

from ecrsim.core.durations import SECOND
from ecrsim.core.errors import ServiceError, ServiceUnavailableException
from ecrsim.core.jobs import Job, finish, is_pending, job
from ecrsim.core.runtime import Call, Caller
from ecrsim.ecr.images.lookup import image_by_id, manifest_of
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.repositories.service import find_repository_by_id
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.signing import permission, profiles, rules, service
from ecrsim.ecr.signing.profiles import SigningProfile
from ecrsim.ecr.signing.rules import SigningFailure
from ecrsim.records import audit, tally


class _Wanted(NamedTuple):
    """What is to be signed, and by which profile; or why it is not."""

    repository: Repository
    image: Image
    manifest: bytes
    profile: SigningProfile | None
    failure: SigningFailure | None


def _give_up(call: Call, job: Job) -> None:
    """What was tried in vain is told as any other failure."""
    image_id, arn = job.payload["image_id"], job.payload["signing_profile_arn"]
    service.settle(call, image_id, arn, SigningFailure("INTERNAL_ERROR", "An internal error has occurred."))


@job(service.SIGN, is_long=True, given_up=_give_up)
def sign_image(call: Call, job: Job) -> None:
    """One image, one profile, as the principal that pushed it; by the rights that it has now.

    An image that was deleted meanwhile needs no signature. A permission that is missing is asked for again later.
    """
    pusher = Caller(**job.payload["pusher"])
    arn = job.payload["signing_profile_arn"]
    with call.reading():
        if not is_pending(call, job):
            return
        wanted = _look(call, job, pusher, arn)
    signature: Any = None
    failure = None if wanted is None else wanted.failure
    if wanted is not None and wanted.profile is not None and failure is None:
        # 100 ms and 9 MB of cryptography and JOSE that an ecrsim does without which signs nothing.
        from ecrsim.ecr.signing import making
        from ecrsim.ecr.signing.envelope import SignedDescriptor

        image = wanted.image
        target = SignedDescriptor(image.image_manifest_media_type, image.image_digest, len(wanted.manifest))
        try:
            signature = making.make(call, wanted.repository, wanted.profile, target)
        except rules.RootDamaged as error:
            # Not for as long as it lasts, as where a disk is full: after so many tries the image is not signed.
            raise RuntimeError(error.message) from error
        except ServiceUnavailableException:
            raise
        except rules.SigningRefused as error:
            failure = error.failure
        except ServiceError as error:
            failure = rules.failure_of(error)
    with call.writing():
        if not finish(call, job) or wanted is None or image_by_id(call, wanted.image.id) is None:
            return
        if signature is not None:
            try:
                with call.connection.begin_nested():
                    making.put(call, wanted.repository, signature)
            except ServiceUnavailableException:
                raise
            except ServiceError as error:
                failure = rules.failure_of(error)
        service.settle(call, wanted.image.id, arn, failure)
        if failure is None:
            repository = wanted.repository
            tally.record(call, repository.registry, repository.repository_name, tally.SIGNATURE)
        if failure is not None and failure.is_tried_again:
            _try_again(call, job, wanted, pusher)


def _look(call: Call, job: Job, pusher: Caller, arn: str) -> _Wanted | None:
    repository = find_repository_by_id(call, job.payload["repository_id"])
    image = image_by_id(call, job.payload["image_id"])
    if repository is None or image is None:
        return None
    profile = profiles.current(call.connection, arn)
    status, platform = (profile.status, profile.platform_id) if profile else (None, None)
    failure = rules.refusal(arn, status, platform)
    if profile is not None and failure is None:
        call.caller = pusher
        with audit.on_record(call, permission.SIGN_PAYLOAD):
            failure = permission.refusal(call, pusher, repository, profile)
        call.decisions.clear()
    return _Wanted(repository, image, manifest_of(call, image), profile, failure)


def _try_again(call: Call, job: Job, wanted: _Wanted, pusher: Caller) -> None:
    tried = job.payload["tried"] + 1
    wait = rules.next_try(tried)
    if wait is not None:
        due = call.now + wait * SECOND
        arn = job.payload["signing_profile_arn"]
        service.enqueue_signing(call, wanted.repository, wanted.image.id, arn, pusher, due, tried)
