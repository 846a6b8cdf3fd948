"""Operations of layer uploads; what /v2/ shows as well is told in `tests/planes/rows_layers.py`."""

import re

import pytest

from ecrsim.testing import build_image
from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal, refused, repository_not_found
from tests.api import post, refusal_of
from tests.pushing import NOWHERE, create, digest_of, push, push_layer, put

UPLOAD_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SOME_ID = "12345678-1234-1234-1234-123456789012"


class Upload:
    """One upload session, part by part."""

    def __init__(self, ecr, repository="app"):
        self.ecr = ecr
        upload_id = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
        self.place = {"repositoryName": repository, "uploadId": upload_id}
        self.received = 0

    def parameters(self, data, first=None, last=None):
        first = self.received if first is None else first
        last = first + len(data) - 1 if last is None else last
        return {**self.place, "partFirstByte": first, "partLastByte": last, "layerPartBlob": data}

    def part(self, data):
        answer = self.ecr.upload_layer_part(**self.parameters(data))
        self.received += len(data)
        return answer

    def complete(self, *digests):
        return self.ecr.complete_layer_upload(**self.place, layerDigests=list(digests))

    def not_found(self):
        return inferred(
            "UploadNotFoundException",
            f"The upload with id '{self.place['uploadId']}' in the repository with name "
            f"'{self.place['repositoryName']}' in registry with id '{ACCOUNT}' does not exist",
        )


@pytest.fixture
def upload(ecr):
    create(ecr)
    return Upload(ecr)


class TestInitiate:
    @pytest.mark.recorded
    def test_the_advice_of_ecr_is_10_mib_a_part(self, ecr):
        create(ecr)
        answer = ecr.initiate_layer_upload(repositoryName="app")
        answer.pop("ResponseMetadata")

        assert set(answer) == {"uploadId", "partSize"}
        assert answer["partSize"] == 10_485_760
        assert UPLOAD_ID.fullmatch(answer["uploadId"])

    @pytest.mark.inferred
    def test_any_number_of_uploads_may_be_open(self, ecr):
        create(ecr)
        uploads = [Upload(ecr) for _ in range(20)]
        for number, each in enumerate(uploads):
            each.part(bytes([number]))
        digests = [each.complete(digest_of(bytes([n])))["layerDigest"] for n, each in enumerate(uploads)]
        assert len(set(digests)) == 20


