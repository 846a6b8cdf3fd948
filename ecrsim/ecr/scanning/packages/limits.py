"""What a layer may cost, and how one that costs more is refused."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class BrokenLayer(Exception):
    """A layer, or layers together, that cannot be read. Its text is the reason, a clause for users."""


class Unread(Exception):
    """A file that cannot be read, while its layer can: it is left out, and its text is kept as the reason."""


class TooMuch(Unread):
    """A file that costs more than it may, with all that is in it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one layer. They are far above what images have and far below what a machine lacks.

    Sizes are bytes. Memory grows with `entries` (8 bytes each), `kept`, `packages` and `text` alone, never with the
    size of the layer.
    """

    #: Files, directories and links. A layer with all of Anaconda has about 100,000.
    entries: int = 250_000
    #: The unpacked layer.
    size: int = 64 * GIB
    #: Unpacked bytes for each compressed byte, beyond the first `free` ones. Zeros alone reach 1,032 in gzip.
    ratio: int = 200
    free: int = 64 * MIB
    #: What a zstd frame may ask to be remembered: the most that the encoders of container tools ask for.
    window: int = 32 * MIB
    #: One path, and one target of a link, as Linux has it.
    path: int = 4096
    #: Folders in each other.
    depth: int = 256
    #: Extended headers of one entry.
    headers: int = MIB
    #: All that is remembered of a layer while it is read: paths, targets of links, names and versions.
    kept: int = 16 * MIB
    #: A file that has to be read whole: JSON, YAML, TOML, metadata.
    text: int = 8 * MIB
    #: One line of a file that is read by lines.
    line: int = MIB
    #: Packages of one layer.
    packages: int = 100_000
    #: A name or a version of a package; longer ones are no packages.
    name: int = 1024
    #: An rpm database, which lies in a temporary file while it is read.
    rpm_database: int = 512 * MIB
    #: Whether that file is one of memory: of a layer that is encrypted, nothing is written in the clear.
    in_memory: bool = False
    #: One header of an rpm database.
    rpm_header: int = 32 * MIB
    #: Archives in archives: a war holds jars, which hold jars.
    nesting: int = 8
    #: Members of an archive, those of archives in it included, and what they unpack to.
    members: int = 200_000
    archive: int = 4 * GIB


LIMITS = Limits()
