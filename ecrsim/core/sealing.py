"""Secrets at rest: sealed with a key that lies beside the database and not in it.

The database has to know the secrets of access keys, since signatures are made with the secret itself, and those of
targets, which are sent on. A hash would not do. So they are encrypted (AES-256-GCM) under the key in `secret.key`, a
file of mode 600 in the data directory: a copy of the database alone, such as a backup or a file that was sent to
somebody, gives none away. Who has both, or the rights of ecrsim's user, has the secrets.

A sealed text is bound to its place, so that the secret of one key cannot be put under another. ecrsim's own keys, for
tokens and URLs, are derived from the same key and stored nowhere.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from ecrsim.blobs import private
from ecrsim.core import ids

NAME = "secret.key"
_KEY_ID = "secret:key-id"
_FORM = "v1."
# The table is not there yet when this module is: `core/db.py` stands on it.
_KNOWN = text("SELECT value FROM properties WHERE name = :name")
_KEEP = text("INSERT INTO properties (name, value) VALUES (:name, :value)")
_NONCE = 12


class KeyMismatch(Exception):
    """The database's secrets are sealed with a key that is not there. The text says which file is meant."""


class SecretDamaged(ValueError):
    """A secret in the database is not what was sealed for its place: it was altered, or belongs elsewhere."""


class Seal:
    """The key of one data directory. It is read, or made, when a database is opened (`bind`)."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._key = b""
        self._cipher: Any = None
        self._lock = threading.Lock()

    def bind(self, connection: Connection) -> None:
        """Be the key of this database, in its first transaction. KeyMismatch when another one is."""
        known = connection.execute(_KNOWN, {"name": _KEY_ID}).scalar()
        self._key = self._read() or (self._make() if known is None else b"")
        identity = hashlib.sha256(b"ecrsim key " + self._key).hexdigest()[:32]
        if known is None:
            connection.execute(_KEEP, {"name": _KEY_ID, "value": identity})
        elif known != identity:
            what = "is not the key" if self._key else "is missing: it is the key"
            raise KeyMismatch(
                f"{self._file} {what} that the secrets in the database are sealed with. Put the right file there, or "
                "forget the secrets of users and targets, which can be given again: ecrsim store forget-secrets"
            )

    def _read(self) -> bytes:
        """Empty when there is no key."""
        try:
            text = self._file.read_text(encoding="ascii").strip()
            key = bytes.fromhex(text)
        except FileNotFoundError:
            return b""
        except ValueError:
            key = b""
        if len(key) != 32:
            raise KeyMismatch(
                f"{self._file} holds no key of 64 hexadecimal digits; a new one is made when it is removed"
            )
        return key

    def _make(self) -> bytes:
        private.make_directory(self._file.parent)
        aside = self._file.with_name(f"{NAME}.{os.getpid()}")
        aside.unlink(missing_ok=True)
        with os.fdopen(private.open_file(aside), "w", encoding="ascii") as file:
            file.write(ids.new_secret().hex() + "\n")
            file.flush()
            # What is sealed with a key that a power cut took is lost for good.
            os.fsync(file.fileno())
        try:
            # Whoever makes one at the same time has another: the first name holds.
            if not self._file.exists():
                aside.replace(self._file)
                private.flush_names(self._file.parent)
        finally:
            aside.unlink(missing_ok=True)
        return self._read()

    def derived(self, name: str) -> bytes:
        """A key of 32 bytes for one purpose, the same at each start."""
        return hmac.digest(self._key, b"ecrsim derived key " + name.encode(), hashlib.sha256)

    def sealed(self, text: str, *place: str) -> str:
        """The text as it may be written down at this place: a table, and what tells the row from the others."""
        nonce = ids.new_secret()[:_NONCE]
        content = self._aes().encrypt(nonce, text.encode("utf-8", "surrogatepass"), "\0".join(place).encode())
        return _FORM + base64.b64encode(nonce + content).decode()

    def opened(self, sealed: str, *place: str) -> str:
        """The text that was sealed for this place. SecretDamaged for any other."""
        try:
            content = base64.b64decode(sealed.removeprefix(_FORM))
            text: bytes = self._aes().decrypt(content[:_NONCE], content[_NONCE:], "\0".join(place).encode())
        except Exception as error:
            raise SecretDamaged(f"the secret of {' '.join(place)} cannot be opened: it was altered") from error
        return text.decode("utf-8", "surrogatepass")

    def sealed_members(self, members: Mapping[str, str], secret: Collection[str], *place: str) -> dict[str, str]:
        """The members, with those of these names sealed, each for a place of its own."""
        return {name: self.sealed(text, *place, name) if name in secret else text for name, text in members.items()}

    def opened_members(self, members: Mapping[str, str], secret: Collection[str], *place: str) -> dict[str, str]:
        """The members as they were before `sealed_members`."""
        return {name: self.opened(text, *place, name) if name in secret else text for name, text in members.items()}

    def _aes(self) -> Any:
        with self._lock:
            if self._cipher is None:
                # Imported on first use: 40 ms and 9 MB that an ecrsim without users and targets does without.
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM

                self._cipher = AESGCM(self._key)
            return self._cipher


def seal_of(connection: Connection) -> Seal:
    """The key of the database that this is a connection to."""
    seal: Seal = connection.info["seal"]
    return seal
