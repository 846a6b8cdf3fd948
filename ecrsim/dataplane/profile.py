"""Where ECR and the OCI distribution specification answer differently: two profiles, one switch (`strict_ecr`).

The rows that are not here are the same in both: ECR's errors and its rules, the specification's grammar.
"""

from __future__ import annotations

from typing import NamedTuple

from ecrsim.config import Config
from ecrsim.ecr.images.pushing import PushRules


class Profile(NamedTuple):
    """One way to answer. The default values are the specification's."""

    patch_status: int = 202
    #: ECR sends no Docker-Content-Digest with GET of a manifest.
    digest_on_get: bool = True
    #: ECR sends no Location with PUT of a manifest, and nothing in the body of GET /v2/.
    location_of_manifest: bool = True
    ping_body: bytes = b"{}"
    #: `last` in a listing is a token of ECR's own; here it is the last entry.
    opaque_last: bool = False
    #: ECR lists tags as text/plain.
    tags_content_type: str = "application/json"
    #: Above 1,000: ECR refuses, we clamp.
    clamp_page: bool = True
    #: An image without layers, an empty blob, members that nobody knows, a part below 5 MiB: ECR takes none of them.
    lenient_content: bool = True
    #: ECR mounts only layers that a manifest of the source names, and only with `from`.
    mount_anything: bool = True
    #: ECR has no deletion of layers.
    delete_blobs: bool = True
    #: The last tag of an image that an index lists: BatchDeleteImage refuses it; the specification lets any tag go.
    untag_listed: bool = True
    #: The status of HEAD for a manifest whose reference cannot be a tag: ECR answers 400 (recorded), while the released
    #: conformance suite of OCI expects 404.
    malformed_tag_status: int = 404

    @property
    def push_rules(self) -> PushRules:
        """Docker pushes a manifest twice, so that it must be repeatable in both."""
        return PushRules(repeatable=True, layers_required=not self.lenient_content)


OCI = Profile()
ECR = Profile(
    patch_status=201,
    digest_on_get=False,
    location_of_manifest=False,
    ping_body=b"",
    opaque_last=True,
    tags_content_type="text/plain; charset=utf-8",
    clamp_page=False,
    lenient_content=False,
    mount_anything=False,
    delete_blobs=False,
    untag_listed=False,
    malformed_tag_status=400,
)


def profile_of(config: Config) -> Profile:
    return ECR if config.strict_ecr else OCI
