"""A registry as an upstream: what it gives is believed only when it is what was asked for."""

import json

import pytest

from ecrsim.core.digest import digest_of
from ecrsim.core.upstream.failures import (
    UpstreamBusy,
    UpstreamDenied,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamUnavailable,
)
from ecrsim.testing import build_image
from tests.core.upstream.servers import Registry, give_blob
from tests.pushing import OCI_INDEX, OCI_MANIFEST, artifact_of

IMAGE = build_image(b"a layer of some bytes" * 1000)
(CONFIG, LAYER), (_, DATA) = zip(*IMAGE.blobs.items(), strict=True)
SHELF = {"library/app": {"v1": IMAGE}}
LIMIT, SIZE = 1 << 30, len(DATA)


def blob(registry, digest=LAYER, size=SIZE, limit=LIMIT):
    return b"".join(registry.blob("library/app", digest, size, limit))


class TestOfAGoodOne:
    def test_there_is_a_registry(self, site, ask):
        upstream = site(Registry(SHELF))
        ask(upstream.url).check()
        assert upstream.paths() == ["/v2/"]

    @pytest.mark.parametrize("reference", ["v1", IMAGE.digest])
    def test_a_manifest(self, site, ask, reference):
        found = ask(site(Registry(SHELF)).url).manifest("library/app", reference)
        assert found == (IMAGE.manifest, IMAGE.media_type, IMAGE.digest)

    def test_what_a_tag_names_now(self, site, ask):
        upstream = site(Registry(SHELF))
        assert ask(upstream.url).current_digest("library/app", "v1") == IMAGE.digest
        assert upstream.asked[0].method == "HEAD"

    def test_a_tag_of_which_it_does_not_say(self, site, ask):
        assert ask(site(lambda handler: handler.give(200)).url).current_digest("library/app", "v1") is None

    @pytest.mark.parametrize("size", [len(DATA), None])
    def test_a_blob(self, site, ask, size):
        assert blob(ask(site(Registry(SHELF)).url), size=size) == DATA

    def test_a_blob_comes_in_pieces(self, site, ask):
        data = bytes(3 << 20)
        upstream = site(lambda handler: handler.give(200, data))
        pieces = list(ask(upstream.url).blob("library/app", digest_of(data), len(data), LIMIT))
        assert b"".join(pieces) == data
        assert max(len(piece) for piece in pieces) <= 512 * 1024

    def test_a_blob_in_chunks_without_a_length(self, site, ask):
        def answer(handler):
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for start in range(0, len(DATA), 1000):
                piece = DATA[start : start + 1000]
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            handler.wfile.write(b"0\r\n\r\n")

        assert blob(ask(site(answer).url), size=None) == DATA

    def test_a_base_with_a_path(self, site, ask):
        registry = Registry(SHELF)

        def answer(handler):
            handler.path = handler.path.removeprefix("/mirror")
            return registry(handler)

        upstream = site(answer)
        assert ask(f"{upstream.url}/mirror").manifest("library/app", "v1").digest == IMAGE.digest
        assert upstream.paths() == ["/mirror/v2/library/app/manifests/v1"]

    @pytest.mark.parametrize("missing", ["manifest", "blob"])
    def test_what_is_not_there(self, site, ask, missing):
        registry = ask(site(Registry(SHELF)).url)
        with pytest.raises(UpstreamNotFound):
            registry.manifest("library/app", "v2") if missing == "manifest" else blob(registry, digest_of(b"x"))

    def test_bytes_are_never_unpacked(self, site, ask):
        """Content-Encoding is not asked for; who uses it all the same does not change what a digest is of."""

        def answer(handler):
            handler.give(200, DATA, {"Content-Encoding": "gzip"})

        assert blob(ask(site(answer).url)) == DATA


