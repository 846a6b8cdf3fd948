"""What a request may cost and what is remembered of it, before it is known who asks and after.

Nothing is timed here: each row has the size at which its bound was missed, and would take minutes or gigabytes.
"""

import json
import tracemalloc
from types import SimpleNamespace

import pytest

from ecrsim import Ecrsim
from ecrsim.controlplane import caller
from ecrsim.core.digest import digest_of
from ecrsim.delivery import pattern as patterns
from ecrsim.ecr.images import listing
from ecrsim.iam.grammar import PolicyKind
from ecrsim.records import audit
from ecrsim.testing import build_image, call_application
from tests.principals import statement

ACCOUNT = "000000000000"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TARGET = "AmazonEC2ContainerRegistry_V20150921"
MIB = 1 << 20


@pytest.fixture(scope="module")
def running():
    with Ecrsim(socket=False) as running:
        yield running


@pytest.fixture
def sim(running):
    running.reset()
    return running


def signed(access_key=ACCOUNT, headers="host"):
    return (
        f"AWS4-HMAC-SHA256 Credential={access_key}/20260101/us-east-1/ecr/aws4_request, "
        f"SignedHeaders={headers}, Signature=0"
    )


def api(sim, operation, body=b"{}", authorization=None, **headers):
    usual = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"{TARGET}.{operation}",
        "X-Amz-Date": "20260101T000000Z",
        "Authorization": authorization or signed(),
    }
    return call_application(sim.app, "POST", "http://localhost/", {**usual, **headers}, body)


def code(answer):
    return answer.json()["__type"]


class TestBeforeItIsKnownWhoAsks:
    @pytest.mark.parametrize(
        ("form", "status"),
        [
            (b"a&" * 16 * MIB, 413),
            (b"Action=GetCallerIdentity&" + b"a=b&" * 600, 400),
            (b"Action=GetCallerIdentity&x=" + b"a" * (1 << 17), 413),
            (b"Action=GetCallerIdentity&x=" + b"a" * 100_000, 403),  # of a size that is read: not signed
        ],
    )
    def test_a_form_of_sts(self, sim, form, status):
        tracemalloc.start()
        try:
            assert call_application(sim.app, "POST", "http://localhost/", FORM, form).status == status
            assert tracemalloc.get_traced_memory()[1] < 2 * len(form) + 8 * MIB
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("names", ["host;" * 20_000, "host;" * 20_000 + "host, Signature=", "a-" * 60_000])
    def test_a_header_that_is_almost_a_signature(self, sim, names, monkeypatch):
        """A pattern that goes back would look at each name once for each name: no long text is given to it."""
        lengths = []
        fullmatch = caller._COMMON_FORM.fullmatch
        counted = SimpleNamespace(fullmatch=lambda text: (lengths.append(len(text)), fullmatch(text))[1])
        monkeypatch.setattr(caller, "_COMMON_FORM", counted)
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/us-east-1/ecr/aws4_request, SignedHeaders={names}"
        )
        assert api(sim, "DescribeRepositories", authorization=authorization).status in (200, 400)
        assert api(sim, "DescribeRepositories").status == 200
        assert lengths
        assert max(lengths) <= 1024

    def test_an_access_key_that_nobody_can_have(self, sim):
        assert code(api(sim, "DescribeRepositories", authorization=signed("A" * 90_000))) == (
            "UnrecognizedClientException"
        )
        assert code(api(sim, "DescribeRepositories", authorization=signed("A" * 129))) == "UnrecognizedClientException"
        assert api(sim, "DescribeRepositories", authorization=signed("A" * 128)).status == 200

    @pytest.mark.parametrize(
        ("operation", "size", "refused"),
        [
            ("DescribeRepositories", MIB, False),
            ("DescribeRepositories", MIB + 1, True),
            ("BatchGetImage", 2 * MIB, True),
            ("PutImage", 2 * MIB, False),
            ("UploadLayerPart", 2 * MIB, False),
        ],
    )
    def test_a_body(self, sim, operation, size, refused):
        start = b'{"ignored":"'
        answer = api(sim, operation, start + b"a" * (size - len(start) - 2) + b'"}')
        assert (answer.status == 413) is refused

    def test_a_body_of_many_values(self, sim):
        body = b'{"repositoryName":"app","ignored":[' + b"[]," * 2 * MIB + b"0]}"
        tracemalloc.start()
        try:
            assert code(api(sim, "PutImage", body)) == "SerializationException"
            assert tracemalloc.get_traced_memory()[1] < 40 * MIB
        finally:
            tracemalloc.stop()

    def test_a_page_token(self, sim):
        body = json.dumps({"nextToken": "A" * 900_000}).encode()
        assert code(api(sim, "DescribeRepositories", body)) == "InvalidParameterException"

    def test_a_body_of_the_admin_surface(self, sim):
        path = "http://localhost/_ecrsim/principals"
        assert call_application(sim.app, "PUT", path, body=b" " * (32 * MIB + 1)).status == 413


