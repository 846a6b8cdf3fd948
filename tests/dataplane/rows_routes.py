"""The wire table, routes: the ping, names of repositories, methods, and requests without credentials."""

from __future__ import annotations

import re
from operator import methodcaller

from tests.dataplane.wire import LAYER, World, ask, row
from tests.planes.catalogue import FIXTURES

IMAGE = FIXTURES["oci-image"]
VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
CHALLENGE = {
    "WWW-Authenticate": 'Basic realm="http://localhost/",service="ecr.amazonaws.com"',
    "Docker-Distribution-Api-Version": "registry/2.0",
    "Content-Type": "text/plain; charset=utf-8",
}
UPLOAD = "/v2/app/blobs/uploads/{no-upload}"

#: Path → methods. Everything else on that path is 405.
METHODS = {
    "/v2/": ("GET", "HEAD"),
    "/v2/_catalog": ("GET",),
    "/v2/app/tags/list": ("GET",),
    "/v2/app/referrers/{nowhere}": ("GET",),
    "/v2/app/manifests/v1": ("GET", "HEAD", "PUT", "DELETE"),
    "/v2/app/blobs/{nowhere}": ("GET", "HEAD", "DELETE"),
    "/v2/app/blobs/uploads/": ("POST",),
    UPLOAD: ("GET", "PATCH", "PUT", "DELETE"),
}

#: Names that contain the words of the routes, and the limits of the grammar.
NAMES = (
    "a/manifests/b",
    "blobs/uploads",
    "tags/list",
    "manifests",
    "blobs",
    "referrers/x",
    "a/blobs/uploads/b",
    "v2/v2",
    "_catalog"[1:],
    "ab",
    "a__b",
    "a---b",
    "a.b_c-d/e",
    "1/2/3",
    "n" * 256,
)
NO_NAMES = {
    "capitals": "App",
    "one letter": "a",
    "257 letters": "n" * 257,
    "a dash at the start": "-app",
    "a dot at the end": "app.",
    "two dots": "a..b",
    "three underscores": "a___b",
    "an empty part": "a//b",
    "a slash at the end": "app/",
    "a blank": "a%20b",
    "a percent sign": "a%25b",
    "a letter beyond ASCII": "caf%C3%A9",
    "dots that lead upwards": "../app",
}


def everything(world: World) -> None:
    world.repository(world.values["name"])


ROWS = (
    row("the ping", "OCI end-1", ask("GET /v2/", 200, b"{}", headers=VERSION | {"Content-Type": "application/json"})),
    row("the ping without the slash", "OCI end-1", ask("GET /v2", 200, b"{}", headers=VERSION)),
    row("HEAD of the ping", "OCI end-1", ask("HEAD /v2/", 200, b"", headers=VERSION)),
    *(
        row(
            f"{method} {path} without credentials",
            "ECR recorded",
            ask(
                f"{method} {path}",
                401,
                None if method == "HEAD" else b"Not Authorized\n",
                send={"Authorization": ""},
                headers=CHALLENGE,
                body=b"{{}}" if method in ("PUT", "PATCH") else b"",
            ),
        )
        for path, methods in METHODS.items()
        for method in methods
    ),
    row(
        "a path that is no route, without credentials",
        "ECR recorded",
        ask("GET /v2/app/unknown", 401, send={"Authorization": ""}, headers=CHALLENGE),
    ),
    *(
        row(
            f"{method} {path} is not allowed",
            "OCI methods",
            ask(f"{method} {path}", 405, "UNSUPPORTED", headers={"Allow": ", ".join(methods)}),
        )
        for path, methods in METHODS.items()
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
        if method not in methods
    ),
    *(
        row(f"{path} is no route", "OCI", ask(f"GET {path}", 404, "NOT_FOUND"))
        for path in (
            "/v2/app",
            "/v2/app/",
            "/v2/app/tags",
            "/v2/app/tags/list/",
            "/v2/app/manifests/",
            "/v2/app/blobs/",
            "/v2/_oci/ext/discover",
            "/v2/app/referrers/",
            "/v2//",
            "/v2/manifests/v1",
            "/v2/app%0A/tags/list",
        )
    ),
    *(
        row(
            f"a repository named {name[:20]}",
            "OCI grammar",
            ask(
                f"POST /v2/{name}/blobs/uploads/",
                202,
                keep={"upload": "Location"},
                headers={"Location": re.compile(f"/v2/{re.escape(name)}/blobs/uploads/[0-9a-f-]{{36}}")},
            ),
            ask("PATCH {upload}", 202, body=LAYER),
            ask("GET {upload}", 204, headers={"Range": "0-15"}),
            ask("PUT {upload}?digest={layer}", 201, headers={"Location": f"/v2/{name}/blobs/{{layer}}"}),
            ask(f"GET /v2/{name}/blobs/{{layer}}", 200, LAYER),
            ask(
                f"PUT /v2/{name}/manifests/v1",
                201,
                body=FIXTURES["empty-index"].manifest,
                headers={"Location": f"/v2/{name}/manifests/{{empty-index}}"},
            ),
            ask(f"GET /v2/{name}/manifests/v1", 200, FIXTURES["empty-index"].manifest),
            ask(f"GET /v2/{name}/tags/list", 200, {"name": name, "tags": ["v1"]}),
            ask(f"GET /v2/{name}/referrers/{{layer}}", 200),
            ask(f"DELETE /v2/{name}/manifests/v1", 202),
            given=methodcaller("repository", name),
        )
        for name in NAMES
    ),
    *(
        row(
            f"{what} in a name",
            "OCI grammar",
            ask(f"GET /v2/{name}/tags/list", 400, "NAME_INVALID"),
            ask(f"POST /v2/{name}/blobs/uploads/", 400, "NAME_INVALID"),
            ask(f"PUT /v2/{name}/manifests/v1", 400, "NAME_INVALID", body=b"{{}}"),
        )
        for what, name in NO_NAMES.items()
    ),
    row(
        "a name is checked before the repository is looked for",
        "OCI grammar",
        ask("HEAD /v2/App/blobs/{layer}", 400),
        ask("DELETE /v2/App/manifests/v1", 400, "NAME_INVALID"),
        create_on_push=True,
    ),
)
