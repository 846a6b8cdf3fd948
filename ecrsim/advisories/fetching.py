"""Advisories by http(s): from this machine, or from where upstreams may be asked."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ecrsim.blobs import private
from ecrsim.config import Config
from ecrsim.core.upstream.addresses import Addresses, parse_entry
from ecrsim.core.upstream.failures import UpstreamInvalid
from ecrsim.core.upstream.wire import Settings, Wire

#: Bytes that are fetched at most.
_MOST = 4 * 1024 * 1024 * 1024
_NAME = "advisories.fetched"


def is_url(place: str) -> bool:
    return urlsplit(place).scheme in ("http", "https")


@contextlib.contextmanager
def fetched(config: Config, url: str, directory: Path) -> Iterator[Path]:
    """A file with what the URL gives, for the block. UpstreamError.

    The setting `upstream` may say where a host really is asked; others than this machine's are asked only where
    `upstream_network` allows it.
    """
    entries = dict(found for text in config.upstream if (found := parse_entry(text)) is not None)
    addresses = Addresses(entries, network=config.upstream_network)
    settings = Settings(config.upstream_ca, config.http_proxy, config.https_proxy, config.no_proxy)
    wire = Wire(settings, threading.Event().wait)
    private.make_directory(directory)
    name = urlsplit(url).path
    file = directory / (f"{_NAME}.zip" if name.endswith(".zip") else f"{_NAME}.json")
    try:
        with (
            wire.send("GET", addresses.allow(url), addresses) as reply,
            os.fdopen(private.open_file(file), "wb") as out,
        ):
            if reply.status != 200:
                raise UpstreamInvalid(f"{url} answers {reply.status}")
            out.truncate()
            size = 0
            for piece in reply.pieces():
                size += len(piece)
                if size > _MOST:
                    raise UpstreamInvalid(f"{url} gives more than {_MOST} bytes")
                out.write(piece)
        yield file
    finally:
        file.unlink(missing_ok=True)
        wire.close()