def test_a_header_that_is_signed_many_times(sim):
    """Each name would cost as much as the header is long. The key is known, so the signature is computed."""
    client = sim.client("sts")
    key = client.get_session_token()["Credentials"]["AccessKeyId"]
    names = ";".join(["host"] + ["x-long"] * 10_000)
    answer = api(sim, "DescribeRepositories", authorization=signed(key, names), **{"X-Long": "a" * 50_000})
    assert answer.status == 400


class TestRemembered:
    @pytest.mark.slow
    def test_identities_decisions_and_documents(self, sim, monkeypatch):
        for name in ("_MAX_REMEMBERED", "_MAX_DOCUMENTS"):
            monkeypatch.setattr(f"ecrsim.ecr.access.authorization.{name}", 10)
        for number in range(30):
            assert api(sim, "DescribeRepositories", authorization=signed(f"KEY{number}")).status == 200
            name = f"r{number}"
            sim.client().create_repository(repositoryName=name)
            policy = {"Version": "2012-10-17", "Statement": [statement("ecr:ListImages", Principal="*", Sid=name)]}
            for each in policy["Statement"]:
                each.pop("Resource", None)
            sim.client().set_repository_policy(repositoryName=name, policyText=json.dumps(policy))
        for number in range(30):
            sim.client().list_images(repositoryName=f"r{number}")
        known = sim.runtime.memory["access"]
        assert 0 < len(known.identities) <= 10
        assert 0 < len(known.decisions) <= 10
        assert 0 < len([kind for kind, _ in known.documents if kind is PolicyKind.REPOSITORY]) <= 10

    def test_a_token_that_is_written_at_length(self, sim):
        token = sim.client().get_authorization_token()["authorizationData"][0]["authorizationToken"]
        for spaces in (1, 10_000, 60_000):
            headers = {"Authorization": f"Basic {' ' * spaces}{token}"}
            assert call_application(sim.app, "GET", "http://localhost/v2/", headers).status == 200
        assert max(map(len, sim.app._registry._tokens._checked)) < 2_048

    def test_rows_of_the_audit_are_short(self, sim):
        token = sim.client().get_authorization_token()["authorizationData"][0]["authorizationToken"]
        call_application(
            sim.app, "GET", "http://localhost/v2/app/manifests/" + "a" * 60_000, {"Authorization": f"Basic {token}"}
        )
        api(sim, "DescribeRepositories", authorization=signed("A" * 60_000))
        audit.write_entries(sim.runtime)
        with sim.runtime.database.read() as connection:
            rows = audit.page(connection, 0, 0, 100)
        texts = [value for row in rows for value in row if isinstance(value, str)]
        assert max(map(len, texts)) == 512
        assert rows[-1].principal.endswith("…")

    def test_an_agent_on_the_trail(self, sim):
        body = b'{"repositoryName":"app"}'
        assert api(sim, "CreateRepository", body, **{"User-Agent": "a" * 60_000}).status == 200
        agents = [event["detail"]["userAgent"] for event in sim.events() if "userAgent" in event["detail"]]
        assert [len(agent) for agent in agents] == [1024]


