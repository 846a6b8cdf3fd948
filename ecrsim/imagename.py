"""The image that a text names, as command lines and the admin surface have it."""

from __future__ import annotations

import argparse

FORMS = "REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST"


def image_named(text: str) -> tuple[str, dict[str, str]]:
    """The repository, and the `imageId` of ECR: a tag, by default `latest`, or a digest. ValueError.

    A digest outranks a tag before it, as in docker's references.
    """
    name, at, digest = text.partition("@")
    name, colon, tag = name.partition(":")
    if not name or (colon and not tag) or (at and not digest):
        raise ValueError(f"image is {FORMS}")
    return name, {"imageDigest": digest} if at else {"imageTag": tag or "latest"}


def add_image_arguments(command: argparse.ArgumentParser) -> None:
    """`IMAGE`, which becomes `image` as it was given, and `--platform`."""
    command.add_argument("image", type=_image, metavar="IMAGE", help=FORMS)
    command.add_argument("--platform", metavar="OS/ARCH", help="which of the images that an index lists: linux/arm64")


def _image(text: str) -> str:
    try:
        image_named(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not {FORMS}") from None
    return text
