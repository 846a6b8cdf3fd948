"""What is pushed is signed where the registry says so."""

from __future__ import annotations

from ecrsim.core.facts import on
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.events import ImagePushed
from ecrsim.ecr.signing import service


@on(ImagePushed)
def sign_what_was_pushed(call: Call, fact: ImagePushed) -> None:
    """Indexes as well (recorded). Signatures and other referrers are not signed (documented).

    Copies and cached images are not either (inferred): nobody pushed them whom signing could ask for.
    """
    if fact.origin == "push" and fact.repository.kind == "private" and not fact.description.is_referrer:
        service.begin(call, fact.repository, fact.image_id)
