"""ECR Public on /v2/: names, the challenge, tokens, who may push and that everybody may pull, and its texts."""

import json

import pytest

from ecrsim.testing import build_image, call_application
from tests.answers import ACCOUNT
from tests.ecr_public.conftest import PUBLIC_APP, alias_of
from tests.principals import admin, client_of, document, know, statement, user
from tests.pushing import artifact_of, create, index_of, push, put

HOST = "https://public.ecr.aws"
CHALLENGE = 'Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws"'
IMAGE = build_image(b"a layer")
LAYER = next(iter(IMAGE.blobs))
PUSH = (*("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage"),)
LOGIN = (statement("ecr-public:GetAuthorizationToken"), statement("sts:GetServiceBearerToken"))


class Client:
    """Asks below one base by one token: `Client(sim, HOST, "a1b2c3d4/app", "Bearer …")`."""

    def __init__(self, sim, base, name, authorization=None):
        self.sim, self.base, self.name, self.authorization = sim, base, name, authorization

    def ask(self, method, path, body=b"", **headers):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.authorization:
            given["Authorization"] = self.authorization
        return call_application(self.sim.app, method, f"{self.base}{path}", given, body)

    def of_repository(self, method, tail, body=b"", **headers):
        return self.ask(method, f"/v2/{self.name}/{tail}", body, **headers)

    def push(self, image=IMAGE, tag="v1"):
        """As docker does it; the statuses."""
        statuses = []
        for digest, data in image.blobs.items():
            statuses.append(self.of_repository("HEAD", f"blobs/{digest}").status)
            begun = self.of_repository("POST", "blobs/uploads/")
            statuses.append(begun.status)
            if begun.status == 202:
                place = begun.headers["Location"]
                statuses.append(self.ask("PATCH", place, data).status)
                statuses.append(self.ask("PUT", f"{place}?digest={digest}").status)
        put = self.of_repository("PUT", f"manifests/{tag}", image.manifest, content_type=image.media_type)
        return [*statuses, put.status]

    def pull(self, reference="v1"):
        return self.of_repository("GET", f"manifests/{reference}")


def token(sim, base=HOST, **headers):
    answer = call_application(sim.app, "GET", f"{base}/token/?service=public.ecr.aws&scope=aws", headers)
    assert answer.status == 200, answer.body
    return answer.json()["token"]


def password(public):
    return public.get_authorization_token()["authorizationData"]["authorizationToken"]


def error_of(answer):
    ((error),) = answer.json()["errors"]
    return answer.status, error["code"], error["message"]


@pytest.fixture
def name(app):
    """`<alias>/app`, with an image in it."""
    push(app, "app", IMAGE, "v1")
    return f"{alias_of(app)}/app"


@pytest.fixture
def anybody(sim, name):
    return Client(sim, HOST, name, f"Bearer {token(sim)}")


class TestChallenge:
    @pytest.mark.recorded
    @pytest.mark.parametrize("path", ["/v2/", "/v2/a1b2c3d4/app/manifests/v1", "/v2/a1b2c3d4/app/tags/list"])
    def test_who_has_no_token_is_told_where_to_get_one(self, sim, path):
        answer = call_application(sim.app, "GET", f"{HOST}{path}")
        assert error_of(answer) == (401, "DENIED", "Not Authorized")
        assert answer.headers["WWW-Authenticate"] == CHALLENGE
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"

    @pytest.mark.recorded
    def test_anybody_gets_one(self, sim):
        for path in ("/token/", "/token", "/token/?service=public.ecr.aws&scope=aws&account=me"):
            answer = call_application(sim.app, "GET", f"{HOST}{path}")
            assert answer.json().keys() == {"token"}
        assert Client(sim, HOST, "", f"Bearer {token(sim)}").ask("GET", "/v2/").status == 200

    def test_the_password_gets_one_that_may_do_more(self, sim, app, name):
        given = token(sim, Authorization=f"Basic {password(app)}")
        assert Client(sim, HOST, name, f"Bearer {given}").push(build_image(b"new"), "v2")[-1] == 201

    @pytest.mark.documented
    def test_the_authorization_token_is_a_bearer_token_as_it_is(self, sim, app, name):
        for scheme in ("Bearer", "Basic"):
            assert Client(sim, HOST, name, f"{scheme} {password(app)}").pull().status == 200

    @pytest.mark.parametrize("header", ["Basic QVdTOng=", "Basic x", "Bearer x", "Digest x"])
    @pytest.mark.parametrize("path", ["/v2/", "/token/"])
    @pytest.mark.recorded
    def test_a_wrong_one_is_invalid(self, sim, header, path):
        answer = Client(sim, HOST, "", header).ask("GET", path)
        assert error_of(answer) == (400, "DENIED", "Your Authorization Token is invalid.")

    @pytest.mark.recorded
    def test_one_that_is_12_hours_old_has_expired(self, sim, app, name):
        tokens = [f"Bearer {token(sim)}", f"Bearer {password(app)}"]
        sim.advance(hours=13)
        for each in tokens:
            assert error_of(Client(sim, HOST, name, each).pull()) == (
                *(400, "DENIED"),
                "Your authorization token has expired. Reauthenticate and try again.",
            )

    def test_tokens_are_got_by_get_alone(self, sim):
        answer = call_application(sim.app, "POST", f"{HOST}/token/", {}, b"grant_type=password")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")

    def test_pages_of_other_origins_get_none(self, sim):
        answer = call_application(sim.app, "GET", "http://localhost:5100/token/", {"Origin": "https://evil.example"})
        assert answer.status == 403


