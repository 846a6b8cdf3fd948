"""Which doors `ecrsim serve` opens beside its main one: ::1 for a server on 127.0.0.1, and HTTPS."""

from __future__ import annotations

import errno
import logging
import ssl
from pathlib import Path

from ecrsim.config import Config, ConfigError
from ecrsim.core.clock import utc_now
from ecrsim.door.relay import Relay
from ecrsim.door.relayed import Relayed, relays_from

log = logging.getLogger("ecrsim.door.relay")


def open_doors(config: Config, relayed: Relayed) -> Relay:
    """Opens them. OSError or ConfigError when HTTPS cannot be served; without ::1 the server goes on."""
    relay = Relay(
        relays_from(config.host_to_ask),
        config.port,
        relayed,
        connections=config.connections,
        write_timeout=config.write_timeout,
    )
    if config.host == "127.0.0.1":
        _open_beside(relay, config.port, None)
    if config.wants_tls:
        context = tls_context(config)
        relay.open(config.host, config.tls_port, context)
        if config.host == "127.0.0.1":
            _open_beside(relay, config.tls_port, context)
        log.info("HTTPS on port %d", config.tls_port)
    return relay


def _open_beside(relay: Relay, port: int, context: ssl.SSLContext | None) -> None:
    """::1, which "localhost" is to some clients. Not every machine has it."""
    try:
        relay.open("::1", port, context)
    except OSError as error:
        level = logging.WARNING if error.errno == errno.EADDRINUSE else logging.INFO
        log.log(level, "not listening on ::1 port %d: %s", port, error)


def tls_context(config: Config) -> ssl.SSLContext:
    # Imported only where HTTPS is served: 80 ms and 12 MB.
    from ecrsim.tls import Authority, context_from_files

    if config.tls_cert:
        try:
            return context_from_files(config.tls_cert, config.tls_key)
        except OSError as error:
            raise ConfigError(f"tls-cert {config.tls_cert} and tls-key {config.tls_key}: {error}") from error
    return Authority(Path(config.data_dir) / "tls", utc_now()).context()
