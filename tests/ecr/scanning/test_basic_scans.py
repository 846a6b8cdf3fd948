"""Basic scans: asked for or begun by a push, one in 24 hours, and what is shown of them."""

import pytest

from ecrsim.testing import build_image
from tests.answers import ACCOUNT, bad_token, constraint, inferred, recorded, refusal, repository_not_found
from tests.ecr.scanning.scanned import (
    COMPLETED,
    CVSS3,
    OPENSSL,
    RULE,
    UNSUPPORTED,
    advisory,
    debian,
    findings,
    know,
    layer,
    names,
    old_openssl,
    paragraph,
    start,
    status,
)
from tests.pushing import NOWHERE, artifact_of, create, described, index_of, push, push_layer, put

IMAGE = old_openssl()


def no_scan(digest: str = "null", tag: str = "null", repository: str = "app"):
    return recorded(
        "ScanNotFoundException",
        f"Image scan does not exist for the image with '{{imageDigest:'{digest}', imageTag:'{tag}'}}' "
        f"in the repository with name '{repository}' in the registry with id '{ACCOUNT}'",
    )


def no_image(digest: str = "null", tag: str = "null", repository: str = "app"):
    return recorded(
        "ImageNotFoundException",
        f"The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist "
        f"within the repository with name '{repository}' in the registry with id '{ACCOUNT}'",
    )


QUOTA = recorded("LimitExceededException", "The scan quota per image has been exceeded. Wait and try again.")


@pytest.fixture
def app(sim, ecr):
    """A repository with an image that has one vulnerability in two packages."""
    know(sim, OPENSSL)
    create(ecr)
    push(ecr, "app", IMAGE, "v1")
    return ecr


