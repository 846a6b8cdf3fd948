"""Lists: tags, repositories, referrers. Distribution specification: end-8, end-12; `_catalog` is Docker's."""

from __future__ import annotations

import orjson

from ecrsim.core import paging
from ecrsim.core.errors import InvalidParameterException
from ecrsim.core.misses import Unfetched, Wanted, ask_first
from ecrsim.core.numbers import whole
from ecrsim.core.web import Answer, Headers
from ecrsim.dataplane.errors import RegistryError, not_fetched
from ecrsim.dataplane.repository_request import RepositoryRequest
from ecrsim.ecr.atrest.manifests import opened_annotations
from ecrsim.ecr.images import listing
from ecrsim.ecr.images.grammar import OCI_INDEX
from ecrsim.ecr.repositories.service import page_of_repositories

#: ECR's default page and its greatest.
PAGE, MAX_PAGE = 100, 1000
#: The greatest number of entries that is read as one.
_MOST = 999_999_999


def list_tags(asked: RepositoryRequest) -> Answer:
    """In ASCII order; `last` is exclusive and need not exist. ECR, strictly, takes only what it gave (recorded)."""
    repository = asked.repository()
    request = ("tags/list", *asked.registry, repository.id)
    limit, after = _page(asked, request)
    found = listing.page_of_tags(asked.call, repository, after, limit + 1) if limit else []
    tags, last = _shown(asked, request, found, limit)
    headers: Headers = [("Content-Type", asked.profile.tags_content_type)]
    if last is not None:
        headers.append(_link(asked.url("tags/list", {"last": last, "n": limit})))
    return _json(headers, {"name": asked.path_name, "tags": tags})


def list_repositories(asked: RepositoryRequest) -> Answer:
    """The repositories of one registry."""
    request = ("_catalog", *asked.registry)
    limit, after = _page(asked, request)
    found = page_of_repositories(asked.call, asked.registry, after, limit + 1) if limit else []
    names, last = _shown(asked, request, [row[1] for row in found], limit)
    headers: Headers = [("Content-Type", "application/json")]
    if last is not None:
        headers.append(_link(asked.with_query("/v2/_catalog", {"last": last, "n": limit})))
    return _json(headers, {"repositories": names})


def list_referrers(asked: RepositoryRequest) -> Answer:
    """An index, the empty one for a subject that nobody names or that is not there: never 404.

    An upstream that has never listed them is no empty list: whoever looks for signatures is not told that there are
    none.
    """
    subject = asked.digest()
    fetched = ask_first(asked.call, Wanted(asked.registry, asked.repository_name, "referrers", subject))
    if isinstance(fetched, Unfetched) and fetched.kind != "missing":
        raise not_fetched(fetched)
    repository = asked.repository()
    wanted = asked.request.parameter("artifactType")
    after = asked.request.parameter("after") or "0"
    number = whole(after) or 0
    types = [wanted] if wanted else None
    rows, has_more = listing.page_of_referrers(asked.call, repository, subject, types, "ACTIVE", number, MAX_PAGE)
    headers: Headers = [("Content-Type", OCI_INDEX)]
    if wanted:
        headers.append(("OCI-Filters-Applied", "artifactType"))
    if has_more:
        query = {"after": rows[-1].id} | ({"artifactType": wanted} if wanted else {})
        headers.append(_link(asked.url(f"referrers/{subject}", query)))
    descriptors = []
    for row in rows:
        descriptor = {
            "mediaType": row.image_manifest_media_type,
            "digest": row.image_digest,
            "size": row.manifest_size,
        }
        if row.artifact_type:
            descriptor["artifactType"] = row.artifact_type
        if row.annotations:
            descriptor["annotations"] = opened_annotations(asked.call, row.annotations, row.image_digest)
        descriptors.append(descriptor)
    return _json(headers, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors})


def _page(asked: RepositoryRequest, request: tuple[object, ...]) -> tuple[int, str]:
    """(entries, last) from `n` and `last`."""
    text, last = asked.request.parameter("n"), asked.request.parameter("last") or ""
    if last and asked.profile.opaque_last:
        (last,) = paging.decode(request, last, [""])
    if text is None:
        return PAGE, last
    limit = whole(text, _MOST)
    if limit is None:
        raise RegistryError(400, "PAGINATION_NUMBER_INVALID", f"'{text[:50]}' is not a number of entries")
    if limit > MAX_PAGE and not asked.profile.clamp_page:
        raise InvalidParameterException(
            member="maxResults", constraint=f"Member must have value less than or equal to {MAX_PAGE}"
        )  # R
    return min(limit, MAX_PAGE), last


def _shown(
    asked: RepositoryRequest, request: tuple[object, ...], found: list[str], limit: int
) -> tuple[list[str], str | None]:
    """The entries of a page, and the `last` of the next one, where there is one."""
    shown, token = paging.page_of(request, found, limit, lambda name: [name])
    return shown, token if token is None or asked.profile.opaque_last else shown[-1]


def _link(url: str) -> tuple[str, str]:
    return "Link", f'<{url}>; rel="next"'


def _json(headers: Headers, content: object) -> Answer:
    body = orjson.dumps(content)
    return Answer(200, [*headers, ("Content-Length", str(len(body)))], body)