class TestMediaTypes:
    @pytest.mark.parametrize(
        ("header", "document", "wanted"),
        [
            ("application/vnd.oci.image.manifest.v1+json; charset=utf-8", {}, OCI_MANIFEST),
            ("application/json", {"mediaType": "application/x"}, "application/x"),
            ("text/plain", {"manifests": []}, OCI_INDEX),
            ("", {"layers": []}, OCI_MANIFEST),
            ("application/vnd.oci.image.index.v1+json", {"mediaType": "application/x"}, OCI_INDEX),
        ],
    )
    def test_the_header_says_it_else_the_document(self, site, ask, header, document, wanted):
        upstream = site(lambda handler: handler.give(200, json.dumps(document).encode(), {"Content-Type": header}))
        assert ask(upstream.url).manifest("library/app", "v1").media_type == wanted

    @pytest.mark.parametrize(
        ("header", "body"),
        [
            ("text/html", b"<html>Welcome to the hotel's network</html>"),
            ("text/html; charset=utf-8", b"{}"),
            ("application/vnd.oci.image.manifest.v1+json", b"<html>"),
            ("application/json", b"[]"),
            ("application/json", b"[" * 100_000),
            ("application/json", b""),
        ],
    )
    def test_what_is_no_manifest(self, site, ask, header, body):
        upstream = site(lambda handler: handler.give(200, body, {"Content-Type": header}))
        with pytest.raises(UpstreamInvalid, match="no manifest"):
            ask(upstream.url).manifest("library/app", "v1")


class TestWrongBytes:
    def test_a_manifest_of_another_digest(self, site, ask):
        upstream = site(lambda handler: handler.give(200, b"{}"))
        with pytest.raises(UpstreamInvalid, match="other bytes"):
            ask(upstream.url).manifest("library/app", IMAGE.digest)

    def test_a_manifest_that_belies_its_header(self, site, ask):
        upstream = site(lambda handler: handler.give(200, b"{}", {"Docker-Content-Digest": IMAGE.digest}))
        with pytest.raises(UpstreamInvalid, match="other bytes"):
            ask(upstream.url).manifest("library/app", "v1")

    def test_a_blob_of_another_digest(self, site, ask):
        wrong = DATA[:-1] + b"!"
        upstream = site(lambda handler: handler.give(200, wrong))
        with pytest.raises(UpstreamInvalid, match="other bytes"):
            blob(ask(upstream.url))

    def test_a_page_in_place_of_a_blob(self, site, ask):
        page = (DATA, {"Content-Type": "text/html; charset=utf-8"})
        with pytest.raises(UpstreamInvalid, match="a page"):
            next(ask(site(lambda handler: handler.give(200, *page)).url).blob("library/app", LAYER, SIZE, LIMIT))

    def test_the_size_of_a_blob(self, site, ask):
        upstream = site(Registry(SHELF))
        assert ask(upstream.url).blob_size("library/app", LAYER) == SIZE
        assert upstream.asked[0].method == "HEAD"

    def test_a_blob_that_is_longer_than_it_should_be(self, site, ask):
        upstream = site(lambda handler: handler.give(200, DATA + b"!"))
        with pytest.raises(UpstreamInvalid, match="more than"):
            blob(ask(upstream.url))

    def test_a_blob_that_is_shorter_than_it_should_be(self, site, ask):
        upstream = site(lambda handler: handler.give(200, DATA[:-1]))
        with pytest.raises(UpstreamUnavailable, match="of the 21000 bytes"):
            blob(ask(upstream.url))

    def test_a_range_that_was_not_asked_for(self, site, ask):
        def answer(handler):
            if "Range" in handler.headers:
                handler.give(206, DATA, {"Content-Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"})
            else:
                handler.give(200, DATA[:10], {"Content-Length": str(len(DATA))})
                handler.cut()

        with pytest.raises(UpstreamInvalid, match="another range"):
            blob(ask(site(answer).url))


