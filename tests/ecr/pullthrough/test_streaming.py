"""Layers that are pulled while they come: how far they are given, and what becomes of those that end badly."""

import itertools
import threading

import pytest

from ecrsim import Ecrsim
from ecrsim.core.upstream.registry import Upstreams
from ecrsim.core.web import Request
from ecrsim.ecr.pullthrough.fetches import fetches_of
from ecrsim.ecr.pullthrough.layer_import import LayerImport
from ecrsim.testing import build_image, call_application
from tests.answers import refusal
from tests.core.upstream.conftest import PATIENT
from tests.core.upstream.servers import Registry
from tests.delivery.receivers import wait_until
from tests.ecr.pullthrough.caching import Cache, error_of
from tests.pushing import index_of, numbered

SIZE = 3 << 20
IMAGE = build_image(bytes(range(256)) * (SIZE // 256))
LAYER, DATA = max(IMAGE.blobs.items(), key=lambda blob: len(blob[1]))
BLOB = f"/v2/cache/library/app/blobs/{LAYER}"
HALF = SIZE // 2


class Slow:
    """A registry that gives half of the large layer, and the rest when it is let go."""

    def __init__(self, image=IMAGE, rest=None):
        self.registry = Registry({"library/app": {"v1": image}})
        self.go = threading.Event()
        self.rest = DATA[HALF:] if rest is None else rest

    def __call__(self, handler):
        if not handler.path.endswith(LAYER) or handler.command == "HEAD":
            return self.registry(handler)
        handler.send_response(200)
        handler.send_header("Content-Length", str(HALF + len(self.rest)))
        handler.end_headers()
        handler.wfile.write(DATA[:HALF])
        handler.wfile.flush()
        self.go.wait(30)
        handler.wfile.write(self.rest)
        return None


@pytest.fixture
def slow():
    made = Slow()
    yield made
    made.go.set()


@pytest.fixture
def found(cache, slow):
    started = cache(slow)
    started.rule()
    return started


def begin(found, path=BLOB, **headers):
    """The answer, of which nothing was read; the body is read by `taken`."""
    given = {"authorization": f"Basic {found.token}", "host": "localhost", **headers}
    return found.sim.app.look(Request("GET", path, headers=given)).perform()


def manifest(found, reference="v1"):
    return found.ask("GET", f"/v2/cache/library/app/manifests/{reference}")


def taken(answer, least):
    """Bytes of a body that comes, until there are `least`."""
    pieces = bytearray()

    def has_enough():
        piece = answer.body.look()
        pieces.extend(piece or b"")
        return len(pieces) >= least or piece is None

    wait_until(has_enough, 30)
    return bytes(pieces)


def rest(answer):
    """What is left of it, to its end."""
    found = b"".join(answer.body)
    answer.body.close()
    return found


def images(found):
    return found.ecr.describe_images(repositoryName="cache/library/app")["imageDetails"]


def nothing_is_stored(found):
    wait_until(lambda: list(found.sim.runtime.blobs.uploads()) == [])
    assert found.sim.runtime.blobs.stat(LAYER) is None


class TestWhileItComes:
    def test_the_first_bytes_are_given_at_once_and_the_last_when_it_is_whole(self, found, slow):
        assert manifest(found).body == IMAGE.manifest
        answer = begin(found)
        assert (answer.status, dict(answer.headers)["Content-Length"]) == (200, str(SIZE))
        assert taken(answer, HALF) == DATA[:HALF]
        assert answer.body.look() == b""
        assert images(found) == []
        slow.go.set()
        assert rest(answer) == DATA[HALF:]
        assert [detail["imageDigest"] for detail in images(found)] == [IMAGE.digest]

    def test_the_manifest_is_given_by_digest_and_by_tag_and_to_a_head(self, found, slow):
        for reference in ("v1", IMAGE.digest, "v1"):
            assert manifest(found, reference).body == IMAGE.manifest
        answer = found.ask("HEAD", "/v2/cache/library/app/manifests/v1")
        assert answer.headers["Docker-Content-Digest"] == IMAGE.digest
        assert [each for each in found.asked() if "manifests" in each] == ["GET manifests/v1"]

    def test_a_head_tells_its_size_and_waits_for_no_more(self, found, slow):
        manifest(found)
        answer = found.ask("HEAD", BLOB)
        assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, str(SIZE), b"")
        assert found.sim.runtime.blobs.stat(LAYER) is None
        slow.go.set()
        found.settle()
        assert sum("blobs" in each for each in found.asked()) == len(IMAGE.blobs)

    def test_a_head_of_what_nothing_here_names_asks_nobody(self, found, slow):
        """It is that of a pusher, who may leave out what is here."""
        found.ecr.create_repository(repositoryName="cache/library/app")
        assert found.ask("HEAD", BLOB).status == 404
        assert found.asked() == []

    @pytest.mark.parametrize(
        ("asked", "first", "last"), [("bytes=1000-", 1000, SIZE - 1), (f"bytes=5-{SIZE - 2}", 5, SIZE - 2)]
    )
    def test_a_range_of_it(self, found, slow, asked, first, last):
        manifest(found)
        answer = begin(found, range=asked)
        assert answer.status == 206
        assert dict(answer.headers)["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
        begun = taken(answer, HALF - first)
        slow.go.set()
        assert begun + rest(answer) == DATA[first : last + 1]

    def test_who_joins_is_given_all_of_it_and_who_leaves_ends_nothing(self, found, slow):
        manifest(found)
        first, second = begin(found), begin(found)
        taken(first, HALF)
        first.body.close()
        third = begin(found)
        slow.go.set()
        assert rest(second) == DATA
        assert rest(third) == DATA
        assert sum("blobs" in each for each in found.asked()) == len(IMAGE.blobs)

    def test_one_that_is_far_behind_is_given_all_of_it(self, found, slow):
        """The session that it reads has become a layer, and the layer is gone."""
        manifest(found)
        answer = begin(found)
        got = taken(answer, 1)
        slow.go.set()
        found.settle()
        assert list(found.sim.runtime.blobs.uploads()) == []
        assert found.sim.runtime.blobs.delete(LAYER)
        assert got + rest(answer) == DATA

    @pytest.mark.parametrize("encryption", ["AES256", "KMS"])
    @pytest.mark.parametrize("step", ["digest_upload", "sync", "commit", "discard"])
    def test_who_reads_beside_each_step_of_its_end(self, found, slow, monkeypatch, step, encryption):
        """What is there is taken before the step and after it; the last byte comes when the layer is one."""
        encrypted = {"encryptionType": encryption}
        found.ecr.create_repository(repositoryName="cache/library/app", encryptionConfiguration=encrypted)
        manifest(found)
        answer, got = begin(found), bytearray()
        blobs = found.sim.runtime.blobs
        done = getattr(blobs, step)

        def drain():
            while piece := answer.body.look():
                got.extend(piece)

        def slowly(upload_id, *arguments, **options):
            is_large = blobs.upload_size(upload_id) == SIZE
            if is_large:
                drain()
                assert len(got) == SIZE - 1
            result = done(upload_id, *arguments, **options)
            if is_large:
                drain()
                assert len(got) == SIZE - 1
            return result

        monkeypatch.setattr(blobs, step, slowly)
        slow.go.set()
        found.settle()
        assert bytes(got) + rest(answer) == DATA

    def test_the_operations_wait_for_the_whole(self, found, slow):
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(found.get(imageTag="v1")))
        waiting.start()
        assert manifest(found).status == 200
        assert answers == []
        slow.go.set()
        waiting.join(30)
        assert [image["imageId"]["imageDigest"] for image in answers[0]["images"]] == [IMAGE.digest]
        assert found.ecr.get_download_url_for_layer(repositoryName="cache/library/app", layerDigest=LAYER)

    def test_a_layer_that_has_not_begun_begins_when_it_is_asked_for(self, cache):
        """More layers than come at once; the last is asked for first."""
        gate = threading.Event()
        many = build_image(*(b"%d" % number * 1000 for number in range(9)))
        registry, (wanted, data) = Registry({"library/app": {"v1": many}}), list(many.blobs.items())[-1]

        def answer(handler):
            if "/blobs/" in handler.path and not handler.path.endswith(wanted):
                gate.wait(30)
            return registry(handler)

        found = cache(answer)
        found.rule()
        manifest(found)
        assert found.ask("GET", f"/v2/cache/library/app/blobs/{wanted}").body == data
        gate.set()
        found.settle()
        assert sorted(found.asked()) == sorted({"GET manifests/v1", *(f"GET blobs/{each}" for each in many.blobs)})

    def test_one_image_of_an_index_is_there_before_the_others(self, cache):
        gate, small = threading.Event(), numbered(1)
        index = index_of(small, IMAGE)
        registry = Registry({"library/app": {"v1": index, "a": small, "b": IMAGE}})

        def answer(handler):
            if handler.path.endswith(LAYER):
                gate.wait(30)
            return registry(handler)

        found = cache(answer)
        found.rule()
        assert manifest(found).body == index.manifest
        for digest, data in small.blobs.items():
            assert found.ask("GET", f"/v2/cache/library/app/blobs/{digest}").body == data
        assert [detail["imageDigest"] for detail in images(found)] == [small.digest]
        gate.set()
        found.settle()
        assert {detail["imageDigest"] for detail in images(found)} == {index.digest, small.digest, IMAGE.digest}

    def test_the_pull_is_on_record(self, found, slow):
        manifest(found)
        slow.go.set()
        found.settle()
        (detail,) = images(found)
        assert "lastRecordedPullTime" in detail


class TestWhatEndsBadly:
    """No client takes it for whole, and nothing of it is stored."""

    def pull(self, cache, answer, **settings):
        found = cache(answer)
        found.sim.runtime.upstreams = Upstreams(PATIENT._replace(**settings), lambda _: False)
        found.rule()
        assert manifest(found).status == 200
        blob = begin(found)
        got = rest(blob) if blob.status == 200 else b""
        found.settle()
        nothing_is_stored(found)
        assert images(found) == []
        assert found.synced()[-1]["sync-status"] == "FAILED"
        return blob.status, got

    def test_wrong_bytes(self, cache):
        slow = Slow(rest=DATA[HALF:-1] + b"!")
        slow.go.set()
        status, got = self.pull(cache, slow)
        assert status in (200, 502)
        assert len(got) < SIZE

    def test_one_that_breaks_off_again_and_again(self, cache):
        registry = Registry({"library/app": {"v1": IMAGE}})

        def answer(handler):
            if not handler.path.endswith(LAYER):
                return registry(handler)
            handler.send_response(200)
            handler.send_header("Content-Length", str(SIZE))
            handler.end_headers()
            handler.wfile.write(DATA[:HALF])
            handler.cut()
            return None

        status, got = self.pull(cache, answer)
        assert (status in (200, 503), DATA.startswith(got), len(got) < SIZE) == (True, True, True)

    def test_one_that_stalls(self, cache, slow):
        status, got = self.pull(cache, slow, read_timeout=0.2, attempts=1)
        assert (status, got) == (200, DATA[:HALF])

    @pytest.mark.parametrize("step", ["digest_upload", "commit"])
    def test_a_store_that_fails_at_the_end_is_in_the_log(self, found, slow, monkeypatch, caplog, step):
        """Pullers see a body that is too short, and only the log can say why."""

        def fail(*_, **__):
            raise RuntimeError("the disk is on fire")

        manifest(found)
        answer = begin(found)
        taken(answer, HALF)
        monkeypatch.setattr(found.sim.runtime.blobs, step, fail)
        slow.go.set()
        found.settle()
        assert HALF + len(rest(answer)) < SIZE
        told = [record.getMessage() for record in caplog.records if LAYER in record.getMessage()]
        assert told == [f"layer {LAYER} of cache/library/app came to nothing: the disk is on fire"]

    def test_one_that_never_begins(self, cache, slow):
        def answer(handler):
            if handler.path.endswith(LAYER):
                slow.go.wait(30)
                return handler.cut()
            return slow.registry(handler)

        assert self.pull(cache, answer, read_timeout=0.2, attempts=1) == (503, b"")

    def test_data_without_end(self, cache):
        registry = Registry({"library/app": {"v1": IMAGE}})

        def answer(handler):
            if not handler.path.endswith(LAYER):
                return registry(handler)
            handler.send_response(200)
            handler.send_header("Connection", "close")
            handler.end_headers()
            handler.close_connection = True
            while True:
                handler.wfile.write(DATA)

        status, got = self.pull(cache, answer)
        assert status in (200, 502)
        assert len(got) < SIZE

    @pytest.mark.parametrize(
        ("refuse", "told"),
        [
            (lambda handler: handler.give(403), (403, "DENIED")),
            (lambda handler: handler.give(404), (404, "BLOB_UNKNOWN")),
            (lambda handler: handler.give(429, headers={"Retry-After": "3600"}), (429, "TOOMANYREQUESTS")),
            (lambda handler: handler.give(500), (503, "UNAVAILABLE")),
            (lambda handler: handler.give(302, headers={"Location": handler.path}), (502, "UNAVAILABLE")),
            (lambda handler: handler.give(200, b"<html>", {"Content-Type": "text/html"}), (502, "UNAVAILABLE")),
        ],
        ids=["403", "404", "429", "500", "a redirect loop", "HTML"],
    )
    def test_what_the_puller_of_a_layer_is_told(self, cache, refuse, told):
        registry = Registry({"library/app": {"v1": IMAGE}})
        found = cache(lambda handler: refuse(handler) if "/blobs/" in handler.path else registry(handler))
        found.rule()
        manifest(found)
        blob = found.ask("GET", BLOB)
        assert error_of(blob)[:2] == told
        assert blob.headers.get("Retry-After") == ("3600" if told[0] == 429 else None)
        found.settle()
        nothing_is_stored(found)

    def test_one_that_breaks_off_and_goes_on_is_given_as_one(self, cache):
        registry = Registry({"library/app": {"v1": IMAGE}})

        def answer(handler):
            if not handler.path.endswith(LAYER) or handler.headers.get("Range"):
                return registry(handler)
            handler.send_response(200)
            handler.send_header("Content-Length", str(SIZE))
            handler.end_headers()
            handler.wfile.write(DATA[:HALF])
            return handler.cut()

        found = cache(answer)
        found.rule()
        manifest(found)
        assert found.ask("GET", BLOB).body == DATA


class TestWhoComesAtTheVeryEnd:
    """The first bytes were there when the layer was looked for; all of it, or nothing, when it was to be given."""

    @pytest.fixture(autouse=True)
    def late(self, monkeypatch, slow):
        body = LayerImport.body

        def after_the_end(layer, first, length):
            slow.go.set()
            layer.whole.wait()
            return body(layer, first, length)

        monkeypatch.setattr(LayerImport, "body", after_the_end)

    def test_it_is_whole(self, found):
        manifest(found)
        answer = begin(found)
        assert (answer.status, rest(answer)) == (200, DATA)

    def test_it_is_wrong(self, found, slow):
        slow.rest = DATA[HALF:-1] + b"!"
        manifest(found)
        assert error_of(found.ask("GET", BLOB))[:2] == (502, "UNAVAILABLE")
        found.settle()
        nothing_is_stored(found)


class TestWhatHappensMeanwhile:
    def test_everything_is_forgotten(self, found, slow):
        manifest(found)
        answer = begin(found)
        taken(answer, HALF)
        found.sim.reset()
        slow.go.set()
        assert len(rest(answer)) < SIZE - HALF
        found.settle()
        assert found.names() == []
        wait_until(lambda: list(found.sim.runtime.blobs.uploads()) == [])
        assert error_of(manifest(found))[:2] == (404, "NAME_UNKNOWN")

    def test_the_repository_is_deleted(self, found, slow):
        manifest(found)
        answer = begin(found)
        taken(answer, HALF)
        found.ecr.delete_repository(repositoryName="cache/library/app", force=True)
        slow.go.set()
        assert len(rest(answer)) < SIZE - HALF
        found.settle()
        assert found.names() == []
        assert manifest(found).body == IMAGE.manifest

    def test_the_rule_is_deleted_before_the_manifest_is_there(self, cache):
        registry, made = Registry({"library/app": {"v1": IMAGE}}), []

        def answer(handler):
            made[0].ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="cache")
            return registry(handler)

        found = cache(answer)
        made.append(found)
        found.rule()
        assert error_of(manifest(found))[:2] == (404, "NAME_UNKNOWN")
        assert found.names() == []

    def test_no_transaction_is_open_while_the_network_is(self, cache):
        """Each request that the upstream gets writes to the cache before it is answered."""
        registry, made, numbers = Registry({"library/app": {"v1": IMAGE}}), [], itertools.count()

        def answer(handler):
            made[0].ecr.create_repository(repositoryName=f"other/{next(numbers)}")
            return registry(handler)

        found = cache(answer)
        made.append(found)
        found.rule()
        assert found.whole("v1") == IMAGE.blobs
        assert len(found.names()) == 1 + len(found.asked())