class TestPull:
    def test_anybody_may_pull(self, anybody):
        found = anybody.pull()
        assert (found.status, found.body) == (200, IMAGE.manifest)
        assert anybody.of_repository("HEAD", "manifests/v1").status == 200
        assert anybody.pull(IMAGE.digest).body == IMAGE.manifest
        assert anybody.of_repository("GET", f"blobs/{LAYER}").body == IMAGE.blobs[LAYER]

    def test_anybody_may_list_tags_and_referrers(self, anybody, app):
        push(app, "app", artifact_of(IMAGE))
        assert anybody.of_repository("GET", "tags/list").json()["tags"] == ["v1"]
        found = anybody.of_repository("GET", f"referrers/{IMAGE.digest}").json()
        assert [each["digest"] for each in found["manifests"]] == [artifact_of(IMAGE).digest]

    @pytest.mark.documented
    def test_no_policy_denies_it(self, sim, anybody, app, name):
        deny = statement("*", effect="Deny", Principal="*", Sid="a")
        del deny["Resource"]
        app.set_repository_policy(repositoryName="app", policyText=json.dumps(document(deny)), force=True)
        assert anybody.pull().status == 200
        know(sim, {"users": [user("dev", document(*LOGIN))]})
        found = Client(sim, HOST, name, f"Bearer {password(client_of(sim, 'dev', 'ecr-public'))}")
        assert found.pull().status == 200
        assert found.of_repository("GET", f"blobs/{LAYER}").status == 200

    @pytest.mark.recorded
    @pytest.mark.parametrize("missing", ["nobody/app", "{alias}/nothing", "a1b2c3d4/team/app"])
    def test_the_alias_stands_in_the_sentence_as_it_was_typed(self, sim, name, missing):
        missing = missing.format(alias=name.partition("/")[0])
        alias, _, repository = missing.partition("/")
        assert error_of(Client(sim, HOST, missing, f"Bearer {token(sim)}").pull()) == (
            *(404, "NAME_UNKNOWN"),
            f"The repository with name '{repository}' does not exist in the registry with id '{alias}'",
        )

    def test_an_image_that_is_not_there(self, anybody):
        assert error_of(anybody.pull("v2")) == (404, "MANIFEST_UNKNOWN", "Requested image not found")

    def test_a_name_without_an_alias_is_none(self, sim, name):
        assert Client(sim, HOST, "app", f"Bearer {token(sim)}").pull().status == 400

    def test_there_is_no_catalog(self, anybody):
        assert anybody.ask("GET", "/v2/_catalog").status == 404

    def test_it_is_on_record(self, sim, anybody):
        anybody.pull()
        record = admin(sim, "GET", "audit?limit=1000").json()["records"][-1]
        assert (record["principal"], record["action"], record["resource"], record["decision"]) == (
            *("anonymous", "ecr-public:BatchGetImage"),
            *(PUBLIC_APP, "allowed"),
        )


