"""Requests of every kind, made from the models of the services and from the routes of the server."""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, urlencode

from ecrsim.contract.models import Operation, service
from ecrsim.contract.operations import missing
from ecrsim.controlplane import sts
from ecrsim.dataplane import routes
from tests.api import CONTENT_TYPE, TARGETS, authorization
from tests.fuzz.values import IMAGES, LAYERS, MEDIA_TYPES, OTHER_ACCOUNT, Known, Values
from tests.pushing import digest_of

OPERATIONS: tuple[Operation, ...] = tuple(
    operation for name in ("ecr", "ecr-public") for operation in service(name).operations.values()
)
BUILT = [each for each in OPERATIONS if each.name not in missing(each.service)]
PUSHING = [each for each in BUILT if each.name == "PutImage"]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "X")
#: Method and pattern of every route of the registry protocol.
ROUTES: tuple[tuple[str, re.Pattern[str]], ...] = (
    *((method, pattern) for pattern, methods in routes.ROUTES for method in methods),
    *((method, re.compile("/v2/")) for method in routes.PING),
    *((method, re.compile("/v2/_catalog")) for method in routes.CATALOG),
)
QUERY = (
    "digest",
    "mount",
    "from",
    "n",
    "last",
    "artifactType",
    "digest-algorithm",
    "ns",
    "expires",
    "signature",
    "tag",
)
FORM = (
    "RoleArn",
    "RoleSessionName",
    "DurationSeconds",
    "Policy",
    "PolicyArns.member.1.arn",
    "Tags.member.1.Key",
    "Tags.member.1.Value",
    "ExternalId",
    "WebIdentityToken",
    "Version",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Expires",
)
HEADERS = (
    "Accept",
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Cookie",
    "Expect",
    "Host",
    "Origin",
    "Range",
    "X-Amz-Content-Sha256",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Target",
    "X-Forwarded-For",
)
RANGES = (
    "bytes=0-3",
    "bytes=-2",
    "bytes=3-",
    "bytes=9-1",
    "bytes=0-0,2-3",
    "bytes=" + "9" * 4301 + "-",
    "items=1-2",
    "",
)


class Sent(NamedTuple):
    """A request. `is_plain`: nothing but the values inside was damaged, so the answer has to have the usual form."""

    kind: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    operation: Operation | None = None
    is_plain: bool = True

    def __str__(self) -> str:
        body = repr(self.body if len(self.body) < 2_000 else self.body[:2_000] + b"...")
        return f"{self.kind} {self.method} {self.path[:2_000]!r}\n  {str(self.headers)[:2_000]}\n  {body}"


