"""Keys of the ring for tests, by the admin surface."""

import time
from typing import Any

from ecrsim import Ecrsim
from tests.principals import admin


def make_key(sim: Ecrsim, **members: Any) -> str:
    """A new key of the ring; its ARN."""
    answer = admin(sim, "POST", "keys", members)
    assert answer.status == 200, answer.body
    return answer.json()["arn"]


def change_key(sim: Ecrsim, action: str, key: str, **members: Any) -> dict[str, Any]:
    """Disable, enable, rotate, schedule-deletion, cancel-deletion, revoke-grant."""
    answer = admin(sim, "POST", f"keys/{action}", {"key": key, **members})
    assert answer.status == 200, answer.body
    return answer.json()


def shown_key(sim: Ecrsim, arn: str) -> dict[str, Any]:
    (found,) = [key for key in admin(sim, "GET", "keys").json()["keys"] if key["arn"] == arn]
    return found


def revoke_all(sim: Ecrsim, arn: str) -> None:
    for grant in shown_key(sim, arn)["grants"]:
        change_key(sim, "revoke-grant", arn, grant=grant["grantId"])


def encrypted(key: str | None = None, kind: str = "KMS") -> dict[str, Any]:
    """What CreateRepository takes."""
    return {"encryptionConfiguration": {"encryptionType": kind, **({"kmsKey": key} if key else {})}}


def wait_for(condition: Any, seconds: float = 20) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
