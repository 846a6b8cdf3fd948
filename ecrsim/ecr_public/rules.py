"""Decisions of ECR Public: which picture may be a logo. Pure."""

from __future__ import annotations

import png

from ecrsim.core.errors import InvalidParameterException

#: Pixels of each side (documented). Bytes are bounded by the model.
SMALLEST, LARGEST = 60, 2048


def check_logo(image: bytes) -> None:
    """InvalidParameterException when it is no PNG, is damaged, or has other sides (documented; texts inferred)."""
    try:
        for _ in png.Reader(bytes=image).chunks():
            pass  # each with its checksum
        header = png.Reader(bytes=image)
        header.preamble()
    except (png.Error, EOFError):
        raise _refused("Logo image must be a valid PNG image") from None
    if not all(SMALLEST <= side <= LARGEST for side in (header.width, header.height)):
        raise _refused(
            f"Logo image must be between {SMALLEST} and {LARGEST} pixels wide and between {SMALLEST} and {LARGEST} "
            f"pixels high"
        )


def _refused(text: str) -> InvalidParameterException:
    return InvalidParameterException(member="logoImageBlob", constraint=text)