class Requests:
    """An endless supply of requests from one source of chance."""

    def __init__(self, chance: random.Random, known: Known, token: str, gallery: str = "public/none") -> None:
        self.values = Values(chance, known)
        self._chance = chance
        self._known = known
        self._token = token
        self._gallery = gallery
        self._operations: list[Operation] = []
        self._routes: list[tuple[str, re.Pattern[str]]] = []
        self._kinds: tuple[tuple[Callable[[], Sent], ...], tuple[int, ...]] = (
            (self._api, self._registry, self._sts, self._page, self._nonsense),
            (45, 38, 8, 6, 3),
        )

    def next(self) -> Sent:
        makers, weights = self._kinds
        sent = self._chance.choices(makers, weights)[0]()
        if not self.values.happens(4):
            return sent
        name = self._chance.choice(HEADERS)
        damaged = self.values.spoiled(sent.headers.get(name, "x").encode()).decode("latin-1")
        text = damaged if self.values.happens(50) else self.values.text()
        # What a server never hands over: it refuses a header with these.
        text = re.sub(r"[\0\r\n]", "", text.encode("utf-8", "replace").decode("latin-1"))[:60_000]
        return sent._replace(headers={**sent.headers, name: text}, is_plain=False)

    # The JSON API

    def _api(self) -> Sent:
        """Every operation in turn, those that are built more often, in an order of chance."""
        if not self._operations:
            self._operations = [*OPERATIONS, *(BUILT * 4), *(PUSHING * 8)]
            self._chance.shuffle(self._operations)
        operation = self._operations.pop()
        members = self.values.fitting(operation.input, self.values.pick((0, 0, 4), 20))
        if isinstance(members, dict) and self.values.happens(75):
            # So that there are always some repositories, what was pushed is kept for a while, and images are pushed.
            if operation.name in ("CreateRepository", "DeleteRepository"):
                members["repositoryName"] = f"new/{self._chance.randrange(20)}"
            elif operation.name == "PutImage":
                members = {
                    name: members[name] for name in ("repositoryName", "imageManifest", "imageTag") if name in members
                }
        body, is_plain = json.dumps(members).encode(), True
        if self.values.happens(5):
            body, is_plain = self.values.spoiled(body), False
        account = self.values.pick(["000000000000"], OTHER_ACCOUNT) if self.values.happens(10) else "000000000000"
        headers = {
            "Content-Type": CONTENT_TYPE,
            "X-Amz-Target": f"{TARGETS[operation.service]}.{operation.name}",
            "X-Amz-Date": "20260301T000000Z",
            "Authorization": authorization(account, service=operation.service),
        }
        return Sent("api", "POST", "/", headers, body, operation, is_plain and account == "000000000000")

    # The registry protocol

    def _registry(self) -> Sent:
        if not self._routes:
            self._routes = list(ROUTES)
            self._chance.shuffle(self._routes)
        method, pattern = self._routes.pop()
        if self.values.happens(4):
            method = self._chance.choice(METHODS)
        headers = {"Authorization": f"Basic {self._token}"}
        body = b""
        path = self._path(pattern.pattern)
        if method in ("PUT", "POST", "PATCH"):
            path, body = self._with_body(path, headers)
        if self.values.happens(25):
            path += ("&" if "?" in path else "?") + self._query()
        if self.values.happens(15):
            headers["Range"] = self._chance.choice(RANGES)
        if self.values.happens(10):
            first = self._chance.choice((0, 0, 0, len(body), 5, 10**20))
            headers["Content-Range"] = self.values.pick(
                [f"{first}-{first + len(body) - 1}"], "x", "0-", "5-1", "9" * 5000
            )
        if self.values.happens(20):
            headers["Accept"] = ", ".join(self._chance.sample(MEDIA_TYPES, 2))
        return Sent("registry", method, path, headers, body)

    def _path(self, pattern: str) -> str:
        """A path that the pattern of a route matches, most of the time."""
        names = ("app", *self._known.repositories)
        name = self.values.pick(names, "none", f"{OTHER_ACCOUNT}/us-east-1/app", f"{self._gallery}/app")
        if self.values.happens(4):
            name = self.values.text()
        path = pattern.replace("(.+)", quote(name.encode("utf-8", "replace"), safe="/:%"))
        path = path.replace(f"({routes._UPLOAD})", self._chance.choice(self._known.uploads))
        reference = self.values.digest() if self.values.happens(60) else self.values.pick(self._known.tags, "none")
        if self.values.happens(6):
            reference = self.values.text()
        path = path.replace("([^/]+)", quote(reference.encode("utf-8", "replace"), safe=":%"))
        return path.replace("()", "").replace("/?", "/")

    def _with_body(self, path: str, headers: dict[str, str]) -> tuple[str, bytes]:
        """Path and body of a push: a manifest under its digest or a tag, a layer with or without its digest."""
        if "/manifests/" in path:
            body, headers["Content-Type"] = self.values.manifest()
            if self.values.happens(85):
                reference = digest_of(body) if self.values.happens(60) else self._chance.choice(self._known.tags)
                path = f"{path.rpartition('/')[0]}/{reference}"
            if self.values.happens(8):
                headers["Content-Type"] = self.values.pick(MEDIA_TYPES, "", "x" * 300)
            return path, body
        body = self._chance.choice(LAYERS)
        if self.values.happens(75):
            headers["Content-Type"] = "application/octet-stream"
        if self.values.happens(60):
            digest = digest_of(body) if self.values.happens(85) else self.values.digest()
            path += f"?digest={digest}"
        return path, body if self.values.happens(90) else self.values.spoiled(body)

    def _query(self) -> str:
        """Some parameters, of which one in three is text of any kind."""
        pairs = []
        for name in self._chance.choices(QUERY, k=self._chance.choice((1, 1, 2, 8))):
            usual = (self.values.digest, lambda: self._chance.choice(self._known.repositories), lambda: "2")
            value = self._chance.choice(usual)() if self.values.happens(66) else self.values.text()
            pairs.append((name, value.encode("utf-8", "replace")))
        text = urlencode(pairs)
        return self.values.spoiled(text.encode()).decode("latin-1").replace("#", "") if self.values.happens(8) else text

    # STS

    def _sts(self) -> Sent:
        action = self.values.pick(tuple(sts._OPERATIONS), "None", "")
        pairs = [("Action", action)]
        for name in self._chance.choices(FORM, k=self._chance.randrange(6)):
            usual = {
                "RoleArn": "arn:aws:iam::000000000000:role/reader",
                "RoleSessionName": "s1",
                "DurationSeconds": "900",
                "Policy": json.dumps(self.values.document(({"Version": "2012-10-17", "Statement": []},))),
            }.get(name, "x")
            pairs.append((name, usual if self.values.happens(60) else self.values.text()))
        body = urlencode([(name, value.encode("utf-8", "replace")) for name, value in pairs]).encode()
        if self.values.happens(8):
            body = self.values.spoiled(body)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": authorization(service="sts"),
            "X-Amz-Date": "20260301T000000Z",
        }
        if self.values.happens(15):
            return Sent("sts", "GET", "/?" + body.decode("latin-1").replace("#", ""), {})
        return Sent("sts", "POST", "/", headers, body)

    # Pages, downloads, and whatever else there is

    def _page(self) -> Sent:
        if self.values.happens(40):
            path = self._chance.choice(self._known.downloads)
            path = self.values.spoiled(path.encode()).decode("latin-1") if self.values.happens(50) else path
            path = "/_download/" + re.sub(r"[#\s]", "", path.removeprefix("/_download/"))
            headers = {"Range": self._chance.choice(RANGES)} if self.values.happens(50) else {}
            return Sent("download", self._chance.choice(METHODS[:2]), path, headers)
        method, path = self._chance.choice(_pages())
        path = re.sub(r"<[^>]*>", lambda _: quote(self.values.text().encode("utf-8", "replace"), safe=""), path)
        if method in ("PUT", "POST"):
            body = json.dumps(self.values.document(({"users": [{"name": "x"}]}, {"targets": []}, {"action": "x"})))
            return Sent("page", method, path, {"Content-Type": "application/json"}, body.encode())
        if self.values.happens(60):
            path += "?" + self._query()
        return Sent("page", method, path, {})

    def _nonsense(self) -> Sent:
        path = "/" + quote(self.values.text().encode("utf-8", "replace"), safe="/%?&=:")
        body = self.values.spoiled(self._chance.choice(IMAGES).manifest)
        headers = {"Content-Type": self._chance.choice(MEDIA_TYPES), "Authorization": f"Basic {self._token}"}
        return Sent("nonsense", self._chance.choice(METHODS), path, headers, body, is_plain=False)


@functools.cache
def _pages() -> tuple[tuple[str, str], ...]:
    """Method and path of the pages that neither wait, nor forget everything, nor turn the clock."""
    from ecrsim import Ecrsim
    from ecrsim.pages import compose

    with Ecrsim(socket=False) as sim:
        rules = list(compose(sim.runtime).url_map.iter_rules())
    others = re.compile(r"/_ecrsim/(reset|clock/.*|jobs/run|targets.*|events/stream|principals)|/static/.*")
    found = {
        (method, rule.rule)
        for rule in rules
        for method in set(rule.methods or ()) - {"OPTIONS"}
        if not others.fullmatch(rule.rule) and not (rule.rule == "/_ecrsim/clock" and method == "PUT")
    }
    return (*sorted(found), ("PUT", "/_ecrsim/principals"), ("PUT", "/_ecrsim/targets"))
