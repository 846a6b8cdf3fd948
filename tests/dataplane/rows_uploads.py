"""The wire table, uploads: sessions, chunks, whole bodies, cancellation."""

from __future__ import annotations

import re

from tests.dataplane.wire import LAYER, LONG, OTHER_LAYER, UUID, Exchange, Headers, World, ask, row

SESSION = re.compile(f"/v2/app/blobs/uploads/{UUID}")
BLOB = {"Location": "/v2/app/blobs/{layer}", "Docker-Content-Digest": "{layer}", "Content-Length": "0"}
OPENED: Headers = {
    "Location": SESSION,
    "Docker-Upload-UUID": re.compile(UUID),
    "Range": "0-0",
    "Content-Length": "0",
}
START = "POST /v2/app/blobs/uploads/"

FIRST, SECOND = LAYER[:5], LAYER[5:]
FINISHED = ask("PUT {upload}?digest={layer}", 201, headers=BLOB)
THERE = ask("GET /v2/app/blobs/{layer}", 200, LAYER)
NOT_THERE = ask("GET /v2/app/blobs/{layer}", 404, "BLOB_UNKNOWN")
GONE = ask("GET {upload}", 404, "BLOB_UPLOAD_UNKNOWN")


def chunk(status: int, span: str, body: bytes, *, code: str | None = None, **headers: str) -> Exchange:
    """PATCH with a Content-Range."""
    return ask("PATCH {upload}", status, code, send={"Content-Range": span}, body=body, headers=headers)


def stands_at(last: int) -> Exchange:
    """The session's own word on how far it is."""
    headers: Headers = {"Range": f"0-{last}", "Location": "{upload}", "Docker-Upload-UUID": re.compile(UUID)}
    return ask("GET {upload}", 204, b"", headers=headers)


def fresh(world: World) -> None:
    world.session()


def begun(world: World) -> None:
    world.session(FIRST)


def begun_elsewhere(world: World) -> None:
    world.repository("other")
    world.session(FIRST, "other")
    world.values["upload"] = world.values["upload"].replace("/other/", "/app/")


def expired(world: World) -> None:
    world.session(FIRST)
    world.advance(24 * 3600)
    world.token = world.log_in()


