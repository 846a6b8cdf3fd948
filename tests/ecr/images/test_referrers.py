"""ListImageReferrers."""

import json

import pytest

from ecrsim.testing import build_image
from tests.answers import bad_token, constraint, inferred, recorded, refusal
from tests.api import post, refusal_of
from tests.pushing import (
    EMPTY,
    NOWHERE,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    artifact_of,
    create,
    index_of,
    numbered,
    push,
    put,
)

SUBJECT = numbered(1)


@pytest.fixture
def referrers(ecr):
    """The answer for SUBJECT, or for another one."""
    create(ecr)

    def find(subject=SUBJECT.digest, **options):
        answer = ecr.list_image_referrers(repositoryName="app", subjectId={"imageDigest": subject}, **options)
        answer.pop("ResponseMetadata")
        return answer

    return find


def digests(answer):
    return [referrer["digest"] for referrer in answer["referrers"]]


@pytest.mark.documented
def test_a_referrer_is_described_as_oci_does(ecr, referrers):
    artifact = artifact_of(SUBJECT, "application/vnd.example.sbom", annotations={"made.by": "me", "ü": ""})
    push(ecr, "app", SUBJECT)
    push(ecr, "app", artifact)

    assert referrers() == {
        "referrers": [
            {
                "digest": artifact.digest,
                "mediaType": OCI_MANIFEST,
                "artifactType": "application/vnd.example.sbom",
                # Inferred: of the manifest, as a descriptor has it.
                "size": len(artifact.manifest),
                "annotations": {"made.by": "me", "ü": ""},
                "artifactStatus": "ACTIVE",
            }
        ]
    }


@pytest.mark.inferred
@pytest.mark.parametrize(
    ("artifact", "media_type", "artifact_type"),
    [
        (artifact_of(SUBJECT, None), OCI_MANIFEST, EMPTY),
        (build_image(subject=json.loads(artifact_of(SUBJECT).manifest)["subject"]), OCI_MANIFEST, OCI_CONFIG),
        (
            index_of(subject={"mediaType": OCI_MANIFEST, "digest": SUBJECT.digest, "size": 2}),
            OCI_INDEX,
            None,
        ),
    ],
)
def test_without_an_artifact_type_it_is_that_of_the_config(ecr, referrers, artifact, media_type, artifact_type):
    push(ecr, "app", artifact)
    (referrer,) = referrers()["referrers"]

    assert (referrer["mediaType"], referrer.get("artifactType")) == (media_type, artifact_type)
    assert "annotations" not in referrer


@pytest.mark.inferred
@pytest.mark.parametrize("subject", [NOWHERE, "md5:00", SUBJECT.digest.upper()])
def test_a_subject_that_nobody_names_has_none(referrers, subject):
    assert referrers(subject) == {"referrers": []}


@pytest.mark.inferred
def test_the_subject_need_not_be_there(ecr, referrers):
    push(ecr, "app", artifact_of(NOWHERE))
    assert digests(referrers(NOWHERE)) == [artifact_of(NOWHERE).digest]


def test_they_come_oldest_first_and_are_the_repository_s_own(ecr, referrers):
    create(ecr, "other")
    artifacts = [artifact_of(SUBJECT, f"application/x.{number}") for number in (3, 1, 2)]
    for artifact in artifacts:
        push(ecr, "app", artifact)
    push(ecr, "other", artifact_of(SUBJECT, "application/x.4"))
    push(ecr, "app", artifact_of(NOWHERE))
    assert digests(referrers()) == [artifact.digest for artifact in artifacts]


def test_one_that_was_deleted_is_gone(ecr, referrers):
    push(ecr, "app", artifact_of(SUBJECT))
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": artifact_of(SUBJECT).digest}])
    assert referrers() == {"referrers": []}


