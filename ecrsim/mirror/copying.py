"""`ecrsim public mirror`: bring a repository of another registry into a public one of the running ecrsim.

It asks the other registry as a client, as a cache does, and pushes to ecrsim. What is there is not brought again,
so that a run which was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import base64
import re
import tempfile
import time
from collections.abc import Iterable
from typing import NamedTuple

from ecrsim.config import Config
from ecrsim.core.errors import ServiceError
from ecrsim.core.neighbours import Access, Neighbour, NeighbourError
from ecrsim.core.printable import printable
from ecrsim.core.registry import PUBLIC_REGION
from ecrsim.core.upstream.addresses import Addresses, is_loopback, parse_entry
from ecrsim.core.upstream.failures import UpstreamError, UpstreamNotFound
from ecrsim.core.upstream.login import Credentials
from ecrsim.core.upstream.pushing import Pusher
from ecrsim.core.upstream.registry import UpstreamRegistry, Upstreams
from ecrsim.core.upstream.wire import Settings
from ecrsim.ecr.images import manifest as manifests
from ecrsim.remote import address, ask
from ecrsim.values import CommandFailed

_SOURCE = re.compile(
    r"(?P<host>[^/]*[.:][^/]*|localhost)/(?P<repository>[^:@]+)(?::(?P<tag>[^@]+)|@(?P<digest>sha(?:256|512):[0-9a-f]+))?"
)
_INTO = re.compile(r"(?P<alias>[^/]+)/(?P<name>.+)")


class MirrorSource(NamedTuple):
    """`public.ecr.aws/nginx/nginx:1.27`. `reference`: a tag or a digest; None for all tags."""

    host: str
    repository: str
    reference: str | None


def parse_source(text: str) -> MirrorSource:
    """The parts of `HOST/REPOSITORY[:TAG|@DIGEST]`. CommandFailed for anything else."""
    match = _SOURCE.fullmatch(text)
    if match is None:
        raise CommandFailed(f"{text} names no repository: HOST/REPOSITORY, with :TAG or @DIGEST")
    return MirrorSource(match["host"], match["repository"], match["tag"] or match["digest"])


def mirror(config: Config, options: argparse.Namespace) -> int:
    """Prints what is brought, a line for each layer and image. CommandFailed."""
    source = parse_source(options.source)
    into = _INTO.fullmatch(options.into or source.repository)
    if into is None:
        raise CommandFailed(f"--into ALIAS/REPOSITORY is needed: {source.repository} has no alias")
    alias, name = into["alias"], into["name"]
    upstreams = Upstreams(
        Settings(config.upstream_ca, config.http_proxy, config.https_proxy, config.no_proxy), lambda _: False
    )
    try:
        entries = dict(entry for entry in map(parse_entry, config.upstream) if entry)
        if is_loopback(source.host.rpartition(":")[0] or source.host):
            # As docker does.
            entries.setdefault(source.host, f"http://{source.host}")
        # A registry that is named on the command line is to be asked.
        there = upstreams.registry(source.host, Addresses(entries, network=True))
        password = _prepare(config, alias, name)
        here = upstreams.registry(
            "ecrsim", Addresses({"ecrsim": address(config)}, network=False), Credentials("AWS", password)
        )
        copy = _Copy(there, here, source.repository, f"public/{alias}/{name}")
        references = [source.reference] if source.reference else there.tags(source.repository)
        for reference in references:
            copy.image(reference)
        print(f"{copy.brought} images and {copy.layers} layers were brought, {copy.bytes} bytes")
    except UpstreamError as error:
        raise CommandFailed(str(error)) from error
    except NeighbourError as error:
        raise CommandFailed(f"ecrsim refused: {error}") from error
    except ServiceError as error:
        raise CommandFailed(f"what {source.host} gives is no image that ECR takes: {error.message}") from error
    finally:
        upstreams.close()
    return 0


def _prepare(config: Config, alias: str, name: str) -> str:
    """See that alias and repository are there. The password to push with. NeighbourError."""
    public = Neighbour(
        "ecr-public",
        # With --auth strict, the keys of the user's own AWS configuration.
        Access(PUBLIC_REGION, address(config), has_own_credentials=config.auth == "strict"),
    )
    try:
        known = {each["name"]: each for each in ask(config, "GET", "/_ecrsim/public-aliases")["aliases"]}
        if alias not in known:
            ask(config, "PUT", "/_ecrsim/public-aliases", {"name": alias, "primary": not known})
        try:
            public.call("create_repository", repositoryName=name)
        except NeighbourError as error:
            if error.code != "RepositoryAlreadyExistsException":
                raise
        token = public.call("get_authorization_token")["authorizationData"]["authorizationToken"]
    finally:
        public.close()
    return base64.b64decode(token).decode().partition(":")[2]


class _Copy:
    """From one registry to another."""

    def __init__(self, there: UpstreamRegistry, here: UpstreamRegistry, source: str, target: str) -> None:
        self._there, self._here, self._source, self._target = there, here, source, target
        self._pusher = Pusher(here)
        self.brought = self.layers = self.bytes = 0

    def image(self, reference: str) -> None:
        """Bring the image with all that it lists, unless it is there."""
        manifest = self._there.manifest(self._source, reference)
        if self._has(reference, manifest.digest):
            print(printable(f"{reference} is there"))
            return
        parsed = manifests.read(manifest.content, manifest.media_type)
        for digest in parsed.references:
            self.image(digest)
        needed = [blob for blob in parsed.blobs if blob.digest in parsed.required_layers]
        for number, blob in enumerate(dict.fromkeys(needed), 1):
            self._layer(blob, f"{reference}: {number} of {len(needed)}")
        self._pusher.manifest(self._target, reference, manifest.content, manifest.media_type)
        self.brought += 1
        print(printable(f"{reference} {manifest.digest}"))

    def _has(self, reference: str, digest: str) -> bool:
        try:
            return self._here.current_digest(self._target, reference) == digest
        except UpstreamNotFound:
            return False

    def _layer(self, blob: manifests.Descriptor, place: str) -> None:
        if self._pusher.has_blob(self._target, blob.digest):
            print(printable(f"{place} {blob.digest} is there"), flush=True)
            return
        with tempfile.TemporaryFile() as file:
            shown = _Progress(f"{place} {blob.digest}", blob.size)
            shown.write_to(file, self._there.blob(self._source, blob.digest, blob.size, blob.size))

            def read(offset: int, length: int) -> bytes:
                file.seek(offset)
                return file.read(length)

            self._pusher.blob(self._target, blob.digest, blob.size, read, _Upload())
        self.layers += 1
        self.bytes += blob.size


class _Upload:
    """Where an upload goes on after a break. A run that is begun anew sends the layer from its start."""

    _location: str | None = None

    def find(self) -> str | None:
        return self._location

    def keep(self, location: str) -> None:
        self._location = location

    def forget(self) -> None:
        self._location = None


class _Progress:
    """One line for a layer, and one every few seconds while it comes."""

    _PAUSE = 5

    def __init__(self, what: str, size: int) -> None:
        self._what, self._size = what, size

    def write_to(self, file: object, pieces: Iterable[bytes]) -> None:
        received, shown = 0, time.monotonic()
        for piece in pieces:
            file.write(piece)  # type: ignore[attr-defined]
            received += len(piece)
            if time.monotonic() - shown > self._PAUSE:
                shown = time.monotonic()
                print(printable(f"{self._what} {received * 100 // self._size}% of {self._size} bytes"), flush=True)
        print(printable(f"{self._what} {received} bytes"), flush=True)