class TestPart:
    @pytest.mark.documented
    def test_the_answer_names_the_last_byte(self, upload):
        answer = upload.part(b"0123456789")
        answer.pop("ResponseMetadata")

        assert answer == {"registryId": ACCOUNT, **upload.place, "lastByteReceived": 9}
        assert upload.part(b"x")["lastByteReceived"] == 10

    def test_every_byte_arrives(self, upload):
        data = bytes(range(256)) * 3
        upload.part(data)
        assert upload.complete(digest_of(data))["layerDigest"] == digest_of(data)

    @pytest.mark.parametrize(
        ("data", "first", "last"),
        [
            pytest.param(b"xx", 5, 6, id="a gap"),
            pytest.param(b"xx", 2, 3, id="an overlap"),
            pytest.param(b"xx", 0, 1, id="the first part again"),
            pytest.param(b"xx", 3, 9, id="fewer bytes than it says"),
            pytest.param(b"xx", 3, 3, id="more bytes than it says"),
            pytest.param(b"", 3, 3, id="no bytes"),
        ],
    )
    def test_a_part_that_does_not_follow(self, ecr, upload, configure, data, first, last):
        configure(quota_layer_part_min=0)
        upload.part(b"abc")
        answer = refused(ecr.upload_layer_part, **upload.parameters(data, first, last))

        assert (answer["Error"]["Code"], answer["Error"]["Message"]) == inferred(
            "InvalidLayerPartException",
            f"Invalid layer part upload for upload with id '{upload.place['uploadId']}' in the repository "
            f"with name 'app' in the registry with id '{ACCOUNT}'",
        )
        # Documented: the members of the error shape.
        members = {name: answer[name] for name in ("registryId", "repositoryName", "uploadId", "lastValidByteReceived")}
        assert members == {"registryId": ACCOUNT, **upload.place, "lastValidByteReceived": 2}
        # Inferred: the upload goes on where it was.
        upload.part(b"def")
        assert upload.complete(digest_of(b"abcdef"))["layerDigest"] == digest_of(b"abcdef")

    @pytest.mark.inferred
    def test_before_the_first_part_there_is_no_last_valid_byte(self, ecr, upload):
        answer = refused(ecr.upload_layer_part, **upload.parameters(b"xx", 5, 6))
        assert "lastValidByteReceived" not in answer

    @pytest.mark.parametrize("number", [1, 2])
    def test_too_many_parts(self, ecr, upload, configure, number):
        configure(quota_layer_parts=number, quota_layer_part_min=0)
        for _ in range(number):
            upload.part(b"x")
        assert refusal(ecr.upload_layer_part, **upload.parameters(b"x")) == self.limit(upload)
        assert upload.complete(digest_of(b"x" * number))["layerDigest"] == digest_of(b"x" * number)

    def test_too_many_bytes(self, ecr, upload, configure):
        configure(quota_layer_size=10)
        upload.part(b"x" * 9)
        assert refusal(ecr.upload_layer_part, **upload.parameters(b"xx")) == self.limit(upload)
        assert upload.part(b"x")["lastByteReceived"] == 9

    @staticmethod
    def limit(upload):
        return inferred(
            "LimitExceededException",
            f"The upload with id '{upload.place['uploadId']}' in the repository with name 'app' in registry "
            f"with id '{ACCOUNT}' exceeds the maximum number of layer parts or the maximum layer size",
        )

    @pytest.mark.documented
    def test_a_part_may_have_20_mib_and_no_more(self, ecr, upload):
        upload.part(bytes(20_971_520))
        assert upload.received == 20_971_520

        found = refusal(ecr.upload_layer_part, **upload.parameters(bytes(20_971_521)))
        assert found == recorded(
            "InvalidParameterException",
            constraint("layerPartBlob", "Member must have length less than or equal to 20971520"),
        )

    @pytest.mark.parametrize("member", ["partFirstByte", "partLastByte"])
    def test_byte_numbers_are_not_negative(self, sim, upload, member):
        members = {**upload.parameters(b"x"), "layerPartBlob": "eA==", member: -1}
        found = refusal_of(post(sim, "UploadLayerPart", members))
        assert found == inferred(
            "InvalidParameterException", constraint(member, "Member must have value greater than or equal to 0")
        )

    @pytest.mark.parametrize("missing", ["uploadId", "partFirstByte", "partLastByte", "layerPartBlob"])
    def test_every_member_is_required(self, sim, upload, missing):
        members = {**upload.parameters(b"x"), "layerPartBlob": "eA=="}
        members.pop(missing)
        found = refusal_of(post(sim, "UploadLayerPart", members))
        voice = "must not be null" if missing == "uploadId" else "Member must not be null"
        assert found == inferred("InvalidParameterException", constraint(missing, voice))