class TestPush:
    def test_who_has_the_rights_may_push(self, sim, app, name):
        know(sim, {"users": [user("dev", document(*LOGIN, statement(*(f"ecr-public:{each}" for each in PUSH))))]})
        given = password(client_of(sim, "dev", "ecr-public"))
        client = Client(sim, HOST, name, f"Bearer {given}")
        assert client.push(build_image(b"new"), "v2")[-1] == 201
        assert client.pull("v2").status == 200

    @pytest.mark.parametrize("lacking", PUSH)
    @pytest.mark.documented
    def test_each_right_is_needed(self, sim, app, name, lacking):
        rights = [f"ecr-public:{each}" for each in PUSH if each != lacking]
        know(sim, {"users": [user("dev", document(*LOGIN, statement(*rights)))]})
        given = password(client_of(sim, "dev", "ecr-public"))
        assert 403 in Client(sim, HOST, name, f"Bearer {given}").push(build_image(b"new"), "v2")

    def test_the_denial_is_awss(self, sim, app, name):
        know(sim, {"users": [user("dev", document(*LOGIN))]})
        given = password(client_of(sim, "dev", "ecr-public"))
        answer = Client(sim, HOST, name, f"Bearer {given}").of_repository("POST", "blobs/uploads/")
        text = f"User: arn:aws:iam::{ACCOUNT}:user/dev is not authorized to perform: ecr-public:InitiateLayerUpload on "
        text += (
            f"resource: {PUBLIC_APP} because no identity-based policy allows the ecr-public:InitiateLayerUpload action"
        )
        assert error_of(answer) == (403, "DENIED", text)

    @pytest.mark.parametrize(
        ("method", "tail"),
        [
            ("HEAD", f"blobs/{LAYER}"),
            ("POST", "blobs/uploads/"),
            ("PATCH", "blobs/uploads/12345678-1234-1234-1234-123456789012"),
            ("PUT", "blobs/uploads/12345678-1234-1234-1234-123456789012"),
            ("PUT", "manifests/v2"),
            ("DELETE", "manifests/v1"),
            ("DELETE", f"blobs/{LAYER}"),
        ],
    )
    def test_nobody_changes_anything_without_credentials(self, anybody, method, tail):
        answer = anybody.of_repository(method, tail, b"" if method != "PUT" else b"{}")
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == CHALLENGE
        assert anybody.pull().status == 200

    def test_a_missing_repository_is_named_by_the_alias(self, sim, app, name):
        alias = name.partition("/")[0]
        client = Client(sim, HOST, f"{alias}/nothing", f"Bearer {password(app)}")
        assert error_of(client.of_repository("POST", "blobs/uploads/")) == (
            *(404, "NAME_UNKNOWN"),
            f"The repository with name 'nothing' does not exist in the registry with id '{alias}'",
        )

    def test_it_is_on_the_trail_of_ecr_public(self, sim, app, name):
        Client(sim, HOST, name, f"Bearer {password(app)}").push(build_image(b"new"), "v2")
        event = sim.events(type="AWS API Call via CloudTrail")[-1]["detail"]
        assert (event["eventSource"], event["eventName"]) == ("ecr-public.amazonaws.com", "PutImage")