def test_nobody_waits_for_an_ecrsim_that_stops(site, slow):
    """Its upstream gives no manifest."""
    gate = threading.Event()
    upstream = site(lambda _: gate.wait(30) and None)
    with Ecrsim(socket=False, upstream=(f"quay.io={upstream.url}",)) as sim:
        found, answers = Cache(sim, upstream, "quay.io"), []
        found.rule()
        token = found.token
        path = f"{sim.endpoint_url}/v2/cache/library/app/manifests/v1"
        headers = {"Authorization": f"Basic {token}"}
        waiting = threading.Thread(target=lambda: answers.append(call_application(sim.app, "GET", path, headers)))
        waiting.start()
        wait_until(lambda: upstream.asked)
    waiting.join(30)
    gate.set()
    assert error_of(answers[0])[:2] == (503, "UNAVAILABLE")


class TestALayerThatIsMissingByItself:
    """Its image is cached, and its bytes are lost."""

    @pytest.fixture
    def lost(self, cache):
        found = cache(Registry({"library/app": {"v1": IMAGE}}))
        found.rule()
        found.pull("v1")
        assert found.sim.runtime.blobs.delete(LAYER)
        found.asked()
        return found

    def test_a_pull_fetches_it(self, lost):
        assert lost.ask("GET", BLOB).body == DATA
        assert lost.asked() == [f"GET blobs/{LAYER}"]
        assert lost.sim.runtime.blobs.stat(LAYER) == SIZE

    def test_a_head_fetches_it(self, lost):
        answer = lost.ask("HEAD", BLOB)
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(SIZE))
        lost.settle()
        assert lost.asked() == [f"GET blobs/{LAYER}"]
        assert lost.sim.runtime.blobs.stat(LAYER) == SIZE

    def test_a_url_fetches_it(self, lost):
        answer = lost.ecr.get_download_url_for_layer(repositoryName="cache/library/app", layerDigest=LAYER)
        assert "/_download/" in answer["downloadUrl"]
        assert lost.asked() == [f"GET blobs/{LAYER}"]

    @pytest.mark.documented
    def test_an_upstream_that_does_not_give_it(self, lost):
        lost.upstream.answer = lambda handler: handler.give(500)
        place = {"repositoryName": "cache/library/app", "layerDigest": LAYER}
        assert refusal(lost.ecr.get_download_url_for_layer, **place).code == "UnableToGetUpstreamLayerException"
        assert error_of(lost.ask("GET", BLOB))[:2] == (503, "UNAVAILABLE")
        assert lost.ask("HEAD", BLOB).status == 503

    def test_one_that_no_manifest_names_is_asked_for_its_size(self, cache):
        found = cache(Registry({"library/app": {"v1": IMAGE}}))
        found.rule()
        found.ecr.create_repository(repositoryName="cache/library/app")
        assert found.ask("GET", BLOB).body == DATA
        assert found.asked() == [f"HEAD blobs/{LAYER}", f"GET blobs/{LAYER}"]

    def test_one_that_the_upstream_does_not_have(self, lost):
        other = numbered(7).digest
        blob = lost.ask("GET", f"/v2/cache/library/app/blobs/{other}")
        assert error_of(blob)[:2] == (404, "BLOB_UNKNOWN")
        place = {"repositoryName": "cache/library/app", "layerDigest": other}
        assert refusal(lost.ecr.get_download_url_for_layer, **place).code == "LayersNotFoundException"

    def test_outside_of_a_rule_nobody_is_asked(self, lost):
        lost.ecr.create_repository(repositoryName="other")
        assert error_of(lost.ask("GET", f"/v2/other/blobs/{LAYER}"))[:2] == (404, "BLOB_UNKNOWN")
        assert lost.asked() == []


