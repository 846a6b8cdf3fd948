"""How far targets may reach: files inside one directory, no link-local or metadata addresses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ecrsim.blobs import private
from ecrsim.config import Config
from ecrsim.core.admintoken import FILE as TOKEN_FILE

#: Names of ecrsim's own files in the data directory begin so; no target writes to them.
_OWN = (
    *private.TREES,
    *private.OWN,
    *("ecrsim", "store.json", "scrub.lock"),
    *(TOKEN_FILE, f".{TOKEN_FILE}"),
)


class OutOfReach(ValueError):
    """A file that is no place for a target; the text says why."""


class Reach(NamedTuple):
    """`directory`: where files may be. `data_dir` and `others` hold what is ecrsim's own. `link_local`: call such."""

    directory: Path
    data_dir: Path
    link_local: bool = False
    others: tuple[Path, ...] = ()

    @classmethod
    def of(cls, config: Config, data_dir: Path) -> Reach:
        directory = Path(config.target_dir) if config.target_dir else data_dir
        others = (Path(config.blob_store_in(data_dir)), config.database_file_in(data_dir).parent)
        return cls(directory, data_dir, config.allow_link_local, others)

    def file(self, path: str) -> Path:
        """The file of a target, wherever links lead. OutOfReach when it is elsewhere, or one of ecrsim's own."""
        root = Path(os.path.realpath(self.directory))
        found = Path(os.path.realpath(self.directory / Path(path).expanduser()))
        if found == root or not found.is_relative_to(root):
            raise OutOfReach(f"path leads out of {self.directory}: files of targets are there (target_dir)")
        for folder in (self.data_dir, *self.others):
            own = Path(os.path.realpath(folder))
            if found != own and found.is_relative_to(own) and found.relative_to(own).parts[0].startswith(_OWN):
                raise OutOfReach("path is a file of ecrsim's own")
        return found