class TestFilter:
    @pytest.fixture
    def by_type(self, ecr, referrers):
        return {kind: push(ecr, "app", artifact_of(SUBJECT, f"application/{kind}")) for kind in "abc"}

    @pytest.mark.parametrize(
        ("types", "expected"),
        [
            (["a"], "a"),
            # Inferred: any of them; an empty list does not filter.
            (["c", "a"], "ac"),
            (["a", "none"], "a"),
            (["none"], ""),
            ([], "abc"),
        ],
    )
    def test_by_artifact_type(self, referrers, by_type, types, expected):
        answer = referrers(filter={"artifactTypes": [f"application/{kind}" for kind in types]})
        assert digests(answer) == [by_type[kind] for kind in expected]

    @pytest.mark.parametrize("status", ["ACTIVE", "ANY", None])
    def test_all_are_active(self, referrers, by_type, status):
        answer = referrers(filter={"artifactStatus": status} if status else {})
        assert digests(answer) == list(by_type.values())

    @pytest.mark.parametrize("status", ["ARCHIVED", "ACTIVATING"])
    def test_none_is_archived(self, referrers, by_type, status):
        assert referrers(filter={"artifactStatus": status}) == {"referrers": []}

    @pytest.mark.parametrize(
        ("members", "member", "text"),
        [
            (
                {"artifactStatus": "SOME"},
                "filter.artifactStatus",
                "Member must satisfy enum value set: [ACTIVE, ARCHIVED, ACTIVATING, ANY]",
            ),
            (
                {"artifactTypes": ["x"] * 6},
                "filter.artifactTypes",
                "Member must have length less than or equal to 5",
            ),
        ],
    )
    def test_bounds(self, sim, ecr, members, member, text):
        create(ecr)
        body = {"repositoryName": "app", "subjectId": {"imageDigest": NOWHERE}, "filter": members}
        assert refusal_of(post(sim, "ListImageReferrers", body)) == inferred(
            "InvalidParameterException", constraint(member, text)
        )

    @pytest.mark.parametrize("kind", ["", "x" * 256])
    def test_bounds_of_a_type(self, sim, ecr, kind):
        create(ecr)
        body = {"repositoryName": "app", "subjectId": {"imageDigest": NOWHERE}, "filter": {"artifactTypes": [kind]}}
        found = refusal_of(post(sim, "ListImageReferrers", body))
        assert found.code == "InvalidParameterException"
        assert "at 'filter.artifactTypes' failed" in found.message


class TestPages:
    @pytest.fixture
    def artifacts(self, ecr, referrers):
        first, *others = [artifact_of(SUBJECT, f"application/x.{number}") for number in range(23)]
        push(ecr, "app", first)
        return [first.digest, *(put(ecr, "app", artifact) for artifact in others)]

    @pytest.mark.documented
    def test_a_page_has_20_by_default(self, referrers, artifacts):
        first = referrers()
        rest = referrers(nextToken=first["nextToken"])
        assert (digests(first), digests(rest)) == (artifacts[:20], artifacts[20:])
        assert "nextToken" not in rest

    @pytest.mark.parametrize("size", [1, 10, 22, 23, 50])
    def test_all_are_shown_once(self, referrers, artifacts, size):
        found, options = [], {}
        while True:
            answer = referrers(maxResults=size, **options)
            found += digests(answer)
            if "nextToken" not in answer:
                break
            assert len(answer["referrers"]) == size
            options = {"nextToken": answer["nextToken"]}
        assert found == artifacts

    def test_a_token_is_refused_where_it_does_not_belong(self, ecr, referrers, artifacts):
        create(ecr, "other")
        token = referrers(maxResults=1)["nextToken"]
        for options in (
            {"subject": NOWHERE},
            {"filter": {"artifactTypes": ["application/x.1"]}},
            {"filter": {"artifactStatus": "ANY"}},
        ):
            assert refusal(referrers, nextToken=token, **options) == bad_token()
        subject = {"imageDigest": SUBJECT.digest}
        found = refusal(ecr.list_image_referrers, repositoryName="other", subjectId=subject, nextToken=token)
        assert found == bad_token()
        images = ecr.describe_images(repositoryName="app", maxResults=1)["nextToken"]
        assert refusal(referrers, nextToken=images) == bad_token()

    @pytest.mark.parametrize(("value", "bound"), [(0, "greater than or equal to 1"), (51, "less than or equal to 50")])
    def test_bounds_of_a_page(self, sim, ecr, value, bound):
        create(ecr)
        body = {"repositoryName": "app", "subjectId": {"imageDigest": NOWHERE}, "maxResults": value}
        assert refusal_of(post(sim, "ListImageReferrers", body)) == recorded(
            "InvalidParameterException", constraint("maxResults", f"Member must have value {bound}")
        )


@pytest.mark.parametrize("digest", ["", "v1", "sha256:xyz"])
def test_a_malformed_digest(ecr, referrers, digest):
    assert refusal(referrers, subject=digest) == inferred(
        "InvalidParameterException",
        constraint("imageDigest", "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"),
    )


@pytest.mark.parametrize("subject", [{}, {"imageTag": "v1"}])
def test_the_digest_is_required(sim, ecr, subject):
    create(ecr)
    answer = post(sim, "ListImageReferrers", {"repositoryName": "app", "subjectId": subject})
    assert refusal_of(answer) == inferred("InvalidParameterException", constraint("imageDigest", "must not be null"))