class TestWithoutEnd:
    def test_a_blob(self, site, ask):
        def answer(handler):
            handler.send_response(200)
            handler.end_headers()
            handler.close_connection = True
            while not handler.server.site.released.is_set():
                handler.wfile.write(bytes(1 << 16))

        registry = ask(site(answer).url)
        with pytest.raises(UpstreamInvalid, match="more than the 21000 bytes"):
            blob(registry)
        with pytest.raises(UpstreamInvalid, match="more than the 1048576 bytes"):
            blob(registry, size=None, limit=1 << 20)
        with pytest.raises(UpstreamInvalid, match="more than 4194304 bytes"):
            registry.manifest("library/app", "v1")

    def test_a_manifest_that_trickles_in(self, site, ask):
        def answer(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            while not handler.server.site.released.wait(0.01):
                handler.wfile.write(b" ")

        with pytest.raises(UpstreamUnavailable, match=r"no whole answer within 0\.1 s"):
            ask(site(answer).url, deadline=0.1, attempts=1).manifest("library/app", "v1")

    def test_redirects(self, site, ask):
        upstream = site(lambda handler: handler.give(302, headers={"Location": handler.path}))
        with pytest.raises(UpstreamInvalid, match="redirects without end"):
            blob(ask(upstream.url))
        assert len(upstream.asked) == 6

    def test_breaks(self, site, ask):
        """A byte at a time, and then the connection ends."""

        def answer(handler):
            first = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            length = str(len(DATA) - first)
            told = {"Content-Length": length, "Content-Range": f"bytes {first}-{len(DATA) - 1}/{len(DATA)}"}
            handler.give(206 if first else 200, DATA[first : first + 1], told)
            handler.cut()

        upstream = site(answer)
        with pytest.raises(UpstreamUnavailable):
            blob(ask(upstream.url))
        assert len(upstream.asked) == 11


class TestWhatBreaksOff:
    def cutting(self, at, times=1):
        """Cuts the first answers after so many bytes, then gives all that is asked for."""
        left = [times]

        def answer(handler):
            if left[0]:
                left[0] -= 1
                handler.give(200, DATA[:at], {"Content-Length": str(len(DATA))})
                handler.cut()
                return
            give_blob(handler, DATA)

        return answer

    def test_a_blob_is_gone_on_with(self, site, ask):
        upstream = site(self.cutting(5000))
        assert blob(ask(upstream.url)) == DATA
        assert [asked.range for asked in upstream.asked] == [None, "bytes=5000-"]

    def test_a_blob_begins_anew_where_ranges_are_not_known(self, site, ask):
        cutting = self.cutting(5000)

        def answer(handler):
            del handler.headers["Range"]
            cutting(handler)

        assert blob(ask(site(answer).url)) == DATA

    def test_an_answer_that_breaks_off_before_it_begins_is_asked_for_again(self, site, ask):
        asked = []
        registry = Registry(SHELF)

        def answer(handler):
            asked.append(handler.path)
            if len(asked) == 1:
                handler.cut()
                return None
            return registry(handler)

        assert ask(site(answer).url).manifest("library/app", "v1").digest == IMAGE.digest

    def test_nobody_listens(self, site, ask, waits):
        upstream = site(Registry(SHELF))
        upstream.close()
        with pytest.raises(UpstreamUnavailable, match="refused"):
            ask(upstream.url).manifest("library/app", "v1")
        assert len(waits) == 2

    def test_one_that_falls_silent(self, site, ask):
        def answer(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "10")
            handler.end_headers()
            handler.wfile.flush()
            handler.server.site.released.wait(60)

        with pytest.raises(UpstreamUnavailable, match="timed out"):
            blob(ask(site(answer).url, read_timeout=0.05, attempts=2), size=10)

    def test_one_that_never_answers(self, site, ask):
        upstream = site(lambda handler: handler.server.site.released.wait(60) and None)
        with pytest.raises(UpstreamUnavailable, match="timed out"):
            ask(upstream.url, read_timeout=0.05, attempts=2).manifest("library/app", "v1")
        assert len(upstream.asked) == 2

    def test_what_is_no_http(self, site, ask):
        def answer(handler):
            handler.wfile.write(b"SSH-2.0-OpenSSH\r\n")
            handler.cut()

        with pytest.raises(UpstreamUnavailable):
            ask(site(answer).url).manifest("library/app", "v1")

    def test_a_stop_ends_the_waiting(self, site, ask):
        upstream = site(lambda handler: handler.give(503))
        registry = ask(upstream.url)
        registry.stopping.set()
        with pytest.raises(UpstreamUnavailable, match="ecrsim is stopping"):
            registry.manifest("library/app", "v1")
        assert len(upstream.asked) == 1


class TestStatuses:
    #: Status, what it means, how often it is asked.
    ROWS = (
        (400, UpstreamInvalid, 1),
        (401, UpstreamDenied, 1),
        (403, UpstreamDenied, 1),
        (404, UpstreamNotFound, 1),
        (405, UpstreamInvalid, 1),
        (410, UpstreamNotFound, 1),
        (429, UpstreamBusy, 3),
        (451, UpstreamInvalid, 1),
        (500, UpstreamUnavailable, 3),
        (502, UpstreamUnavailable, 3),
        (503, UpstreamUnavailable, 3),
        (504, UpstreamUnavailable, 3),
        (304, UpstreamInvalid, 1),
        (302, UpstreamInvalid, 1),
    )

    @pytest.mark.parametrize(("status", "failure", "times"), ROWS)
    def test_what_a_status_means(self, site, ask, status, failure, times):
        upstream = site(lambda handler: handler.give(status, b"<html>no</html>", {"Content-Type": "text/html"}))
        with pytest.raises(failure):
            ask(upstream.url).manifest("library/app", "v1")
        assert len(upstream.asked) == times

    def after(self, header, registry, status=429):
        asked = []

        def answer(handler):
            asked.append(handler.path)
            if len(asked) == 1:
                handler.give(status, headers={"Retry-After": header})
                return None
            return registry(handler)

        return answer

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize("header", ["0", "Thu, 01 Jan 1970 00:00:00 GMT"])
    def test_a_short_retry_after_is_waited_for(self, site, ask, waits, header, status):
        registry = ask(site(self.after(header, Registry(SHELF), status)).url)
        assert registry.manifest("library/app", "v1").digest == IMAGE.digest
        assert waits == [0.0]

    @pytest.mark.parametrize(
        ("header", "seconds"), [("3600", 3600.0), ("9" * 30, 999_999_999_999.0), ("soon", None), ("-1", None)]
    )
    def test_a_long_one_is_left_to_who_pulls(self, site, ask, waits, header, seconds):
        upstream = site(lambda handler: handler.give(429, headers={"Retry-After": header}))
        with pytest.raises(UpstreamBusy) as busy:
            ask(upstream.url).manifest("library/app", "v1")
        assert busy.value.retry_after == seconds
        assert len(waits) == (0 if seconds else 2)

    def test_a_date_far_away(self, site, ask):
        upstream = site(lambda handler: handler.give(429, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}))
        with pytest.raises(UpstreamBusy) as busy:
            ask(upstream.url).manifest("library/app", "v1")
        assert busy.value.retry_after > 1e9