class TestStartImageScan:
    @pytest.mark.recorded
    def test_it_answers_in_progress_without_a_description(self, app):
        answer = app.start_image_scan(repositoryName="app", imageId={"imageTag": "v1"})
        answer.pop("ResponseMetadata")
        assert answer == {
            "registryId": ACCOUNT,
            "repositoryName": "app",
            "imageId": {"imageDigest": IMAGE.digest, "imageTag": "v1"},
            "imageScanStatus": {"status": "IN_PROGRESS"},
        }

    @pytest.mark.inferred
    def test_the_answer_names_a_tag_only_where_the_request_did(self, app):
        answer = app.start_image_scan(repositoryName="app", imageId={"imageDigest": IMAGE.digest})
        assert answer["imageId"] == {"imageDigest": IMAGE.digest}

    def test_no_repository(self, ecr):
        found = refusal(ecr.start_image_scan, repositoryName="app", imageId={"imageTag": "v1"})
        assert found == repository_not_found("app")

    @pytest.mark.parametrize(
        ("image_id", "expected"),
        [
            ({"imageTag": "v2"}, no_image(tag="v2")),
            ({"imageDigest": NOWHERE}, no_image(digest=NOWHERE)),
            ({"imageDigest": IMAGE.digest, "imageTag": "v2"}, no_image(IMAGE.digest, "v2")),
            ({"imageDigest": NOWHERE, "imageTag": "v1"}, no_image(NOWHERE, "v1")),
        ],
        ids=["an unknown tag", "an unknown digest", "a tag of no image", "a tag of another image"],
    )
    def test_no_image(self, app, image_id, expected):
        for operation in (app.start_image_scan, app.describe_image_scan_findings):
            assert refusal(operation, repositoryName="app", imageId=image_id) == expected

    @pytest.mark.parametrize("operation", ["start_image_scan", "describe_image_scan_findings"])
    def test_neither_tag_nor_digest(self, app, operation):
        found = refusal(getattr(app, operation), repositoryName="app", imageId={})
        text = constraint("imageId", "both tag and digest cannot be null")
        assert found == inferred("InvalidParameterException", text)

    def test_one_scan_of_an_image_in_24_hours_from_the_start_of_the_last(self, sim, app):
        sim.freeze()
        start(app, IMAGE.digest)
        sim.advance(hours=23, minutes=59, seconds=59)
        assert refusal(app.start_image_scan, repositoryName="app", imageId={"imageTag": "v1"}) == QUOTA
        sim.advance(seconds=1)
        assert start(app, IMAGE.digest) == {"status": "IN_PROGRESS"}

    def test_a_scan_on_push_counts(self, app):
        app.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
        digest = push(app, "app", old_openssl(annotations={"number": "2"}))
        assert refusal(app.start_image_scan, repositoryName="app", imageId={"imageDigest": digest}) == QUOTA

    def test_another_image_has_its_own_24_hours(self, app):
        start(app, IMAGE.digest)
        assert start(app, push(app, "app", old_openssl(annotations={"number": "2"})))["status"] == "IN_PROGRESS"

    @pytest.mark.inferred
    def test_a_registry_has_a_quota_of_scans_in_24_hours(self, sim, app, configure):
        configure(quota_scans=1)
        other = push(app, "app", old_openssl(annotations={"number": "2"}))
        start(app, IMAGE.digest)
        found = refusal(app.start_image_scan, repositoryName="app", imageId={"imageDigest": other})
        assert found == ("LimitExceededException", "The scan quota per registry has been exceeded. Wait and try again.")
        sim.advance(days=1)
        assert start(app, other)["status"] == "IN_PROGRESS"

    def test_under_enhanced_scanning_it_is_disabled(self, app):
        app.put_registry_scanning_configuration(scanType="ENHANCED", rules=[])
        found = refusal(app.start_image_scan, repositoryName="app", imageId={"imageTag": "v1"})
        assert found == recorded("ValidationException", "This feature is disabled")

    @pytest.mark.parametrize(
        ("make", "media_type"),
        [
            (lambda: index_of(IMAGE), "application/vnd.oci.image.index.v1+json"),
            (lambda: artifact_of(IMAGE), "application/vnd.example.sbom"),
            (
                lambda: build_image(b"{}", config=b"{}", config_media_type="application/vnd.cncf.helm.config.v1+json"),
                "application/vnd.cncf.helm.config.v1+json",
            ),
            (
                lambda: build_image(b"{}", layer_media_type="application/vnd.in-toto+json"),
                "application/vnd.in-toto+json",
            ),
        ],
        ids=["an index", "a referrer", "a chart", "an attestation of BuildKit"],
    )
    def test_what_is_no_image_cannot_be_scanned(self, app, make, media_type):
        digest = push(app, "app", make(), "other")
        found = refusal(app.start_image_scan, repositoryName="app", imageId={"imageTag": "other"})
        assert found == recorded(
            "UnsupportedImageTypeException",
            f"An artifact with media type '{media_type}' cannot be scanned. "
            "For more information, see the Amazon ECR documentation.",
        )
        found = refusal(app.describe_image_scan_findings, repositoryName="app", imageId={"imageDigest": digest})
        assert found == no_scan(digest)

    def test_an_archived_image_cannot_be_scanned(self, app):
        app.update_image_storage_class(repositoryName="app", imageId={"imageTag": "v1"}, targetStorageClass="ARCHIVE")
        found = refusal(app.start_image_scan, repositoryName="app", imageId={"imageTag": "v1"})
        assert found == inferred(
            "ImageArchivedException",
            "The image with imageId {imageDigest:'null', imageTag:'v1'} in the repository with name 'app' "
            f"in the registry with id '{ACCOUNT}' is archived and cannot be scanned",
        )