class TestTwoProcesses:
    """Over one data directory, as the workers of a server are."""

    @pytest.fixture
    def pair(self, site, slow, tmp_path, stack):
        upstream, entry = site(slow), None
        entry = (f"quay.io={upstream.url}",)
        made = []
        for _ in range(2):
            sim = stack.enter_context(Ecrsim(socket=False, data_dir=str(tmp_path), upstream=entry))
            sim.runtime.upstreams = Upstreams(PATIENT, lambda _: False)
            made.append(Cache(sim, upstream, "quay.io"))
        stack.callback(slow.go.set)
        made[0].rule()
        return made

    def test_the_other_gives_what_this_one_brings(self, pair, slow):
        first, second = pair
        manifest(first)
        mine = begin(first)
        taken(mine, HALF)
        assert manifest(second).body == IMAGE.manifest
        theirs = begin(second)
        assert taken(theirs, HALF) == DATA[:HALF]
        slow.go.set()
        assert rest(mine) == rest(theirs) == DATA[HALF:]
        assert len(first.asked()) == 1 + len(IMAGE.blobs)
        assert [detail["imageDigest"] for detail in images(second)] == [IMAGE.digest]

    def test_operations_of_the_other_wait(self, pair, slow):
        first, second = pair
        manifest(first)
        mine = begin(first)
        taken(mine, HALF)
        mine.body.close()
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(second.get(imageTag="v1")))
        waiting.start()
        slow.go.set()
        waiting.join(30)
        assert len(answers[0]["images"]) == 1
        assert len(first.asked()) == 1 + len(IMAGE.blobs)

    def test_what_a_process_left_that_was_killed_is_begun_anew(self, pair, slow):
        first, second = pair
        manifest(first)
        mine = begin(first)
        taken(mine, HALF)
        mine.body.close()
        # The kernel frees its number when it dies.
        fetches_of(first.sim.runtime).custody.release()
        slow.go.set()
        assert second.pull("v1").body == IMAGE.manifest
        assert second.whole("v1") == IMAGE.blobs
