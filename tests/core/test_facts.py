"""Facts: reactions run in the transaction of the change, whether events are kept or not; then come the rows."""

from typing import NamedTuple

import pytest

from ecrsim.config import with_values
from ecrsim.core import facts, outbox
from ecrsim.core.event import NewEvent
from ecrsim.core.runtime import root_caller
from tests.core.jobbing import HERE


class Baked(NamedTuple):
    name: str

    def rows(self):
        for number in range(2):
            yield NewEvent(HERE, self.name, "Baked", {"number": number})


class Eaten(NamedTuple):
    name: str

    def rows(self):
        return (NewEvent(HERE, self.name, "Eaten", {}),)


@pytest.fixture(autouse=True)
def _no_other_reactions(monkeypatch):
    monkeypatch.setattr(facts, "_reactions", {})


def tell(runtime, *told):
    with runtime.call(root_caller(*HERE[:2])) as call, call.writing():
        facts.record_all(call, told)


def kept(runtime):
    with runtime.database.read() as connection:
        return [(event.type, event.repository_name, event.facts) for event in outbox.page(connection, 0, 100)]


def test_reactions_run_in_the_order_of_their_declaration_and_then_come_the_rows(runtime):
    seen = []
    facts.on(Baked)(lambda call, fact: seen.append(("first", fact.name, call.now)))
    facts.on(Baked)(lambda _, fact: seen.append(("second", fact.name)))
    facts.on(Eaten)(lambda _, fact: seen.append(("other", fact.name)))
    tell(runtime, Baked("a"), Baked("b"))
    assert [each[:2] for each in seen] == [("first", "a"), ("second", "a"), ("first", "b"), ("second", "b")]
    assert kept(runtime) == [("Baked", name, {"number": number}) for name in "ab" for number in (0, 1)]


def test_a_reaction_tells_what_follows(runtime):
    facts.on(Baked)(lambda call, fact: facts.record(call, Eaten(fact.name)))
    tell(runtime, Baked("a"))
    assert [type for type, *_ in kept(runtime)] == ["Eaten", "Baked", "Baked"]


def test_reactions_run_where_no_events_are_kept(runtime):
    seen = []
    facts.on(Baked)(lambda _, fact: seen.append(fact.name))
    runtime.config = with_values(runtime.config, events_limit=0)
    tell(runtime, Baked("a"))
    assert seen == ["a"]
    assert kept(runtime) == []


def test_an_error_of_a_reaction_undoes_the_change(runtime):
    def refuse(_, fact):
        if fact.name == "b":
            raise ValueError(fact.name)

    facts.on(Baked)(refuse)
    with pytest.raises(ValueError, match="b"):
        tell(runtime, Baked("a"), Baked("b"))
    assert kept(runtime) == []