class TestDescribeImageScanFindings:
    def test_an_image_that_was_never_scanned(self, app):
        for image_id, expected in (
            ({"imageTag": "v1"}, no_scan(tag="v1")),
            ({"imageDigest": IMAGE.digest}, no_scan(IMAGE.digest)),
            ({"imageDigest": IMAGE.digest, "imageTag": "v1"}, no_scan(IMAGE.digest, "v1")),
        ):
            found = refusal(app.describe_image_scan_findings, repositoryName="app", imageId=image_id)
            assert found == expected

    def test_no_repository(self, ecr):
        found = refusal(ecr.describe_image_scan_findings, repositoryName="app", imageId={"imageTag": "v1"})
        assert found == repository_not_found("app")

    @pytest.mark.recorded
    def test_a_scan_takes_its_time_and_then_everything_is_there(self, sim, app):
        sim.freeze("2026-01-31T12:00:00.789Z")
        start(app, IMAGE.digest)
        assert findings(app, digest=IMAGE.digest) == {
            "registryId": ACCOUNT,
            "repositoryName": "app",
            "imageId": {"imageDigest": IMAGE.digest},
            "imageScanStatus": {"status": "IN_PROGRESS"},
        }
        sim.advance(seconds=1)
        answer = findings(app, tag="v1")
        assert (answer["imageId"], answer["imageScanStatus"]) == (
            {"imageDigest": IMAGE.digest, "imageTag": "v1"},
            {"status": "COMPLETE", "description": COMPLETED},
        )
        found = answer["imageScanFindings"]
        assert found["imageScanCompletedAt"].isoformat() == "2026-01-31T12:00:01+00:00"
        assert found["vulnerabilitySourceUpdatedAt"].microsecond == 0
        assert found["findingSeverityCounts"] == {"CRITICAL": 2}
        attributes = [("CVSS3_SCORE", "9.8"), ("package_version", "3.0.11-1"), ("CVSS3_VECTOR", CVSS3)]
        assert found["findings"][0]["severity"] == "CRITICAL"
        for finding, package in zip(found["findings"], ("libssl3", "openssl"), strict=True):
            assert finding == {
                "name": "CVE-2026-0001",
                "description": "Reading too far.",
                "uri": "https://security-tracker.debian.org/tracker/CVE-2026-0001",
                "severity": "CRITICAL",
                "attributes": [
                    {"key": key, "value": value}
                    for key, value in (*attributes[:2], ("package_name", package), attributes[2])
                ],
            }
        assert "enhancedFindings" not in found

    def test_what_was_fixed_is_not_found(self, sim, app):
        fixed = push(app, "app", build_image(debian(paragraph("openssl", "3.0.12-1"))))
        start(app, fixed)
        sim.advance(seconds=1)
        found = findings(app, digest=fixed)["imageScanFindings"]
        assert (found["findings"], found["findingSeverityCounts"]) == ([], {})

    def test_packages_of_languages_are_not_looked_at(self, sim, app):
        know(sim, OPENSSL)
        python = {
            "usr/lib/python3/dist-packages/a-1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: a\nVersion: 1\n"
        }
        digest = push(app, "app", build_image(debian(paragraph("openssl", "3.0.11-1"), more=python)))
        start(app, digest)
        sim.advance(seconds=1)
        assert names(findings(app, digest=digest)) == ["CVE-2026-0001"]

    @pytest.mark.inferred
    def test_findings_are_in_the_order_of_severity_and_then_of_names(self, sim, app):
        words = ["low", "critical", "unimportant", "high", "medium", "high"]
        known = [
            advisory(f"CVE-2026-000{number}", database_specific={"severity": word}) for number, word in enumerate(words)
        ]
        know(sim, *known)
        start(app, IMAGE.digest)
        sim.advance(seconds=1)
        found = findings(app, tag="v1")["imageScanFindings"]
        order = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED"]
        listed = [(order.index(each["severity"]), each["name"]) for each in found["findings"]]
        assert listed == sorted(listed)
        assert len(listed) == 12
        assert sum(found["findingSeverityCounts"].values()) == 12

    @pytest.mark.documented
    def test_pages_count_findings_and_all_else_repeats(self, sim, app):
        know(sim, *(advisory(f"CVE-2026-{number:04}") for number in range(60)))
        start(app, IMAGE.digest)
        sim.advance(seconds=1)
        first = findings(app, tag="v1")
        assert len(first["imageScanFindings"]["findings"]) == 100
        second = findings(app, tag="v1", nextToken=first["nextToken"])
        assert len(second["imageScanFindings"]["findings"]) == 20
        assert "nextToken" not in second
        for name in ("registryId", "repositoryName", "imageId", "imageScanStatus"):
            assert first[name] == second[name]
        counts = [each["imageScanFindings"]["findingSeverityCounts"] for each in (first, second)]
        assert counts == [{"UNDEFINED": 120}] * 2
        pages = app.get_paginator("describe_image_scan_findings").paginate(
            repositoryName="app", imageId={"imageTag": "v1"}, PaginationConfig={"PageSize": 7}
        )
        listed = [name for page in pages for name in names(page)]
        assert listed == [*names(first), *names(second)]
        assert len(set(listed)) == 60

    def test_a_token_of_another_request(self, app):
        found = refusal(
            app.describe_image_scan_findings, repositoryName="app", imageId={"imageTag": "v1"}, nextToken="none"
        )
        assert found == bad_token()

    @pytest.mark.parametrize("most", [1001, 10_000])
    def test_pages_have_bounds(self, app, most):
        found = refusal(
            app.describe_image_scan_findings, repositoryName="app", imageId={"imageTag": "v1"}, maxResults=most
        )
        assert found.code == "InvalidParameterException"

    @pytest.mark.parametrize(
        ("files", "description"),
        [
            ({"etc/os-release": b"ID=elxr\nVERSION_ID=12\n", "var/lib/dpkg/status": b""}, UNSUPPORTED),
            ({"app": b"a static binary"}, UNSUPPORTED),
        ],
        ids=["an unknown operating system", "from scratch"],
    )
    @pytest.mark.recorded
    def test_what_is_not_supported_fails(self, sim, app, files, description):
        digest = push(app, "app", build_image(layer(files)))
        start(app, digest)
        sim.advance(seconds=1)
        answer = findings(app, digest=digest)
        assert answer["imageScanStatus"] == {"status": "FAILED", "description": description}
        assert "imageScanFindings" not in answer

    @pytest.mark.inferred
    def test_a_layer_that_cannot_be_read_fails_with_the_reason(self, sim, app):
        digest = push(app, "app", build_image(b"this is no tar"))
        start(app, digest)
        sim.advance(seconds=1)
        shown = findings(app, digest=digest)["imageScanStatus"]
        assert shown["status"] == "FAILED"
        assert shown["description"].startswith("The layer sha256:")
        assert "cannot be read: " in shown["description"]

    def test_a_layer_that_is_not_there_fails_with_the_reason(self, sim, app, configure):
        configure(sparse=True)
        image = build_image(b"never pushed")
        push_layer(app, "app", image.blobs[next(iter(image.blobs))])
        digest = put(app, "app", image, "sparse")
        start(app, digest)
        sim.advance(seconds=1)
        shown = findings(app, digest=digest)["imageScanStatus"]
        assert (shown["status"], shown["description"].rpartition(": ")[2]) == (
            "FAILED",
            "its bytes are not in the registry",
        )

    @pytest.mark.documented
    def test_a_result_is_a_snapshot_until_the_next_scan(self, sim, app):
        sim.freeze()
        start(app, IMAGE.digest)
        sim.advance(seconds=1)
        know(sim, OPENSSL, advisory("CVE-2026-0002", "zlib1g", None))
        assert names(findings(app, tag="v1")) == ["CVE-2026-0001"] * 2
        sim.advance(days=1)
        start(app, IMAGE.digest)
        assert names(findings(app, tag="v1")) == ["CVE-2026-0001"] * 2
        sim.advance(seconds=1)
        assert names(findings(app, tag="v1")) == ["CVE-2026-0001"] * 2 + ["CVE-2026-0002"]

    def test_an_image_that_is_too_large(self, app, configure):
        configure(quota_scan_size=10)
        assert start(app, IMAGE.digest) == {"status": "IMAGE_SIZE_EXCEEDED"}
        assert status(app, tag="v1") == "IMAGE_SIZE_EXCEEDED"

    @pytest.mark.documented
    def test_an_archived_image_shows_that_and_is_scanned_anew_when_it_is_back(self, sim, app):
        app.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
        start(app, IMAGE.digest)
        sim.advance(seconds=1)
        place = {"repositoryName": "app", "imageId": {"imageTag": "v1"}}
        app.update_image_storage_class(**place, targetStorageClass="ARCHIVE")
        answer = findings(app, tag="v1")
        assert answer["imageScanStatus"]["status"] == "IMAGE_ARCHIVED"
        assert "imageScanFindings" not in answer
        app.update_image_storage_class(**place, targetStorageClass="STANDARD")
        sim.advance(minutes=1)
        assert names(findings(app, tag="v1")) == ["CVE-2026-0001"] * 2

    @pytest.mark.documented
    def test_the_waiter_waits_for_the_end(self, sim, app):
        start(app, IMAGE.digest)
        sim.advance(seconds=1)
        waiter = app.get_waiter("image_scan_complete")
        waiter.wait(repositoryName="app", imageId={"imageTag": "v1"}, WaiterConfig={"Delay": 0, "MaxAttempts": 1})
        assert status(app, tag="v1") == "COMPLETE"

    @pytest.mark.documented
    def test_describe_images_says_nothing_of_basic_scans(self, sim, app):
        start(app, IMAGE.digest)
        sim.advance(seconds=1)
        assert {"imageScanStatus", "imageScanFindingsSummary"} & described(app, "app", imageTag="v1").keys() == set()