class TestComplete:
    @pytest.mark.documented
    def test_the_answer(self, upload):
        upload.part(b"some ")
        answer = upload.complete(digest_of(b"some "))
        answer.pop("ResponseMetadata")

        assert answer == {"registryId": ACCOUNT, **upload.place, "layerDigest": digest_of(b"some ")}

    def test_one_right_digest_among_the_given_is_enough(self, upload):
        upload.part(b"data")
        assert upload.complete(NOWHERE, digest_of(b"data"), "md5:00")["layerDigest"] == digest_of(b"data")

    def test_after_it_the_upload_is_gone(self, ecr, upload):
        upload.part(b"data")
        upload.complete(digest_of(b"data"))

        assert refusal(ecr.upload_layer_part, **upload.parameters(b"x")) == upload.not_found()
        again = refusal(ecr.complete_layer_upload, **upload.place, layerDigests=[digest_of(b"data")])
        assert again == upload.not_found()

    def test_another_digest(self, ecr, upload):
        upload.part(b"data")
        found = refusal(ecr.complete_layer_upload, **upload.place, layerDigests=[NOWHERE])
        assert found == recorded(
            "InvalidLayerException", "None of the provided layer digests match the calculated layer digest"
        )
        # Inferred: what was uploaded is dropped.
        assert refusal(ecr.upload_layer_part, **upload.parameters(b"x")) == upload.not_found()
        layers = ecr.batch_check_layer_availability(repositoryName="app", layerDigests=[digest_of(b"data"), NOWHERE])
        assert {layer["layerAvailability"] for layer in layers["layers"]} == {"UNAVAILABLE"}

    def test_a_layer_that_is_there(self, ecr, upload):
        digest = push_layer(ecr, "app", b"data")
        upload.part(b"data")
        assert refusal(ecr.complete_layer_upload, **upload.place, layerDigests=[digest]) == inferred(
            "LayerAlreadyExistsException",
            f"The layer with digest '{digest}' already exists in the repository with name 'app' "
            f"in registry with id '{ACCOUNT}'",
        )
        # As AWS's own client, one may take it for success.
        push(ecr, "app", build_image(b"data"))

    @pytest.mark.parametrize("digests", [[], ["sha256:ab"] * 101])
    def test_bounds_of_the_digests(self, sim, upload, digests):
        bound = "less than or equal to 100" if digests else "greater than or equal to 1"
        found = refusal_of(post(sim, "CompleteLayerUpload", {**upload.place, "layerDigests": digests}))
        assert found == recorded(
            "InvalidParameterException", constraint("layerDigests", f"Member must have length {bound}")
        )


class TestWhichUpload:
    @pytest.fixture
    def attempts(self, ecr):
        """Both operations on an upload."""

        def attempt(place):
            part = {"partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"}
            return {
                refusal(ecr.upload_layer_part, **place, **part),
                refusal(ecr.complete_layer_upload, **place, layerDigests=[NOWHERE]),
            }

        return attempt

    def test_one_of_no_repository(self, upload, attempts):
        (found,) = attempts({**upload.place, "repositoryName": "none"})
        assert found == repository_not_found("none")

    @pytest.mark.parametrize("upload_id", ["", "x", SOME_ID + "0", SOME_ID.replace("-", ""), SOME_ID.replace("1", "g")])
    def test_an_id_of_another_form(self, ecr, attempts, upload_id):
        create(ecr)
        (found,) = attempts({"repositoryName": "app", "uploadId": upload_id})
        digit = "[0-9a-fA-F]"
        pattern = f"{digit}{{8}}-{digit}{{4}}-{digit}{{4}}-{digit}{{4}}-{digit}{{12}}"
        assert found == inferred(
            "InvalidParameterException", constraint("uploadId", f"must satisfy regular expression '{pattern}'")
        )

    @pytest.mark.inferred
    def test_one_that_expired(self, sim, upload, attempts):
        upload.part(b"x")
        sim.advance(hours=23)
        upload.part(b"x")
        sim.advance(hours=1)
        assert attempts(upload.place) == {upload.not_found()}

    def test_its_lifetime_is_a_setting(self, sim, ecr, configure, attempts):
        configure(upload_lifetime=60)
        create(ecr)
        upload = Upload(ecr)
        sim.advance(seconds=59)
        upload.part(b"x")
        sim.advance(seconds=2)
        assert attempts(upload.place) == {upload.not_found()}


def test_what_was_uploaded_can_be_pushed(ecr, upload, configure):
    configure(quota_layer_part_min=4)
    image = build_image(b"0123456789")
    for part in (b"0123", b"4567", b"89"):
        upload.part(part)
    upload.complete(digest_of(b"0123456789"))
    push_layer(ecr, "app", next(iter(image.blobs.values())))

    assert put(ecr, "app", image, "v1") == image.digest