ROWS = (
    # A session begins
    row("an upload is opened", "OCI end-4a", ask(START, 202, b"", headers=OPENED)),
    row("an upload is opened without the slash", "lenient", ask(START.rstrip("/"), 202, headers=OPENED)),
    row(
        "two uploads are two sessions",
        "OCI end-4a",
        ask(START, 202, keep={"upload": "Location"}),
        ask("PATCH {upload}", 202, body=LAYER),
        ask(START, 202, keep={"second": "Location"}),
        ask("GET {second}", 204, headers={"Range": "0-0"}),
        FINISHED,
        ask("GET {second}", 204, headers={"Range": "0-0"}),
    ),
    row("a repository that is missing", "OCI end-4a", ask("POST /v2/none/blobs/uploads/", 404, "NAME_UNKNOWN")),
    row(
        "a missing repository is made where the setting says so",
        "create_on_push",
        ask(
            "POST /v2/new/one/blobs/uploads/",
            202,
            headers={"Location": re.compile(f"/v2/new/one/blobs/uploads/{UUID}")},
        ),
        ask("GET /v2/new/one/tags/list", 200, {"name": "new/one", "tags": []}),
        create_on_push=True,
    ),
    row("the algorithm may be told", "OCI end-4c", ask(f"{START}?digest-algorithm=sha512", 202, headers=OPENED)),
    row("an unknown algorithm", "OCI end-4c", ask(f"{START}?digest-algorithm=md5", 400, "UNSUPPORTED")),
    row("unknown parameters are ignored", "containerd sends ns", ask(f"{START}?ns=docker.io", 202, headers=OPENED)),
    # All in one POST
    row("one POST", "OCI end-4b", ask(f"{START}?digest={{layer}}", 201, headers=BLOB, body=LAYER), THERE),
    row(
        "one POST, percent-encoded",
        "docker",
        ask(
            f"{START}?digest=sha256%3A{{layer}}".replace("sha256%3A{layer}", "{encoded}"), 201, headers=BLOB, body=LAYER
        ),
        given=lambda world: world.values.update(encoded=world.values["layer"].replace(":", "%3A")),
    ),
    row(
        "one POST of the wrong bytes",
        "conformance bad digest",
        ask(f"{START}?digest={{layer}}", 400, "BLOB_UPLOAD_INVALID", body=OTHER_LAYER),
        NOT_THERE,
        ask("GET /v2/app/blobs/{other}", 404),
    ),
    row(
        "one POST under no digest",
        "OCI end-4b",
        ask(f"{START}?digest=sha256:totallywrong", 400, "DIGEST_INVALID", body=LAYER),
    ),
    row(
        "one POST of a body that is cut off",
        "OCI end-4b",
        ask(f"{START}?digest={{layer}}", 400, "SIZE_INVALID", body=FIRST, send={"Content-Length": "16"}),
        NOT_THERE,
    ),
    row(
        "one POST by sha512",
        "conformance sha512",
        ask(
            f"{START}?digest={{layer512}}",
            201,
            headers={"Location": "/v2/app/blobs/{layer512}", "Docker-Content-Digest": "{layer512}"},
            body=LAYER,
        ),
        ask("GET /v2/app/blobs/{layer512}", 200, LAYER),
    ),
    # Chunks
    row("a chunk", "OCI end-5", chunk(202, "0-4", FIRST, Location="{upload}", Range="0-4"), stands_at(4), given=fresh),
    row(
        "chunk after chunk",
        "OCI end-5",
        chunk(202, "0-4", FIRST),
        chunk(202, "5-15", SECOND, Range="0-15"),
        FINISHED,
        THERE,
        given=fresh,
    ),
    row(
        "one chunk in a stream",
        "OCI end-5",
        ask("PATCH {upload}", 202, body=LAYER, headers={"Range": "0-15"}),
        FINISHED,
        THERE,
        given=fresh,
    ),
    row(
        "a stream without a length",
        "docker",
        ask(
            "PATCH {upload}",
            202,
            body=LAYER,
            send={"Transfer-Encoding": "chunked", "Content-Length": ""},
            headers={"Range": "0-15"},
        ),
        FINISHED,
        THERE,
        given=fresh,
    ),
    row(
        "streams go on where the last one ended",
        "OCI end-5",
        ask("PATCH {upload}", 202, body=FIRST),
        ask("PATCH {upload}", 202, body=SECOND, headers={"Range": "0-15"}),
        FINISHED,
        THERE,
        given=fresh,
    ),
    row(
        "a chunk of nothing",
        "inferred",
        ask("PATCH {upload}", 202, headers={"Range": "0-4"}),
        stands_at(4),
        given=begun,
    ),
    row(
        "bytes and a total in the range",
        "lenient",
        chunk(202, "bytes 0-4/16", FIRST),
        chunk(202, "bytes=5-15", SECOND),
        FINISHED,
        given=fresh,
    ),
    row(
        "the type of a chunk does not matter",
        "skopeo",
        ask("PATCH {upload}", 202, body=LAYER, send={"Content-Type": "application/octet-stream"}),
        FINISHED,
        given=fresh,
    ),
    row(
        "an old URL with a query of its own",
        "OCI end-5",
        ask("PATCH {upload}?_state=old", 202, body=LAYER),
        ask("PUT {upload}?_state=old&digest={layer}", 201, headers=BLOB),
        given=fresh,
    ),
    row(
        "a client that vanishes keeps what it sent",
        "OCI resume",
        ask("PATCH {upload}", 400, "SIZE_INVALID", body=FIRST, send={"Content-Length": "16"}),
        stands_at(4),
        chunk(202, "5-15", SECOND),
        FINISHED,
        THERE,
        given=fresh,
    ),
    # Out of order
    row(
        "the second chunk first",
        "conformance out of order",
        chunk(416, "5-15", SECOND, code="BLOB_UPLOAD_INVALID", Location="{upload}", Range="0-0"),
        stands_at(0),
        chunk(202, "0-4", FIRST),
        chunk(202, "5-15", SECOND),
        FINISHED,
        THERE,
        given=fresh,
    ),
    row(
        "the first chunk again",
        "conformance out of order",
        chunk(416, "0-4", FIRST, code="BLOB_UPLOAD_INVALID", Range="0-4"),
        stands_at(4),
        chunk(202, "5-15", SECOND),
        FINISHED,
        given=begun,
    ),
    row(
        "a gap",
        "conformance out of order",
        chunk(416, "6-15", SECOND[1:], Range="0-4"),
        stands_at(4),
        chunk(202, "5-15", SECOND),
        FINISHED,
        given=begun,
    ),
    row(
        "an overlap",
        "conformance out of order",
        chunk(416, "4-15", LAYER[4:], Range="0-4"),
        stands_at(4),
        chunk(202, "5-15", SECOND),
        FINISHED,
        given=begun,
    ),
    row(
        "a last chunk out of order",
        "conformance out of order with put",
        ask("PUT {upload}?digest={layer}", 416, "BLOB_UPLOAD_INVALID", send={"Content-Range": "6-15"}, body=SECOND[1:]),
        ask("GET {upload}?digest={layer}", 204, headers={"Range": "0-4", "Location": "{upload}"}),
        NOT_THERE,
        ask("PUT {upload}?digest={layer}", 201, send={"Content-Range": "5-15"}, body=SECOND),
        THERE,
        given=begun,
    ),
    row(
        "a last chunk first",
        "conformance out of order with put",
        ask("PUT {upload}?digest={layer}", 416, send={"Content-Range": "5-15"}, body=SECOND),
        stands_at(0),
        ask("PUT {upload}?digest={layer}", 201, send={"Content-Range": "0-15"}, body=LAYER),
        given=fresh,
    ),
    row(
        "a range that is longer than its body",
        "inferred",
        chunk(400, "5-19", SECOND, code="SIZE_INVALID"),
        stands_at(4),
        given=begun,
    ),
    row(
        "a range that ends before it begins",
        "inferred",
        chunk(400, "5-4", b"", code="SIZE_INVALID"),
        stands_at(4),
        given=begun,
    ),
    row(
        "a range that is none",
        "OCI end-5",
        chunk(416, "five to six", SECOND, code="BLOB_UPLOAD_INVALID"),
        stands_at(4),
        given=begun,
    ),
    row(
        "a range of numbers without end",
        "OCI end-5",
        chunk(416, "9" * 40 + "-" + "9" * 40, SECOND),
        stands_at(4),
        given=begun,
    ),
    # The end
    row(
        "an empty last request",
        "OCI end-6",
        ask("PATCH {upload}", 202, body=SECOND),
        FINISHED,
        GONE,
        THERE,
        given=begun,
    ),
    row(
        "the last chunk with the digest",
        "OCI end-6",
        ask("PUT {upload}?digest={layer}", 201, headers=BLOB, send={"Content-Range": "5-15"}, body=SECOND),
        GONE,
        THERE,
        given=begun,
    ),
    row(
        "the last chunk without its range",
        "OCI end-6",
        ask("PUT {upload}?digest={layer}", 201, headers=BLOB, body=SECOND),
        THERE,
        given=begun,
    ),
    row(
        "POST, then PUT with everything",
        "OCI end-6",
        ask(
            "PUT {upload}?digest={layer}",
            201,
            headers=BLOB,
            send={"Content-Type": "application/octet-stream"},
            body=LAYER,
        ),
        THERE,
        given=fresh,
    ),
    row(
        "a last request without a digest",
        "OCI end-6",
        ask("PUT {upload}", 400, "DIGEST_INVALID"),
        stands_at(4),
        given=begun,
    ),
    row(
        "a last request under no digest",
        "OCI end-6",
        ask("PUT {upload}?digest=sha256:short", 400, "DIGEST_INVALID"),
        stands_at(4),
        given=begun,
    ),
    row(
        "a last request under an upper-case digest",
        "OCI end-6",
        ask("PUT {upload}?digest=sha256:" + "A" * 64, 400, "DIGEST_INVALID"),
        stands_at(4),
        given=begun,
    ),
    row(
        "the wrong digest at the end",
        "ECR recorded",
        ask("PUT {upload}?digest={other}", 400, "BLOB_UPLOAD_INVALID"),
        ask("GET /v2/app/blobs/{other}", 404),
        given=begun,
    ),
    row(
        "the wrong digest of a whole body",
        "conformance bad digest",
        ask("PUT {upload}?digest={other}", 400, "BLOB_UPLOAD_INVALID", body=LAYER),
        ask("GET /v2/app/blobs/{other}", 404),
        NOT_THERE,
        given=fresh,
    ),
    row(
        "the wrong digest does no harm to who has it",
        "conformance bad digest",
        ask("PUT {upload}?digest={layer}", 400, body=OTHER_LAYER),
        THERE,
        given=lambda world: (world.layer(), world.session()),
    ),
    row(
        "a layer that is there already",
        "OCI end-6",
        ask("PUT {upload}?digest={layer}", 201, headers=BLOB, body=LAYER),
        THERE,
        given=lambda world: (world.layer(), world.session()),
    ),
    row(
        "no bytes at all",
        "conformance empty",
        ask("PUT {upload}?digest={empty}", 201),
        ask("GET /v2/app/blobs/{empty}", 200, b"", headers={"Content-Length": "0"}),
        ask("HEAD /v2/app/blobs/{empty}", 200, headers={"Content-Length": "0"}),
        given=fresh,
    ),
    row(
        "no bytes at all by sha512",
        "conformance empty",
        ask("PUT {upload}?digest={empty512}", 201, headers={"Docker-Content-Digest": "{empty512}"}),
        ask("GET /v2/app/blobs/{empty512}", 200, b""),
        given=fresh,
    ),
    row(
        "no bytes at all in one POST",
        "conformance empty",
        ask(f"{START}?digest={{empty}}", 201),
        ask("HEAD /v2/app/blobs/{empty}", 200),
    ),
    row(
        "chunks by sha512",
        "conformance sha512",
        chunk(202, "5-15", SECOND),
        ask(
            "PUT {upload}?digest={layer512}",
            201,
            headers={"Docker-Content-Digest": "{layer512}", "Location": "/v2/app/blobs/{layer512}"},
        ),
        ask("HEAD /v2/app/blobs/{layer512}", 200, headers={"Docker-Content-Digest": "{layer512}"}),
        NOT_THERE,
        given=begun,
    ),
    row(
        "the wrong digest by sha512",
        "conformance bad digest",
        ask("PUT {upload}?digest={nowhere512}", 400),
        ask("GET /v2/app/blobs/{nowhere512}", 404),
        given=begun,
    ),
    # Status and cancellation
    row("the status of a fresh session", "OCI end-13", stands_at(0), given=fresh),
    row("the status of one that is under way", "OCI end-13", stands_at(4), stands_at(4), given=begun),
    row(
        "a session is cancelled",
        "OCI end-14",
        ask("DELETE {upload}", 204, b""),
        GONE,
        ask("DELETE {upload}", 404, "BLOB_UPLOAD_UNKNOWN"),
        given=begun,
    ),
    *(
        row(
            f"{method} of a session that never was, {len(body)} bytes",
            f"OCI {end}",
            ask(f"{method} /v2/app/blobs/uploads/{{no-upload}}{query}", 404, "BLOB_UPLOAD_UNKNOWN", body=body),
        )
        for method, query, body, end in (
            ("GET", "", b"", "end-13"),
            ("PATCH", "", LAYER, "end-5"),
            ("PUT", "?digest={layer}", b"", "end-6"),
            ("PUT", "?digest={layer}", LAYER, "end-6"),
            ("DELETE", "", b"", "end-14"),
        )
    ),
    *(
        row(
            f"{method} of a session of another repository",
            "ECR inferred",
            ask(f"{method} {{upload}}{query}", 404, "BLOB_UPLOAD_UNKNOWN", body=SECOND),
            given=begun_elsewhere,
        )
        for method, query in (("GET", ""), ("PATCH", ""), ("PUT", "?digest={layer}"), ("DELETE", ""))
    ),
    *(
        row(
            f"{method} of a session after 24 hours",
            "upload_lifetime",
            ask(f"{method} {{upload}}{query}", 404, "BLOB_UPLOAD_UNKNOWN", body=SECOND),
            given=expired,
            upload_lifetime=24 * 3600,
        )
        for method, query in (("GET", ""), ("PATCH", ""), ("PUT", "?digest={layer}"))
    ),
    row(
        "more bytes than a layer may have",
        "ECR documented",
        ask("PATCH {upload}", 403, "DENIED", body=LONG),
        stands_at(4),
        ask("PATCH {upload}", 202, body=SECOND),
        FINISHED,
        given=begun,
        quota_layer_size=16,
    ),
)