class TestOnPush:
    def pushed(self, ecr):
        return push(ecr, "app", old_openssl(annotations={"number": "2"}), "v2")

    def test_by_the_flag_of_the_repository(self, sim, app):
        app.put_image_scanning_configuration(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
        self.pushed(app)
        assert status(app, tag="v2") == "IN_PROGRESS"
        sim.advance(seconds=1)
        assert names(findings(app, tag="v2")) == ["CVE-2026-0001"] * 2

    @pytest.mark.recorded
    def test_by_a_rule_of_the_registry_while_the_flag_stays_off(self, app):
        app.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
        self.pushed(app)
        (repository,) = app.describe_repositories()["repositories"]
        assert repository["imageScanningConfiguration"] == {"scanOnPush": False}
        assert status(app, tag="v2") == "IN_PROGRESS"

    @pytest.mark.inferred
    def test_a_rule_that_does_not_match_stands_above_the_flag(self, app):
        app.put_image_scanning_configuration(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
        rule = RULE | {"repositoryFilters": [{"filter": "other", "filterType": "WILDCARD"}]}
        app.put_registry_scanning_configuration(scanType="BASIC", rules=[rule])
        digest = self.pushed(app)
        found = refusal(app.describe_image_scan_findings, repositoryName="app", imageId={"imageTag": "v2"})
        assert found == no_scan(tag="v2"), digest

    @pytest.mark.inferred
    @pytest.mark.parametrize("is_frozen", [True, False])
    def test_another_tag_of_an_image_that_is_there_scans_nothing(self, sim, app, is_frozen):
        if is_frozen:
            sim.freeze()
            push(app, "app", old_openssl(annotations={"number": "3"}), "v3")
        app.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
        put(app, "app", old_openssl(annotations={"number": "3"}) if is_frozen else IMAGE, "again")
        found = refusal(app.describe_image_scan_findings, repositoryName="app", imageId={"imageTag": "again"})
        assert found == no_scan(tag="again")

    def test_an_index_and_a_referrer_are_not_scanned(self, app):
        app.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
        for made in (index_of(IMAGE), artifact_of(IMAGE)):
            digest = push(app, "app", made)
            found = refusal(app.describe_image_scan_findings, repositoryName="app", imageId={"imageDigest": digest})
            assert found == no_scan(digest)

    def test_beyond_the_quota_it_says_so_and_the_push_succeeds(self, app, configure):
        configure(quota_scans=0)
        app.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
        digest = self.pushed(app)
        assert status(app, tag="v2") == "LIMIT_EXCEEDED"
        configure(quota_scans=5)
        assert start(app, digest) == {"status": "IN_PROGRESS"}
