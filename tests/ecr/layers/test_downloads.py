"""GetDownloadUrlForLayer: the URL, and what may be done with it."""

from urllib.parse import urlsplit

import pytest

from ecrsim.core.durations import SECOND
from ecrsim.ecr.layers import downloads
from ecrsim.testing import build_image, call_application
from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal
from tests.pushing import NOWHERE, create, digest_of, push, push_layer

DATA = bytes(range(256)) * 4
DIGEST = digest_of(DATA)
SECRET = b"s" * 32
NOW = 1_800_000_000 * SECOND


@pytest.fixture
def url(ecr):
    create(ecr)
    push(ecr, "app", build_image(DATA))
    answer = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=DIGEST)
    answer.pop("ResponseMetadata")
    assert set(answer) == {"downloadUrl", "layerDigest"}
    assert answer["layerDigest"] == DIGEST
    return answer["downloadUrl"]


@pytest.fixture
def get(sim):
    def fetch(url, method="GET", **headers):
        return call_application(sim.app, method, url, headers)

    return fetch


class TestUrl:
    def test_it_gives_the_bytes_without_credentials(self, sim, get, url):
        answer = get(url)

        assert (answer.status, answer.body) == (200, DATA)
        assert answer.headers["Content-Length"] == "1024"
        assert url.startswith(sim.endpoint_url)

    def test_a_config_is_a_layer_too(self, ecr, get, url):
        config = build_image(DATA)
        digest = next(iter(config.blobs))
        answer = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest)
        assert get(answer["downloadUrl"]).body == config.blobs[digest]

    def test_its_host_is_the_one_that_was_asked(self, sim, ecr, url):
        # A container reaches ecrsim under another name than the host does.
        assert urlsplit(url).netloc == urlsplit(sim.endpoint_url).netloc

    def test_it_answers_a_head_as_well(self, get, url):
        answer = get(url, "HEAD")
        assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "1024")

    @pytest.mark.parametrize(
        ("asked", "status", "content", "told"),
        [
            ("bytes=0-9", 206, DATA[:10], "bytes 0-9/1024"),
            ("bytes=1000-", 206, DATA[1000:], "bytes 1000-1023/1024"),
            ("bytes=-24", 206, DATA[-24:], "bytes 1000-1023/1024"),
            ("bytes=0-99999", 206, DATA, "bytes 0-1023/1024"),
            ("bytes=1024-", 416, b"", "bytes */1024"),
        ],
    )
    def test_ranges(self, get, url, asked, status, content, told):
        answer = get(url, Range=asked)

        assert answer.status == status
        assert answer.headers["Content-Range"] == told
        if status == 206:
            assert answer.body == content

    @pytest.mark.inferred
    def test_it_is_good_for_an_hour(self, sim, get, url):
        sim.advance(minutes=59, seconds=58)
        assert get(url).status == 200
        sim.advance(seconds=3)
        answer = get(url)
        assert answer.status == 403
        assert b"<Code>AccessDenied</Code>" in answer.body

    def test_its_lifetime_is_a_setting(self, sim, ecr, get, url, configure):
        configure(download_url_lifetime=60)
        short = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=DIGEST)["downloadUrl"]
        sim.advance(seconds=61)
        assert (get(short).status, get(url).status) == (403, 200)

    @pytest.mark.parametrize(
        "alter",
        [
            pytest.param(lambda url: url.replace("expires=", "expires=9"), id="a longer life"),
            pytest.param(lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"), id="another signature"),
            pytest.param(lambda url: url.partition("&signature")[0], id="no signature"),
            pytest.param(lambda url: url.partition("?")[0], id="no query"),
            pytest.param(lambda url: url.replace(DIGEST, digest_of(b"other")), id="another layer"),
            pytest.param(lambda url: url.replace("sha256:", "sha256%3A%2F"), id="no digest"),
            pytest.param(lambda url: url.replace("sha256:", "../"), id="a path"),
            pytest.param(lambda url: url.replace("signature=", "signature=%C3%A4"), id="a signature beyond ASCII"),
        ],
    )
    def test_an_altered_one_is_refused(self, ecr, get, url, alter):
        push_layer(ecr, "app", b"other")
        assert get(alter(url)).status == 403

    def test_it_is_for_reading(self, get, url):
        assert {get(url, method).status for method in ("PUT", "POST", "DELETE")} == {403}


class TestWhichLayer:
    def test_one_that_is_not_there(self, ecr):
        create(ecr)
        assert refusal(ecr.get_download_url_for_layer, repositoryName="app", layerDigest=NOWHERE) == recorded(
            "LayersNotFoundException",
            f"The layer with digest '{NOWHERE}' does not exist within the repository with name 'app' "
            f"in the registry with id '{ACCOUNT}'",
        )

    @pytest.mark.documented
    def test_one_that_no_image_names(self, ecr):
        create(ecr)
        digest = push_layer(ecr, "app", DATA)
        assert refusal(ecr.get_download_url_for_layer, repositoryName="app", layerDigest=digest) == inferred(
            "LayerInaccessibleException",
            f"The layer with digest '{digest}' is inaccessible in the repository with name 'app' "
            f"in the registry with id '{ACCOUNT}'",
        )

    def test_one_of_another_repository(self, ecr, url):
        create(ecr, "other")
        found = refusal(ecr.get_download_url_for_layer, repositoryName="other", layerDigest=DIGEST)
        assert found.code == "LayersNotFoundException"

    def test_what_is_no_digest(self, ecr):
        create(ecr)
        found = refusal(ecr.get_download_url_for_layer, repositoryName="app", layerDigest="v1")
        assert found == inferred(
            "InvalidParameterException",
            constraint("layerDigest", "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"),
        )


def parts(now=NOW, lifetime=3600, secret=SECRET):
    """(digest, repository, expires, signature) of a signed path."""
    path, _, query = downloads.signed_path(secret, DIGEST, 7, now, lifetime).partition("?")
    repository, expires, signature = (pair.partition("=")[2] for pair in query.split("&"))
    return path.removeprefix(downloads.PREFIX), repository, expires, signature


class TestSignature:
    @pytest.mark.parametrize(
        ("change", "now", "expected"),
        [
            pytest.param({}, NOW, True, id="as it was made"),
            pytest.param({}, NOW + 3600 * SECOND - 1, True, id="the last millisecond"),
            pytest.param({}, NOW + 3600 * SECOND, False, id="expired"),
            pytest.param({"digest": NOWHERE}, NOW, False, id="another digest"),
            pytest.param({"repository": "8"}, NOW, False, id="another repository"),
            pytest.param({"repository": ""}, NOW, False, id="no repository"),
            pytest.param({"expires": "1900000000"}, NOW, False, id="another expiry"),
            pytest.param({"expires": ""}, NOW, False, id="no expiry"),
            pytest.param({"expires": "soon"}, NOW, False, id="an expiry that is no number"),
            pytest.param({"expires": "-1"}, NOW, False, id="a negative one"),
            pytest.param({"expires": "1" * 13}, NOW, False, id="one beyond all time"),
            pytest.param({"expires": "\u0661"}, NOW, False, id="digits of another script"),
            pytest.param({"signature": ""}, NOW, False, id="no signature"),
            pytest.param({"signature": "0" * 64}, NOW, False, id="another signature"),
            pytest.param({"signature": "ä"}, NOW, False, id="a signature beyond ASCII"),
        ],
    )
    def test_verify(self, change, now, expected):
        names = ("digest", "repository", "expires", "signature")
        found = {**dict(zip(names, parts(), strict=True)), **change}
        assert downloads.verify(SECRET, *(found[name] for name in names), now) is expected

    def test_the_seal_is_the_secret_s(self):
        assert not downloads.verify(b"t" * 32, *parts(), NOW)
