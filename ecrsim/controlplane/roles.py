"""Roles that root may assume, where the setting `open_assume_role` says so: ecrsim's own, AWS lets no root.

Tools that assume a role (cdk-assets, SAM, pipelines) fail in the open mode, in which each key is root's. With the
setting they get a session of the role that they ask for, with the role's rights where it is known.
"""

from __future__ import annotations

from typing import NamedTuple

from ecrsim.core.runtime import Call


class UnknownRole(NamedTuple):
    """A role that nobody wrote down. A session of it has the rights of its account's root, whose ARN `arn` is."""

    arn: str
    account: str
    name: str


def is_open_to_root(call: Call, role_arn: str) -> bool:
    """True when the caller, who is root, may assume a role of that ARN."""
    config = call.runtime.config
    return config.open_assume_role and config.auth == "open" and role_arn.split(":")[4] == call.caller.account


def unknown_role(role_arn: str, root: str) -> UnknownRole:
    """Of an ARN that no principal has; `root` is the ARN of its account's root."""
    return UnknownRole(root, role_arn.split(":")[4], role_arn.rpartition("/")[2])