class TestNames:
    @pytest.mark.parametrize(
        "base",
        [
            *(HOST, "http://public.ecr.aws:5100", "https://PUBLIC.ecr.aws", "https://ecr-public.aws.com"),
            *("http://public.ecr.localhost:5100", "http://public.ecr.test"),
        ],
    )
    def test_hosts_of_ecr_public(self, sim, name, base):
        assert Client(sim, base, name, f"Bearer {token(sim, base)}").pull().status == 200

    @pytest.mark.parametrize("base", ["http://localhost:5100", "http://127.0.0.1:5100", "http://registry.test"])
    def test_a_path_where_the_host_says_nothing(self, sim, app, name, base):
        client = Client(sim, base, f"public/{name}", f"Bearer {token(sim, base)}")
        assert client.pull().body == IMAGE.manifest
        pusher = Client(sim, base, f"public/{name}", f"Basic {password(app)}")
        assert pusher.push(build_image(b"new"), "v2")[-1] == 201
        assert client.of_repository("GET", "tags/list").json() == {"name": f"public/{name}", "tags": ["v1", "v2"]}

    def test_the_challenge_of_a_path(self, sim, name):
        answer = Client(sim, "http://localhost:5100", f"public/{name}").pull()
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (
            401,
            'Bearer realm="http://localhost:5100/token/",service="public.ecr.aws",scope="aws"',
        )

    def test_a_path_with_what_looks_like_an_alias(self, sim):
        client = Client(sim, "http://localhost:5100", "public/a1b2c3d4/app", f"Bearer {token(sim)}")
        assert error_of(client.pull())[2] == (
            "The repository with name 'app' does not exist in the registry with id 'a1b2c3d4'"
        )

    def test_a_private_repository_may_be_below_public(self, sim, ecr):
        create(ecr, "public/nginx/nginx")
        push(ecr, "public/nginx/nginx", IMAGE, "v1")
        given = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        client = Client(sim, "http://localhost:5100", "public/nginx/nginx", f"Basic {given}")
        assert client.pull().status == 200
        client.authorization = None
        assert client.pull().headers["WWW-Authenticate"].startswith("Basic ")

    def test_the_name_that_a_mirror_stands_for(self, sim, name):
        client = Client(sim, "http://localhost:5100", name, f"Bearer {token(sim)}")
        assert client.of_repository("GET", "manifests/v1?ns=public.ecr.aws").status == 200

    def test_every_active_alias_leads_there(self, sim, name):
        admin(sim, "PUT", "public-aliases", {"name": "acme"})
        for alias in (name.partition("/")[0], "acme"):
            assert Client(sim, HOST, f"{alias}/app", f"Bearer {token(sim)}").pull().status == 200
        admin(sim, "PUT", "public-aliases", {"name": "acme", "status": "PENDING"})
        assert Client(sim, HOST, "acme/app", f"Bearer {token(sim)}").pull().status == 404


class TestBesidePrivateRegistries:
    """One name may serve both, and nothing of the one opens the other."""

    def test_a_token_of_nobody_opens_no_private_registry(self, sim, ecr, name):
        create(ecr, "app")
        push(ecr, "app", IMAGE, "v1")
        given = token(sim)
        for base in ("http://localhost:5100", f"https://{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"):
            for scheme in ("Bearer", "Basic"):
                for path in ("/v2/app/manifests/v1", "/v2/_catalog", "/v2/app/tags/list"):
                    # By a name that both share, it is known to the other side before.
                    Client(sim, base, f"public/{name}", f"{scheme} {given}").pull()
                    assert Client(sim, base, "", f"{scheme} {given}").ask("GET", path).status == 401

    def test_the_ping_asks_for_basic_until_there_is_an_alias(self, sim, public):
        ping = Client(sim, "http://localhost:5100", "")
        assert ping.ask("GET", "/v2/").headers["WWW-Authenticate"].startswith("Basic ")
        create(public, "app")
        assert ping.ask("GET", "/v2/").headers["WWW-Authenticate"].startswith("Bearer ")
        private = Client(sim, f"https://{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com", "")
        assert private.ask("GET", "/v2/").headers["WWW-Authenticate"].startswith("Basic ")

    def test_by_that_name_the_token_endpoint_serves_private_registries_too(self, sim, ecr, name):
        create(ecr, "app")
        push(ecr, "app", IMAGE, "v1")
        given = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        bearer = token(sim, "http://localhost:5100", Authorization=f"Basic {given}")
        assert Client(sim, "http://localhost:5100", "app", f"Bearer {bearer}").pull().status == 200
        far = Client(sim, f"https://{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com", "app", f"Bearer {bearer}")
        assert far.pull().status == 401


