"""The wire table, blobs: HEAD, GET with ranges, DELETE, and the redirect."""

from __future__ import annotations

import re

from tests.dataplane.wire import LAYER, LONG, Exchange, World, ask, row
from tests.planes.catalogue import FIXTURES

HEADERS = {
    "Content-Type": "application/octet-stream",
    "Content-Length": "16",
    "Docker-Content-Digest": "{layer}",
    "ETag": '"{layer}"',
    "Accept-Ranges": "bytes",
}
UNKNOWN = "BLOB_UNKNOWN"
DELETED = {"Content-Length": "0", "Content-Type": None}

#: Where a redirect leads: no credentials are needed there, so none may be asked for.
URL = re.compile(r"http://localhost/_download/sha256:[0-9a-f]{64}\?repository=\d+&expires=\d+&signature=[0-9a-f]+")
CONFIG = next(iter(FIXTURES["oci-image"].layers))


def there(world: World) -> None:
    world.layer()


def elsewhere(world: World) -> None:
    world.repository("other")
    world.layer(LAYER, "other")


def long(world: World) -> None:
    world.layer(LONG)


def part(asked: str, first: int, last: int) -> Exchange:
    """206 with exactly these bytes, both ends included."""
    headers = {
        "Content-Range": f"bytes {first}-{last}/{len(LONG)}",
        "Content-Length": str(last - first + 1),
        "Docker-Content-Digest": "{long}",
        "ETag": '"{long}"',
    }
    send = {"Range": f"bytes={asked}"}
    return ask("GET /v2/app/blobs/{long}", 206, LONG[first : last + 1], send=send, headers=headers)


def unsatisfiable(asked: str) -> Exchange:
    headers = {"Content-Range": f"bytes */{len(LONG)}"}
    return ask("GET /v2/app/blobs/{long}", 416, send={"Range": f"bytes={asked}"}, headers=headers)


def everything(asked: str) -> Exchange:
    headers = {"Content-Range": None}
    return ask("GET /v2/app/blobs/{long}", 200, LONG, send={"Range": asked}, headers=headers)


