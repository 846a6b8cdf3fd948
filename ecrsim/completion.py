"""`ecrsim completion SHELL`: a script that completes commands, options and their values in a shell."""

from __future__ import annotations

import argparse

#: How a value is shown in the help, where it is a path.
_FILES, _DIRECTORIES = ("FILE", "CERT", "KEY", "PRINCIPALS", "TARGETS"), ("DIR", "STORE")


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for bash, zsh or fish."""
    # Imported here: 20 ms that the other commands do without.
    import shtab

    _complete_paths(parser, shtab.FILE, shtab.DIRECTORY)
    return shtab.complete(parser, shell=shell)


def _complete_paths(parser: argparse.ArgumentParser, file: object, directory: object) -> None:
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for each in action.choices.values():
                _complete_paths(each, file, directory)
        elif action.metavar in _FILES:
            action.complete = file  # type: ignore[attr-defined]  # where shtab looks for it
        elif action.metavar in _DIRECTORIES:
            action.complete = directory  # type: ignore[attr-defined]  # where shtab looks for it