class TestLimits:
    RATE = (429, "TOOMANYREQUESTS", "Rate exceeded")
    DATA = (429, "TOOMANYREQUESTS", "Data limit exceeded")

    @pytest.fixture(autouse=True)
    def _frozen(self, sim):
        admin(sim, "PUT", "clock", {"mode": "frozen", "now": "2026-01-30T00:00:00Z"})

    def test_there_are_none_by_default(self, anybody):
        assert {anybody.pull().status for _ in range(5)} == {200}

    @pytest.mark.recorded
    def test_one_pull_a_second_without_credentials(self, sim, anybody, configure):
        configure(public_limits=True)
        assert anybody.pull().status == 200
        assert error_of(anybody.pull()) == self.RATE
        sim.advance(seconds=1)
        assert anybody.pull().status == 200
        assert error_of(anybody.pull()) == self.RATE

    @pytest.mark.documented
    def test_ten_with_them(self, sim, app, name, configure):
        client = Client(sim, HOST, name, f"Bearer {password(app)}")
        configure(public_limits=True)
        assert [client.pull().status for _ in range(11)] == [200] * 10 + [429]
        sim.advance(seconds=1)
        assert [client.pull().status for _ in range(11)] == [200] * 10 + [429]

    def test_a_pull_is_not_its_layers_nor_a_question(self, anybody, configure):
        configure(public_limits=True)
        assert anybody.pull().status == 200
        for digest in IMAGE.blobs:
            assert anybody.of_repository("GET", f"blobs/{digest}").status == 200
        assert anybody.of_repository("HEAD", "manifests/v1").status == 200
        assert anybody.of_repository("GET", "tags/list").status == 200

    @pytest.mark.inferred
    def test_images_of_an_index_belong_to_its_pull(self, anybody, app, configure):
        put(app, "app", index_of(IMAGE), "all")
        configure(public_limits=True)
        assert anybody.pull("all").status == 200
        assert anybody.pull(IMAGE.digest).status == 200
        assert error_of(anybody.pull("all")) == self.RATE

    @pytest.mark.recorded
    @pytest.mark.parametrize("given", [200, 307])
    def test_the_bytes_of_a_month(self, sim, anybody, configure, given):
        """A layer that the client is led to counts like one that is sent (inferred)."""
        size = len(IMAGE.manifest) + len(IMAGE.blobs[LAYER])
        configure(public_limits=True, quota_public_data=size, blob_redirect=given == 307)
        assert anybody.pull().status == 200
        assert anybody.of_repository("GET", f"blobs/{LAYER}").status == given
        assert error_of(anybody.of_repository("GET", f"blobs/{LAYER}")) == self.DATA
        sim.advance(seconds=1)
        assert error_of(anybody.pull()) == self.DATA
        for days, status in ((1, 429), (1, 200)):  # the second is in February
            sim.advance(days=days)
            anybody.authorization = f"Bearer {token(sim)}"
            assert anybody.pull().status == status

    def test_a_range_counts_as_what_it_is(self, anybody, configure):
        configure(public_limits=True, quota_public_data=2)
        for _ in range(2):
            assert anybody.of_repository("GET", f"blobs/{LAYER}", range="bytes=0-0").status == 206
        assert error_of(anybody.of_repository("GET", f"blobs/{LAYER}")) == self.DATA

    def test_who_has_credentials_has_no_such_limit(self, sim, app, name, configure):
        configure(public_limits=True, quota_public_data=1)
        client = Client(sim, HOST, name, f"Bearer {password(app)}")
        assert {client.of_repository("GET", f"blobs/{LAYER}").status for _ in range(3)} == {200}

    def test_a_clock_that_is_set_back_holds_nobody_up(self, sim, anybody, configure):
        configure(public_limits=True)
        assert anybody.pull().status == 200
        admin(sim, "PUT", "clock", {"mode": "frozen", "now": "2026-01-29T23:00:00Z"})
        assert anybody.pull().status == 200

    @pytest.mark.documented
    def test_pushes_have_rates_of_their_own_on_both_planes(self, sim, app, name, configure):
        configure(public_limits=True)
        for _ in range(10):
            app.initiate_layer_upload(repositoryName="app")
        with pytest.raises(Exception, match=r"ThrottlingException.*Rate exceeded"):
            app.initiate_layer_upload(repositoryName="app")
        client = Client(sim, HOST, name, f"Bearer {password(app)}")
        assert error_of(client.of_repository("POST", "blobs/uploads/")) == self.RATE
        sim.advance(seconds=1)
        assert client.of_repository("POST", "blobs/uploads/").status == 202

    def test_private_registries_have_none(self, sim, ecr, anybody, configure):
        create(ecr, "app")
        push(ecr, "app", IMAGE, "v1")
        given = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        configure(public_limits=True)
        client = Client(sim, "http://localhost:5100", "app", f"Basic {given}")
        assert {client.pull().status for _ in range(15)} == {200}
