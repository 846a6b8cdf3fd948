"""Upstreams that do harm: what is answered to whom, and that nothing of it is ever stored.

Each kind of harm is done to each thing that is fetched (a manifest, the manifest of a child, a layer, a list of
referrers and what it lists), asked for on both planes. Statuses of the registry plane are inferred, codes of failures
and exceptions documented.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select

from ecrsim.core.upstream.registry import Upstreams
from ecrsim.ecr.pullthrough.tables import image_imports, layer_imports
from ecrsim.testing import build_image
from tests.answers import refusal
from tests.core.upstream.conftest import PATIENT
from tests.core.upstream.servers import Registry
from tests.ecr.pullthrough.caching import error_of
from tests.pushing import artifact_of, digest_of, index_of

REPOSITORY = "cache/library/app"
IMAGE, NEWER = build_image(b"a layer of some bytes" * 1000), build_image(b"a newer one of other bytes" * 1000)
SBOM = artifact_of(IMAGE)


def layer_of(image):
    return max(image.blobs, key=lambda digest: len(image.blobs[digest]))


LAYER = layer_of(IMAGE)
SIZE = len(IMAGE.blobs[LAYER])


class Bad(NamedTuple):
    """A kind of harm: `does(handler, data)`, `data` being what should have been given; and what it looks like.

    `registry`: status and code on /v2/. `api`: failure code of BatchGetImage. `begins`: bytes of a layer reach who
    pulls it, perhaps, before it is known.
    """

    does: Callable[[Any, bytes], Any]
    registry: tuple[int, str]
    api: str
    begins: bool = False


def give_half(handler, data):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()


def cut(handler, data):
    give_half(handler, data)
    handler.cut()


def stall(handler, data):
    give_half(handler, data)
    handler.server.site.released.wait(30)
    handler.close_connection = True


def never(handler, _data):
    handler.server.site.released.wait(30)
    handler.close_connection = True


def endless(handler, data):
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    with contextlib.suppress(OSError):
        while not handler.server.site.released.is_set():
            handler.wfile.write(data)


def belie(handler, data, other):
    """By a tag, the digest of a manifest is known by this header alone."""
    handler.give(200, other, {"Docker-Content-Digest": digest_of(data)})


def give(status, headers=None, body=b""):
    return lambda handler, _data: handler.give(status, body, headers)


INVALID, UNAVAILABLE = ((502, "UNAVAILABLE"), "UpstreamUnavailable"), ((503, "UNAVAILABLE"), "UpstreamUnavailable")
BAD = {
    "wrong bytes": Bad(lambda handler, data: belie(handler, data, data[:-2] + b"!}"), *INVALID, begins=True),
    "too many bytes": Bad(lambda handler, data: belie(handler, data, data + b" "), *INVALID, begins=True),
    "a cut": Bad(cut, *UNAVAILABLE, begins=True),
    "a stall": Bad(stall, *UNAVAILABLE, begins=True),
    "silence": Bad(never, *UNAVAILABLE),
    "429": Bad(give(429, {"Retry-After": "3600"}), (429, "TOOMANYREQUESTS"), "UpstreamTooManyRequests"),
    "500": Bad(give(500), *UNAVAILABLE),
    "503": Bad(give(503, {"Retry-After": "3600"}), *UNAVAILABLE),
    "HTML": Bad(give(200, {"Content-Type": "text/html"}, b"<html>Log in to the network</html>"), *INVALID),
    "a redirect loop": Bad(lambda handler, _data: handler.give(302, b"", {"Location": handler.path}), *INVALID),
    "data without end": Bad(endless, *INVALID, begins=True),
}
EACH = pytest.mark.parametrize("bad", BAD.values(), ids=BAD)


class Hostile:
    """A good registry, but for the path that ends in one of `against`, where it does harm as long as `bad` is set."""

    def __init__(self, bad: Bad, *against: str) -> None:
        self.registry = Registry({"library/app": {"v1": IMAGE, "sbom": SBOM}})
        self.bad: Bad | None = bad
        self.against = against

    @property
    def images(self):
        return self.registry.images["library/app"]

    def __call__(self, handler):
        if self.bad is None or not handler.path.endswith(self.against) or handler.command == "HEAD":
            return self.registry(handler)
        return self.bad.does(handler, self._right(handler.path.rpartition("/")[2]))

    def _right(self, name):
        for tag, image in self.images.items():
            if name in (tag, image.digest):
                return image.manifest
            if name in image.blobs:
                return image.blobs[name]
        return b'{"manifests": []}'


def turn(found, bad):
    """The upstream does this from now on. Who stalls is not waited for; who is good may be slow on a busy machine."""
    found.hostile.bad = bad
    found.sim.runtime.upstreams.close()
    is_slow = bad is not None and bad.does in (stall, never)
    settings = PATIENT._replace(read_timeout=0.5, attempts=1) if is_slow else PATIENT
    found.sim.runtime.upstreams = Upstreams(settings, lambda _: False)


@pytest.fixture
def start(cache):
    """A cache before an upstream that does harm; its repository is there, as an ordinary pull would leave it."""

    def make(bad, *against):
        hostile = Hostile(bad, *against)
        found = cache(hostile)
        found.rule()
        found.ecr.create_repository(repositoryName=REPOSITORY)
        found.hostile = hostile
        turn(found, bad)
        return found

    return make


def images(found):
    return [each["imageDigest"] for each in found.ecr.describe_images(repositoryName=REPOSITORY)["imageDetails"]]


def nothing_is_left(found, *digests):
    """No image, no layer of these, nothing half, and nothing on its way."""
    found.settle()
    assert images(found) == []
    answer = found.ecr.batch_check_layer_availability(repositoryName=REPOSITORY, layerDigests=[*digests, LAYER])
    assert {each["layerAvailability"] for each in answer["layers"]} == {"UNAVAILABLE"}
    nothing_is_half(found)
    assert found.sim.runtime.blobs.stat(LAYER) is None


def nothing_is_half(found):
    deadline = time.monotonic() + 30
    while list(found.sim.runtime.blobs.uploads()):
        assert time.monotonic() < deadline, "an upload session is left"
    with found.sim.runtime.database.read() as connection:
        for table in (image_imports, layer_imports):
            assert connection.execute(select(table)).all() == []


def it_comes_when_the_upstream_is_good_again(found):
    turn(found, None)
    assert found.whole("v1") == IMAGE.blobs
    assert images(found) == [IMAGE.digest]


class TestAManifest:
    @EACH
    @pytest.mark.parametrize("method", ["GET", pytest.param("HEAD", marks=pytest.mark.slow)])
    @pytest.mark.parametrize("reference", ["v1", pytest.param(IMAGE.digest, marks=pytest.mark.slow)])
    def test_a_pull(self, start, bad, reference, method):
        found = start(bad, "manifests/v1", IMAGE.digest)
        answer = found.pull(reference, method=method)
        if method == "GET":
            assert error_of(answer)[:2] == bad.registry
        assert answer.status == bad.registry[0]
        assert answer.headers.get("Retry-After") == ("3600" if answer.status == 429 else None)
        nothing_is_left(found)
        assert found.synced()[-1]["failure-code"] == bad.api
        it_comes_when_the_upstream_is_good_again(found)

    @EACH
    @pytest.mark.documented
    def test_an_operation(self, start, bad):
        found = start(bad, IMAGE.digest)
        (failure,) = found.get(imageDigest=IMAGE.digest)["failures"]
        assert failure["failureCode"] == bad.api
        found.ecr.delete_repository(repositoryName=REPOSITORY, force=True)
        place = {"repositoryName": REPOSITORY, "imageIds": [{"imageDigest": IMAGE.digest}]}
        assert refusal(found.ecr.batch_get_image, **place).code == "UnableToGetUpstreamImageException"
        assert found.names() == []
        nothing_is_half(found)

    @EACH
    def test_one_that_an_index_lists(self, start, bad):
        found = start(bad, f"manifests/{IMAGE.digest}")
        index = index_of(IMAGE)
        found.hostile.images["all"] = index
        assert error_of(found.pull("all"))[:2] == bad.registry
        nothing_is_left(found)
        turn(found, None)
        assert found.pull("all").body == index.manifest
        assert sorted(images(found)) == sorted([index.digest, IMAGE.digest])


class TestALayer:
    """Its manifest is right, and given at once."""

    @EACH
    def test_a_pull(self, start, bad):
        found = start(bad, LAYER)
        assert found.ask("GET", f"/v2/{REPOSITORY}/manifests/v1").body == IMAGE.manifest
        self.refused(found, bad, "GET")
        nothing_is_left(found)
        assert found.synced()[-1]["failure-code"] == bad.api
        it_comes_when_the_upstream_is_good_again(found)

    def refused(self, found, bad, method):
        answer = found.ask(method, f"/v2/{REPOSITORY}/blobs/{LAYER}")
        found.settle()
        if answer.status == 200:
            # What had begun to come is cut short: no client takes it for whole.
            assert bad.begins
            assert len(answer.body) < SIZE
            assert answer.headers["Content-Length"] == str(SIZE)
            return
        assert answer.status == bad.registry[0]
        assert answer.headers.get("Retry-After") == ("3600" if answer.status == 429 else None)
        if method == "GET":
            assert error_of(answer)[:2] == bad.registry

    @pytest.mark.slow
    @EACH
    @pytest.mark.parametrize("method", ["GET", "HEAD", "GetDownloadUrlForLayer"])
    def test_one_whose_bytes_are_lost(self, start, bad, method):
        found = start(bad, LAYER)
        turn(found, None)
        found.whole("v1")
        assert found.sim.runtime.blobs.delete(LAYER)
        turn(found, bad)
        if method == "GetDownloadUrlForLayer":
            place = {"repositoryName": REPOSITORY, "layerDigest": LAYER}
            refused = refusal(found.ecr.get_download_url_for_layer, **place)
            assert refused.code == "UnableToGetUpstreamLayerException"
        else:
            self.refused(found, bad, method)
        assert found.sim.runtime.blobs.stat(LAYER) is None
        nothing_is_half(found)
        it_comes_when_the_upstream_is_good_again(found)

    @EACH
    @pytest.mark.documented
    def test_the_operations(self, start, bad):
        found = start(bad, LAYER)
        (failure,) = found.get(imageTag="v1")["failures"]
        assert failure["failureCode"] == bad.api
        place = {"repositoryName": REPOSITORY, "layerDigest": LAYER}
        refused = refusal(found.ecr.get_download_url_for_layer, **place)
        assert refused.code == "UnableToGetUpstreamLayerException"
        nothing_is_left(found)


@pytest.mark.slow
class TestATagThatIsCached:
    """It has moved upstream; what is cached is served, whatever is wrong with what is newer (documented)."""

    @EACH
    @pytest.mark.documented
    @pytest.mark.parametrize("what", ["manifest", "layer"])
    def test_it_stays_where_it_is(self, start, bad, what):
        found = start(bad, NEWER.digest, "v1") if what == "manifest" else start(bad, layer_of(NEWER))
        turn(found, None)
        found.whole("v1")
        turn(found, bad)
        found.hostile.images["v1"] = NEWER
        found.sim.advance(days=1)
        assert found.pull("v1").body == IMAGE.manifest
        (image,) = found.get(imageTag="v1")["images"]
        assert image["imageId"]["imageDigest"] == IMAGE.digest
        assert images(found) == [IMAGE.digest]
        assert found.sim.runtime.blobs.stat(layer_of(NEWER)) is None
        nothing_is_half(found)
        assert [each["sync-status"] for each in found.synced()] == ["SUCCESS", "FAILED"]
        turn(found, None)
        found.sim.advance(minutes=1)
        assert found.pull("v1").body == NEWER.manifest


#: A list has no digest that would belie it.
LISTS = {name: bad for name, bad in BAD.items() if name not in ("too many bytes", "wrong bytes")}


REFERRERS = f"/v2/{REPOSITORY}/referrers/{IMAGE.digest}"


def listed_by(found):
    return [each["digest"] for each in found.ask("GET", REFERRERS).json()["manifests"]]


@pytest.mark.slow
class TestReferrers:
    @pytest.fixture
    def listed(self, start):
        def make(bad, *against):
            found = start(bad, *against)
            entry = {"mediaType": SBOM.media_type, "digest": SBOM.digest, "size": len(SBOM.manifest)}
            found.hostile.registry.referrers[IMAGE.digest] = [entry]
            found.pull("v1")
            return found

        return make

    def assert_refused_until_good(self, found, bad):
        """Nothing was listed yet: it is an error on both planes, and not that there is nothing (/v2/: inferred)."""
        for _ in range(2):
            place = {"repositoryName": REPOSITORY, "subjectId": {"imageDigest": IMAGE.digest}}
            refused = refusal(found.ecr.list_image_referrers, **place)
            assert refused.code == "UnableToListUpstreamImageReferrersException"
            assert error_of(found.ask("GET", REFERRERS))[:2] == bad.registry
        found.settle()
        assert images(found) == [IMAGE.digest]
        nothing_is_half(found)
        turn(found, None)
        assert listed_by(found) == [SBOM.digest]

    @pytest.mark.documented
    @pytest.mark.parametrize("bad", LISTS.values(), ids=LISTS)
    def test_the_list(self, listed, bad):
        self.assert_refused_until_good(listed(bad, f"referrers/{IMAGE.digest}"), bad)

    @pytest.mark.documented
    @pytest.mark.parametrize("bad", LISTS.values(), ids=LISTS)
    def test_a_list_of_before_is_served(self, listed, bad):
        found = listed(bad, f"referrers/{IMAGE.digest}")
        turn(found, None)
        assert listed_by(found) == [SBOM.digest]
        turn(found, bad)
        for hours in (6, 7):
            found.sim.advance(hours=hours)
            found.asked()
            for _ in range(2):
                answer = found.ecr.list_image_referrers(
                    repositoryName=REPOSITORY, subjectId={"imageDigest": IMAGE.digest}
                )
                assert [each["digest"] for each in answer["referrers"]] == [SBOM.digest]
                assert listed_by(found) == [SBOM.digest]
            # After it has failed, it is left alone for a minute (inferred).
            assert {each.partition("?")[0] for each in found.asked()} == {f"GET referrers/{IMAGE.digest}"}
        turn(found, None)
        found.sim.advance(minutes=1)
        found.asked()
        assert listed_by(found) == [SBOM.digest]
        assert found.asked() == [f"GET referrers/{IMAGE.digest}"]

    @EACH
    @pytest.mark.documented
    @pytest.mark.parametrize("what", ["manifest", "layer"])
    def test_one_that_is_listed(self, listed, bad, what):
        self.assert_refused_until_good(listed(bad, SBOM.digest if what == "manifest" else layer_of(SBOM)), bad)
