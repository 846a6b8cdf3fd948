"""The wire table, lists: tags, repositories, referrers."""

from __future__ import annotations

import re
from typing import Any

from tests.dataplane.wire import Exchange, World, ask, row
from tests.planes.catalogue import FIXTURES

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE = FIXTURES["oci-image"]
REFERRERS = "GET /v2/app/referrers/{oci-image}"

#: In ASCII order: digits, capitals, the underscore, small letters.
TAGS = ["0.1", "10", "9", "A", "Z", "_x", "a", "a-b", "a.b", "ab"]


def tagged(*tags: str) -> Any:
    """Given: one image with these tags, attached in another order than the list's."""
    return lambda world: world.image("oci-image", *reversed(tags))


def tags(query: str, listed: list[str], link: str | None = None) -> Exchange:
    headers = {"Link": link and f'<{link}>; rel="next"', "Content-Type": "application/json"}
    return ask(f"GET /v2/app/tags/list{query}", 200, {"name": "app", "tags": listed}, headers=headers)


def next_page(number: int, last: str) -> str:
    return f"/v2/app/tags/list?last={last}&n={number}"


def descriptor(name: str, artifact_type: str) -> dict[str, Any]:
    """As a referrer is listed: `artifactType`, else the type of the config; annotations as they are in the manifest."""
    fixture = FIXTURES[name]
    found = {"mediaType": fixture.media_type, "digest": fixture.digest, "size": len(fixture.manifest)}
    found["artifactType"] = artifact_type
    if "annotations" in fixture.document:
        found["annotations"] = fixture.document["annotations"]
    return found


SBOM = descriptor("artifact-with-subject", "application/spdx+json")
SIGNATURE = descriptor("signature-with-subject", "application/vnd.oci.image.config.v1+json")
BUNDLE = descriptor("index-with-subject", "application/vnd.example.bundle.v1")


def referred(world: World) -> None:
    for name in ("oci-image", "artifact-with-subject", "signature-with-subject", "index-with-subject"):
        world.image(name)


def lists(query: str, *manifests: dict[str, Any], filtered: bool = False) -> Exchange:
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests)}
    applied = "artifactType" if filtered else None
    return ask(REFERRERS + query, 200, index, headers={"Content-Type": OCI_INDEX, "OCI-Filters-Applied": applied})


def hundred_and_one(world: World) -> None:
    world.image()
    query = "&".join(f"tag=t{number:03d}" for number in range(100))
    headers = {"Content-Type": IMAGE.media_type}
    for reference in (f"{IMAGE.digest}?{query}", "t100"):
        assert world.ask("PUT", f"/v2/app/manifests/{reference}", headers, IMAGE.manifest).status == 201


def repositories(world: World) -> None:
    for name in ("b/two", "a", "b-one"):
        if len(name) > 1:
            world.repository(name)
    other = world.another()
    other.repository("foreign")
    world.api("CreateRepository", region="eu-west-1", repositoryName="far")


def catalog(query: str, names: list[str], link: str | None = None) -> Exchange:
    headers = {"Link": link and f'<{link}>; rel="next"', "Content-Type": "application/json"}
    return ask(f"GET /v2/_catalog{query}", 200, {"repositories": names}, headers=headers)


def page_of(answer: Any, number: int) -> None:
    assert answer.json()["tags"] == [f"t{each:03d}" for each in range(number)]


def named_as_asked(answer: Any) -> None:
    assert re.fullmatch(r"\d{12}/us-east-1/app", answer.json()["name"])