SBOM = artifact_of(IMAGE)
ENTRY = {"mediaType": OCI_MANIFEST, "digest": SBOM.digest, "size": len(SBOM.manifest), "artifactType": "a/b"}


class TestReferrers:
    def test_by_the_api(self, site, ask):
        registry = Registry(SHELF)
        registry.referrers[IMAGE.digest] = [ENTRY]
        assert ask(site(registry).url).referrers("library/app", IMAGE.digest) == [ENTRY]

    def test_page_after_page(self, site, ask):
        other = {**ENTRY, "digest": digest_of(b"other")}

        def answer(handler):
            body = {"manifests": [other if "last" in handler.path else ENTRY]}
            link = {} if "last" in handler.path else {"Link": f'<{handler.path}?last=x>; rel="next"'}
            handler.give(200, json.dumps(body).encode(), link)

        assert ask(site(answer).url).referrers("library/app", IMAGE.digest) == [ENTRY, other]

    def test_pages_without_end(self, site, ask):
        def answer(handler):
            handler.give(200, json.dumps({"manifests": [ENTRY]}).encode(), {"Link": '</v2/x>; rel="next"'})

        upstream = site(answer)
        ask(upstream.url).referrers("library/app", IMAGE.digest)
        assert len(upstream.asked) == 20

    def test_a_next_page_elsewhere_is_not_asked(self, site, ask):
        elsewhere = site(Registry({}))

        def answer(handler):
            link = {"Link": f'<{elsewhere.url}/v2/x>; rel="next"'}
            handler.give(200, json.dumps({"manifests": [ENTRY]}).encode(), link)

        assert ask(site(answer).url).referrers("library/app", IMAGE.digest) == [ENTRY]
        assert elsewhere.asked == []

    def test_by_the_tag_where_there_is_no_api(self, site, ask):
        def answer(handler):
            if handler.path.endswith(f"/manifests/{IMAGE.digest.replace(':', '-')}"):
                handler.give(200, json.dumps({"manifests": [ENTRY]}).encode(), {"Content-Type": OCI_INDEX})
            else:
                handler.give(404)

        assert ask(site(answer).url).referrers("library/app", IMAGE.digest) == [ENTRY]

    def test_there_are_none(self, site, ask):
        assert ask(site(lambda handler: handler.give(404)).url).referrers("library/app", IMAGE.digest) == []

    @pytest.mark.parametrize(
        "body", [b"{}", b"[]", b'{"manifests": 1}', b'{"manifests": [{"digest": "x"}]}', b"<html>"]
    )
    def test_what_is_no_list(self, site, ask, body):
        with pytest.raises(UpstreamInvalid):
            ask(site(lambda handler: handler.give(200, body)).url).referrers("library/app", IMAGE.digest)