@pytest.mark.parametrize(
    "pattern",
    [
        {f"f{number}": ["x"] for number in range(20_000)},
        {"a": {"$or": [{f"b{number}": ["x"]} for number in range(1_000)]}} | {f"f{n}": ["x"] for n in range(100)},
    ],
    ids=["many fields", "many fields in many branches"],
)
def test_a_pattern_of_events(pattern):
    with pytest.raises(patterns.PatternError, match="fields in all combinations"):
        patterns.compile(pattern)


class TestAnswers:
    @pytest.fixture
    def app(self, sim):
        sim.client().create_repository(repositoryName="app")
        return sim.client()

    def push(self, app, image, tag):
        app.put_image(
            repositoryName="app",
            imageManifest=image.manifest.decode(),
            imageManifestMediaType=image.media_type,
            imageTag=tag,
        )

    def test_referrers_come_in_pages_of_bytes(self, sim, app, monkeypatch):
        monkeypatch.setattr(listing, "REFERRERS_BYTES", 100_000)
        subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + "a" * 64, "size": 1}
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
        token = app.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        headers = {"Authorization": f"Basic {token}", "Content-Type": index["mediaType"]}
        pushed = []
        for number, size in enumerate([40_000] * 5 + [300_000] + [10] * 5):
            manifest = json.dumps(
                {**index, "subject": subject, "annotations": {"n": str(number), "text": "é" * (size // 2)}}
            ).encode()
            pushed.append(digest_of(manifest))
            answer = call_application(
                sim.app, "PUT", f"http://localhost/v2/app/manifests/{pushed[-1]}", headers, manifest
            )
            assert answer.status == 201, answer.body
        found, sizes, path = [], [], f"/v2/app/referrers/{subject['digest']}"
        while path:
            answer = call_application(sim.app, "GET", f"http://localhost{path}", headers)
            found += [entry["digest"] for entry in answer.json()["manifests"]]
            sizes.append(len(answer.body))
            path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
        assert found == pushed
        assert len(sizes) > 3
        # One that is longer than a page is alone on its own.
        assert [size > 200_000 for size in sizes].count(True) == 1
        listed, more = [], {}
        while True:
            answer = app.list_image_referrers(
                repositoryName="app", subjectId={"imageDigest": subject["digest"]}, maxResults=50, **more
            )
            listed += [entry["digest"] for entry in answer["referrers"]]
            if "nextToken" not in answer:
                break
            more = {"nextToken": answer["nextToken"]}
        assert listed == pushed

    def test_one_image_by_many_tags(self, app, monkeypatch):
        image = build_image(annotations={"text": "a" * 10_000})
        for digest, blob in image.blobs.items():
            session = app.initiate_layer_upload(repositoryName="app")["uploadId"]
            app.upload_layer_part(
                repositoryName="app",
                uploadId=session,
                partFirstByte=0,
                partLastByte=len(blob) - 1,
                layerPartBlob=blob,
            )
            app.complete_layer_upload(repositoryName="app", uploadId=session, layerDigests=[digest])
        for tag in range(5):
            self.push(app, image, f"t{tag}")
        monkeypatch.setattr("ecrsim.ecr.images.operations._MOST_BYTES", 60_000)
        ids = [{"imageDigest": image.digest}]
        assert len(app.batch_get_image(repositoryName="app", imageIds=ids)["images"]) == 5
        self.push(app, image, "t5")
        with pytest.raises(app.exceptions.LimitExceededException, match="more than 60000 bytes together"):
            app.batch_get_image(repositoryName="app", imageIds=ids)