ROWS = (
    row("GET", "OCI end-2", ask("GET /v2/app/blobs/{layer}", 200, LAYER, headers=HEADERS), given=there),
    row("HEAD", "OCI end-2", ask("HEAD /v2/app/blobs/{layer}", 200, b"", headers=HEADERS), given=there),
    row(
        "a digest that is percent-encoded",
        "OCI end-2",
        ask("GET /v2/app/blobs/{encoded}", 200, LAYER),
        given=lambda world: (world.layer(), world.values.update(encoded=world.values["layer"].replace(":", "%3A"))),
    ),
    row(
        "parameters that nobody knows",
        "containerd",
        ask("GET /v2/app/blobs/{layer}?ns=docker.io", 200, LAYER),
        given=there,
    ),
    *(
        row(
            f"{method} of what is not there, {digest}",
            "OCI end-2",
            ask(f"{method} /v2/app/blobs/{{{digest}}}", 404, None if method == "HEAD" else UNKNOWN),
            given=there,
        )
        for method in ("GET", "HEAD", "DELETE")
        for digest in ("nowhere", "nowhere512", "layer512")
    ),
    *(
        row(
            f"{method} of a layer of another repository",
            "ECR documented",
            ask(f"{method} /v2/app/blobs/{{layer}}", 404, None if method == "HEAD" else UNKNOWN),
            given=elsewhere,
        )
        for method in ("GET", "HEAD", "DELETE")
    ),
    *(
        row(
            f"{method} in a repository that is missing",
            "ECR recorded",
            ask(f"{method} /v2/none/blobs/{{layer}}", 404, None if method == "HEAD" else "NAME_UNKNOWN"),
            given=there,
        )
        for method in ("GET", "HEAD", "DELETE")
    ),
    *(
        row(
            f"{method} of {what}",
            "OCI end-2",
            ask(f"{method} /v2/app/blobs/{digest}", 400, None if method == "HEAD" else "DIGEST_INVALID"),
        )
        for method in ("GET", "HEAD", "DELETE")
        for what, digest in (
            ("a digest that is none", "sha256:totallywrong"),
            ("an upper-case digest", "sha256:" + "A" * 64),
            ("a digest of another algorithm", "md5:" + "a" * 32),
            ("a sha512 digest that is too short", "sha512:" + "a" * 64),
            ("a tag", "latest"),
        )
    ),
    # Ranges
    row("a range in the middle", "conformance range", part("500-1499", 500, 1499), given=long),
    row("a range to the end", "conformance range", part("500-", 500, 2999), given=long),
    row("a range from the end", "conformance range", part("-500", 2500, 2999), given=long),
    row("a range beyond the end", "conformance range", part("2000-5000", 2000, 2999), given=long),
    row("the first byte", "RFC 9110 14.1.2", part("0-0", 0, 0), given=long),
    row("the last byte", "RFC 9110 14.1.2", part("2999-2999", 2999, 2999), given=long),
    row("more from the end than there is", "RFC 9110 14.1.2", part("-5000", 0, 2999), given=long),
    row("all of it as a range", "RFC 9110 14.1.2", part("0-", 0, 2999), given=long),
    row("a range that begins after the end", "conformance range", unsatisfiable("5000-10000"), given=long),
    row("a range that begins at the end", "RFC 9110 14.1.2", unsatisfiable("3000-"), given=long),
    # 4,300 digits are the most that Python reads, and 2^63 is the most that a column holds.
    *(
        row(f"a range {what}, of {count} digits", "RFC 9110 14.1.2", part(asked.format("9" * count), *span), given=long)
        for count in (20, 4_301, 60_000)
        for what, asked, span in (("to beyond the end", "2000-{}", (2000, 2999)), ("from the end", "-{}", (0, 2999)))
    ),
    *(
        row(
            f"a range that begins far away, of {count} digits",
            "RFC 9110 14.1.2",
            unsatisfiable("9" * count + "-"),
            given=long,
        )
        for count in (20, 4_301, 60_000)
    ),
    row("a range with zeros before it", "RFC 9110 14.1.2", part("0" * 5_000 + "500-1499", 500, 1499), given=long),
    row("a range of no bytes", "RFC 9110 14.1.2", unsatisfiable("-0"), given=long),
    row(
        "a range of nothing at all",
        "RFC 9110 14.1.2",
        ask("GET /v2/app/blobs/{empty}", 416, send={"Range": "bytes=0-0"}, headers={"Content-Range": "bytes */0"}),
        given=lambda world: world.layer(b""),
    ),
    row(
        "a range that ends before it begins",
        "conformance range: 416 or 200",
        ask("GET /v2/app/blobs/{long}", 416, send={"Range": "bytes=500-0"}, headers={"Content-Range": "bytes */3000"}),
        given=long,
    ),
    *(
        row(f"a range that is {what} is passed over", "RFC 9110 14.2", everything(asked), given=long)
        for what, asked in (
            ("several", "bytes=0-1,5-6"),
            ("in another unit", "lines=0-1"),
            ("no range", "bytes=-"),
            ("negative twice", "bytes=--5"),
            ("a word", "bytes=all"),
        )
    ),
    row(
        "a range of a HEAD",
        "RFC 9110 14.2",
        ask("HEAD /v2/app/blobs/{long}", 200, send={"Range": "bytes=0-1"}, headers={"Content-Length": "3000"}),
        given=long,
    ),
    row(
        "a range with a validator that fits",
        "RFC 9110 13.1.5",
        ask("GET /v2/app/blobs/{long}", 206, LONG[:2], send={"Range": "bytes=0-1", "If-Range": '"{long}"'}),
        given=long,
    ),
    # Conditions
    row(
        "what the client has is not sent",
        "RFC 9110 13.1.2",
        ask("GET /v2/app/blobs/{layer}", 304, b"", send={"If-None-Match": '"{layer}"'}, headers={"ETag": '"{layer}"'}),
        given=there,
    ),
    row(
        "one of several that the client has",
        "RFC 9110 13.1.2",
        ask("GET /v2/app/blobs/{layer}", 304, b"", send={"If-None-Match": '"{other}", "{layer}"'}),
        given=there,
    ),
    row(
        "what the client has is another",
        "RFC 9110 13.1.2",
        ask("GET /v2/app/blobs/{layer}", 200, LAYER, send={"If-None-Match": '"{other}"'}),
        given=there,
    ),
    row(
        "a part of what the client has",
        "RFC 9110 13.2.2",
        ask("GET /v2/app/blobs/{layer}", 304, b"", send={"If-None-Match": '"{layer}"', "Range": "bytes=0-1"}),
        given=there,
    ),
    # Deletion
    row(
        "a layer that nothing uses is deleted",
        "OCI end-10",
        ask("DELETE /v2/app/blobs/{layer}", 202, b"", headers=DELETED),
        ask("GET /v2/app/blobs/{layer}", 404, UNKNOWN),
        ask("HEAD /v2/app/blobs/{layer}", 404),
        ask("DELETE /v2/app/blobs/{layer}", 404, UNKNOWN),
        given=there,
    ),
    row(
        "a deleted layer is there for other repositories",
        "OCI end-10",
        ask("DELETE /v2/app/blobs/{layer}", 202),
        ask("GET /v2/other/blobs/{layer}", 200, LAYER),
        given=lambda world: (world.layer(), elsewhere(world)),
    ),
    row(
        "a deleted layer can be pushed again",
        "OCI end-10",
        ask("DELETE /v2/app/blobs/{layer}", 202),
        ask("POST /v2/app/blobs/uploads/?digest={layer}", 201, body=LAYER),
        ask("GET /v2/app/blobs/{layer}", 200, LAYER),
        given=there,
    ),
    row(
        "a layer that an image uses stays",
        "inferred",
        ask("DELETE /v2/app/blobs/{config}", 405, "UNSUPPORTED"),
        ask("HEAD /v2/app/blobs/{config}", 200),
        ask("DELETE /v2/app/manifests/{oci-image}", 202),
        ask("DELETE /v2/app/blobs/{config}", 202),
        given=lambda world: (world.image(), world.values.update(config=CONFIG)),
    ),
    row(
        "ECR has no deletion of layers",
        "strict_ecr",
        ask("DELETE /v2/app/blobs/{layer}", 405, "UNSUPPORTED"),
        ask("HEAD /v2/app/blobs/{layer}", 200),
        given=there,
        strict_ecr=True,
    ),
    # Redirects
    row(
        "a GET is sent to a URL of its own",
        "ECR recorded",
        ask("GET /v2/app/blobs/{layer}", 307, b"", headers={"Location": URL}, keep={"url": "Location"}),
        given=there,
        blob_redirect=True,
    ),
    row(
        "a HEAD is answered here",
        "ECR recorded",
        ask("HEAD /v2/app/blobs/{layer}", 200, headers=HEADERS),
        given=there,
        blob_redirect=True,
    ),
    row(
        "what is not there is not redirected",
        "ECR recorded",
        ask("GET /v2/app/blobs/{nowhere}", 404, UNKNOWN),
        given=there,
        blob_redirect=True,
    ),
)
