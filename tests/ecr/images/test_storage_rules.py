"""The state machine of the archive, every status by everything that can come, as a pure table."""

import itertools

import pytest

from ecrsim.contract.models import service
from ecrsim.ecr.images.rules import storage_move

MODEL = service("ecr").shapes
STATUSES = ("ACTIVE", "ARCHIVED", "ACTIVATING")
EVENTS = ("ARCHIVE", "STANDARD", "RESTORED")

#: status, event → the status afterwards or None where it is refused; R recorded, I inferred.
TABLE = {
    ("ACTIVE", "ARCHIVE"): ("ARCHIVED", "R"),
    ("ACTIVE", "STANDARD"): (None, "I"),
    ("ACTIVE", "RESTORED"): (None, "I"),
    ("ARCHIVED", "ARCHIVE"): (None, "R"),
    ("ARCHIVED", "STANDARD"): ("ACTIVATING", "R"),
    ("ARCHIVED", "RESTORED"): (None, "I"),
    ("ACTIVATING", "ARCHIVE"): (None, "R"),
    ("ACTIVATING", "STANDARD"): (None, "I"),
    ("ACTIVATING", "RESTORED"): ("ACTIVE", "R"),
}


@pytest.mark.parametrize(
    ("status", "event", "expected"),
    [pytest.param(*key, after, id=f"{' '.join(key)}, {known}") for key, (after, known) in TABLE.items()],
)
def test_storage_move(status: str, event: str, expected: str | None):
    assert storage_move(status, event) == expected


def test_the_table_is_complete():
    assert set(TABLE) == set(itertools.product(STATUSES, EVENTS))


def test_statuses_and_storage_classes_are_those_of_the_model():
    assert set(MODEL["ImageStatus"].enum) == set(STATUSES)
    assert set(MODEL["TargetStorageClass"].enum) == {"ARCHIVE", "STANDARD"}


@pytest.mark.parametrize(("status", "event"), [("ACTIVE", "DELETE"), ("active", "ARCHIVE"), ("", "STANDARD")])
def test_what_is_in_no_table_is_refused(status: str, event: str):
    assert storage_move(status, event) is None
