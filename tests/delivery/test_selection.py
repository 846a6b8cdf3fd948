"""Which events somebody gets who asks for some: by detail-type, repository, account, region and pattern."""

import pytest

from ecrsim import Ecrsim
from ecrsim.core import outbox
from ecrsim.delivery.pattern import PatternError
from ecrsim.delivery.selection import Selection, select_events


@pytest.fixture
def sim(sim: Ecrsim) -> Ecrsim:
    for account, region, name in (
        ("000000000000", "us-east-1", "app"),
        ("000000000000", "us-east-1", "web"),
        ("000000000000", "eu-west-1", "app"),
        ("111111111111", "us-east-1", "app"),
    ):
        sim.client(account=account, region=region).create_repository(repositoryName=name)
    sim.client().delete_repository(repositoryName="web")
    return sim


def chosen(sim, **wanted):
    found, _ = select_events(sim.runtime.database, Selection(**wanted), 0)
    return [
        (
            entry.envelope["account"][0],
            entry.envelope["region"][:2],
            entry.envelope["detail"]["eventName"],
            entry.envelope["detail"]["requestParameters"]["repositoryName"],
        )
        for entry in found
    ]


ALL = [
    ("0", "us", "CreateRepository", "app"),
    ("0", "us", "CreateRepository", "web"),
    ("0", "eu", "CreateRepository", "app"),
    ("1", "us", "CreateRepository", "app"),
    ("0", "us", "DeleteRepository", "web"),
]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"type": "AWS API Call via CloudTrail"}, [0, 1, 2, 3, 4]),
        ({"type": "ECR Image Action"}, []),
        ({"repository": "web"}, [1, 4]),
        ({"region": "eu-west-1"}, [2]),
        ({"account": "111111111111"}, [3]),
        ({"repository": "app", "account": "000000000000", "region": "us-east-1"}, [0]),
        ({"pattern": {"detail": {"eventName": [{"prefix": "Delete"}]}}}, [4]),
        ({"repository": "app", "pattern": {"region": [{"anything-but": "us-east-1"}]}}, [2]),
    ],
    ids=str,
)
def test_what_is_chosen(sim, wanted, places):
    assert chosen(sim, **wanted) == [ALL[place] for place in places]


def test_pages_go_on_after_what_was_looked_at(sim):
    selection = Selection(repository="web")
    first, after = select_events(sim.runtime.database, selection, 0, 1)
    second, after = select_events(sim.runtime.database, selection, after, 1)
    third, after = select_events(sim.runtime.database, selection, after, 1)
    names = [entry.envelope["detail"]["eventName"] for entry in first + second]
    assert (names, third) == (["CreateRepository", "DeleteRepository"], [])
    assert after == second[0].sequence


def test_more_events_than_are_read_at_once(sim, monkeypatch):
    monkeypatch.setattr("ecrsim.delivery.selection._ROWS", 2)
    assert chosen(sim) == ALL
    assert chosen(sim, repository="web") == [ALL[1], ALL[4]]


def test_a_pattern_that_is_none(sim):
    with pytest.raises(PatternError, match=r"detail\.eventName"):
        Selection(pattern={"detail": {"eventName": []}})
    with pytest.raises(ValueError, match="not valid"):
        sim.events(pattern={"source": "aws.ecr"})


def test_the_same_in_python(sim):
    assert len(sim.events()) == 5
    assert [event["detail"]["eventName"] for event in sim.events(repository="web")] == [
        "CreateRepository",
        "DeleteRepository",
    ]
    assert sim.events(type="ECR Image Action") == []
    assert len(sim.events(pattern={"account": ["111111111111"]})) == 1
    _, last = select_events(sim.runtime.database, Selection(), 0)
    assert sim.events(after=last) == []
    assert len(sim.events(after=last - 1)) == 1


def test_no_more_rows_are_read_than_are_wanted(sim, monkeypatch):
    """A stream takes fifty at a time: with a dozen of them, ten times as many rows were some 40 MiB."""
    asked, page = [], outbox.page

    def counted(connection, after, limit):
        asked.append(limit)
        return page(connection, after, limit)

    monkeypatch.setattr(outbox, "page", counted)
    found, _ = select_events(sim.runtime.database, Selection(), 0, 2)
    assert (len(found), asked) == (2, [2])