ROWS = (
    # Tags
    row("no tags", "OCI end-8a", tags("", [])),
    row("an image without a tag", "OCI end-8a", tags("", []), given=tagged()),
    row("tags in ASCII order", "OCI end-8a", tags("", TAGS), given=tagged(*TAGS)),
    row("a page", "OCI end-8b", tags("?n=4", TAGS[:4], next_page(4, "A")), given=tagged(*TAGS)),
    row("the next page", "OCI end-8b", tags("?n=4&last=A", TAGS[4:8], next_page(4, "a-b")), given=tagged(*TAGS)),
    row("the last page", "OCI end-8b", tags("?n=4&last=a-b", TAGS[8:]), given=tagged(*TAGS)),
    row("a page that holds all", "OCI end-8b", tags("?n=10", TAGS), tags("?n=11", TAGS), given=tagged(*TAGS)),
    row("a page of none", "OCI end-8b", tags("?n=0", []), tags("?n=0&last=A", []), given=tagged(*TAGS)),
    row("everything after a tag", "OCI end-8b", tags("?last=Z", TAGS[5:]), tags("?last=ab", []), given=tagged(*TAGS)),
    row(
        "everything after a tag that is not there",
        "OCI end-8b",
        tags("?last=B", TAGS[4:]),
        tags("?n=2&last=B", TAGS[4:6], next_page(2, "_x")),
        given=tagged(*TAGS),
    ),
    row("after a text that can be no tag", "OCI end-8b", tags("?last=%2F%2F", TAGS), given=tagged(*TAGS)),
    row(
        "links lead through all pages",
        "OCI end-8b",
        ask("GET /v2/app/tags/list?n=6", 200, {"name": "app", "tags": TAGS[:6]}, keep={"link": "Link"}),
        ask("GET {next}", 200, {"name": "app", "tags": TAGS[6:]}, headers={"Link": None}),
        given=lambda world: (tagged(*TAGS)(world), world.values.update(next=next_page(6, "_x"))),
    ),
    row(
        "a page of 100 unless told",
        "ECR documented",
        ask(
            "GET /v2/app/tags/list",
            200,
            lambda answer: page_of(answer, 100),
            headers={"Link": f'<{next_page(100, "t099")}>; rel="next"'},
        ),
        ask("GET /v2/app/tags/list?n=101", 200, lambda answer: page_of(answer, 101), headers={"Link": None}),
        given=hundred_and_one,
    ),
    row(
        "more than a page can hold", "OCI end-8b", tags("?n=1001", TAGS), tags("?n=99999999", TAGS), given=tagged(*TAGS)
    ),
    row(
        "more than a page can hold, as ECR has it",
        "ECR recorded",
        ask("GET /v2/app/tags/list?n=1001", 405, "UNSUPPORTED"),
        ask("GET /v2/app/tags/list?n=1000", 200),
        strict_ecr=True,
    ),
    *(
        row(f"a page of {what}", "inferred", ask(f"GET /v2/app/tags/list?n={number}", 400, "PAGINATION_NUMBER_INVALID"))
        for what, number in (
            ("minus one", "-1"),
            ("a word", "ten"),
            ("a fraction", "1.5"),
            ("a number without end", "9" * 30),
        )
    ),
    row(
        "a tag that was deleted",
        "OCI end-9",
        ask("DELETE /v2/app/manifests/b", 202),
        tags("", ["a", "c"]),
        given=tagged("a", "b", "c"),
    ),
    row("tags of a repository that is missing", "OCI end-8a", ask("GET /v2/none/tags/list", 404, "NAME_UNKNOWN")),
    row(
        "the name as the client wrote it",
        "path prefix",
        ask(
            "GET /v2/{account}/{region}/app/tags/list?n=1",
            200,
            named_as_asked,
            headers={"Link": '</v2/{account}/{region}/app/tags/list?last=a&n=1>; rel="next"'},
        ),
        given=tagged("a", "b"),
    ),
    # Repositories
    row("the repositories of the registry", "docker", catalog("", ["app", "b-one", "b/two"]), given=repositories),
    row(
        "a page of repositories",
        "docker",
        catalog("?n=2", ["app", "b-one"], "/v2/_catalog?last=b-one&n=2"),
        catalog("?n=2&last=b-one", ["b/two"]),
        catalog("?n=0", []),
        given=repositories,
    ),
    row(
        "a link to a name with a slash",
        "docker",
        catalog("?n=3", ["app", "b-one", "b/two"], "/v2/_catalog?last=b%2Ftwo&n=3"),
        catalog("?n=3&last=b%2Ftwo", ["zz"]),
        given=lambda world: (repositories(world), world.repository("zz")),
    ),
    row(
        "repositories by a number that is none",
        "inferred",
        ask("GET /v2/_catalog?n=x", 400, "PAGINATION_NUMBER_INVALID"),
    ),
    # Referrers
    row("referrers of what nobody refers to", "OCI end-12a", lists(""), given=lambda world: world.image()),
    row(
        "referrers of what is not there",
        "OCI end-12a",
        ask(
            "GET /v2/app/referrers/{nowhere}",
            200,
            {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []},
            headers={"Content-Type": OCI_INDEX},
        ),
        ask("GET /v2/app/referrers/{nowhere512}", 200),
    ),
    row("referrers", "OCI end-12a", lists("", SBOM, SIGNATURE, BUNDLE), given=referred),
    row(
        "referrers of one type",
        "OCI end-12b",
        lists("?artifactType=application/spdx%2Bjson", SBOM, filtered=True),
        lists("?artifactType=application%2Fvnd.example.bundle.v1", BUNDLE, filtered=True),
        given=referred,
    ),
    row(
        "referrers of the type of a config",
        "OCI end-12b",
        lists("?artifactType=application/vnd.oci.image.config.v1%2Bjson", SIGNATURE, filtered=True),
        given=referred,
    ),
    row(
        "referrers of a type that none has",
        "OCI end-12b",
        lists("?artifactType=text/plain", filtered=True),
        given=referred,
    ),
    row(
        "referrers of no type in particular",
        "OCI end-12b",
        lists("?artifactType=", SBOM, SIGNATURE, BUNDLE),
        given=referred,
    ),
    row(
        "a referrer is deleted",
        "OCI end-12a",
        ask("DELETE /v2/app/manifests/{signature-with-subject}", 202),
        lists("", SBOM, BUNDLE),
        given=referred,
    ),
    row(
        "the subject is deleted",
        "OCI end-12a",
        ask("DELETE /v2/app/manifests/{oci-image}", 202),
        lists("", SBOM, SIGNATURE, BUNDLE),
        given=referred,
    ),
    row(
        "a referrer that came before its subject",
        "OCI end-12a",
        lists("", SBOM),
        ask("GET /v2/app/manifests/{oci-image}", 404),
        given=lambda world: world.image("artifact-with-subject"),
    ),
    row(
        "referrers are those of the repository",
        "OCI end-12a",
        ask("GET /v2/other/referrers/{oci-image}", 200, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}),
        given=lambda world: (referred(world), world.repository("other")),
    ),
    row(
        "referrers of no digest",
        "OCI end-12a",
        ask("GET /v2/app/referrers/sha256:short", 400, "DIGEST_INVALID"),
        ask("GET /v2/app/referrers/latest", 400, "DIGEST_INVALID"),
    ),
    row(
        "referrers in a repository that is missing",
        "ECR inferred",
        ask("GET /v2/none/referrers/{oci-image}", 404, "NAME_UNKNOWN"),
    ),
)
