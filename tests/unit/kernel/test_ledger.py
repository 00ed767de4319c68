"""The ledger against an oracle that was written from the promises, over everything that can happen."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pytest

from sagas import DefinitionError, Scope
from sagas._ledger import Compensation, Ledger, Outcome, Phase

STEPS = 6
ENDINGS = (Outcome.STARTED, Outcome.DONE, Outcome.REJECTED, Outcome.UNKNOWN, Outcome.WITHDRAWN)
MAY_HAVE_HAPPENED = {Outcome.STARTED, Outcome.DONE, Outcome.UNKNOWN}
"""P4: nobody says that it did not. One that is under way when the saga turns round is one of them."""


@dataclass(frozen=True)
class Event:
    """What happened to one step or child, as the oracle sees it."""

    name: str
    ending: Outcome
    effects: tuple[str, ...]


def histories(length: int) -> Iterator[tuple[Event, ...]]:
    """Every way in which so many steps can have ended; the second of them is a child with two effects."""
    for endings in product(ENDINGS, repeat=length):
        yield tuple(
            Event(f"s{n}", ending, (f"s{n}:b", f"s{n}:a") if n == 1 else (f"s{n}",))
            for n, ending in enumerate(endings)
        )


def must_be_made_up(events: tuple[Event, ...], scope: Scope) -> list[str]:
    """P4 and P5, in the words of the promises: what may have happened, in reverse order of the starts."""
    owed: list[str] = []
    for event in events:
        is_child = len(event.effects) > 1
        if is_child and event.ending is not Outcome.DONE:
            continue  # it has compensated by itself, or nobody knows what it owes
        if event.ending in MAY_HAVE_HAPPENED or (
            event.ending is Outcome.REJECTED and scope is Scope.ATTEMPTED
        ):
            owed = [*event.effects, *owed]
    return owed


def compensation(address: str, *, takes_result: bool = False) -> Compensation:
    arguments = ("m", None) if takes_result else ("m",)
    return Compensation(
        address=address, activity=f"compensate-{address}", arguments=arguments, takes_result=takes_result
    )


def note(ledger: Ledger, event: Event) -> None:
    """Tells the ledger of an event, as a saga would."""
    is_child = len(event.effects) > 1
    ledger.start(event.name, None if is_child else compensation(event.name), is_child=is_child)
    if event.ending is Outcome.DONE and is_child:
        ledger.closed(event.name, tuple(map(compensation, event.effects)))
    elif event.ending is Outcome.DONE:
        ledger.done(event.name, "result")
    elif event.ending is not Outcome.STARTED:
        ledger.failed(event.name, event.ending)


def owed(ledger: Ledger) -> list[str]:
    return [one.address for one in ledger.owed()]


@pytest.mark.parametrize("scope", Scope)
def test_what_may_have_happened_is_owed_newest_first(scope: Scope) -> None:
    """P4 and P5: neither less nor more, for every way in which up to six steps can end."""
    for length in range(STEPS + 1):
        for events in histories(length):
            ledger = Ledger(scope)
            for event in events:
                note(ledger, event)

            assert owed(ledger) == must_be_made_up(events, scope), events


@pytest.mark.parametrize("scope", Scope)
def test_what_is_made_up_for_is_owed_no_more_and_the_rest_still_is(scope: Scope) -> None:
    """P2 and P7: whatever compensations are through, in whatever order, the others remain."""
    for events in histories(3):
        everything = must_be_made_up(events, scope)
        for through in product((False, True), repeat=len(everything)):
            ledger = Ledger(scope)
            for event in events:
                note(ledger, event)
            ledger.begin_compensation()
            for address, is_through in zip(everything, through, strict=True):
                if is_through:
                    ledger.made_up_for(address)

            assert owed(ledger) == [
                address for address, is_through in zip(everything, through, strict=True) if not is_through
            ]


@pytest.mark.parametrize("scope", Scope)
def test_nothing_is_owed_once_the_pivot_is_done(scope: Scope) -> None:
    """P6: neither what came before it nor what comes after it, wherever the pivot stands."""
    for events in histories(4):
        for place in range(len(events) + 1):
            ledger = Ledger(scope)
            for event in events[:place]:
                note(ledger, event)
            ledger.start("pivot")
            ledger.done("pivot")
            assert owed(ledger) == must_be_made_up(events[:place], scope)
            ledger.pass_pivot()
            for event in events[place:]:
                note(ledger, event)

            assert owed(ledger) == []
            with pytest.raises(DefinitionError, match="after the pivot"):
                ledger.begin_compensation()


@pytest.mark.parametrize("ending", [Outcome.REJECTED, Outcome.WITHDRAWN])
def test_pivot_that_did_not_happen_leaves_everything_before_it_owed(ending: Outcome) -> None:
    """P6: the way back is open until the pivot is done."""
    for events in histories(4):
        ledger = Ledger()
        for event in events:
            note(ledger, event)
        ledger.start("pivot")
        ledger.failed("pivot", ending)
        ledger.begin_compensation()

        assert owed(ledger) == must_be_made_up(events, Scope.IN_DOUBT)


def test_nothing_goes_forward_once_the_saga_compensates() -> None:
    """P5: no step, no child and no pivot after the first compensation."""
    for events in histories(2):
        ledger = Ledger()
        for event in events:
            note(ledger, event)
        ledger.begin_compensation()
        before = owed(ledger)

        with pytest.raises(DefinitionError, match="is compensating"):
            ledger.start("late", compensation("late"))
        with pytest.raises(DefinitionError, match="one pivot"):
            ledger.pass_pivot()
        assert owed(ledger) == before


def test_saga_has_one_pivot() -> None:
    """There is one point of no return."""
    ledger = Ledger()
    ledger.pass_pivot()

    with pytest.raises(DefinitionError, match="one pivot"):
        ledger.pass_pivot()
    assert ledger.phase is Phase.PAST_PIVOT


@pytest.mark.parametrize("ending", ENDINGS)
def test_child_that_ended_without_a_word_is_lost(ending: Outcome) -> None:
    """P8: what it owes is not known to be nothing."""
    ledger = Ledger()
    note(ledger, Event("child", ending, ("child:b", "child:a")))

    without_a_word = ending in {Outcome.UNKNOWN, Outcome.STARTED}
    assert ledger.lost() == (("child",) if without_a_word else ())


def test_step_of_unknown_outcome_is_not_lost() -> None:
    """It has a compensation of its own."""
    ledger = Ledger()
    note(ledger, Event("step", Outcome.UNKNOWN, ("step",)))

    assert ledger.lost() == ()


@pytest.mark.parametrize("ending", [Outcome.STARTED, Outcome.UNKNOWN, Outcome.REJECTED])
def test_compensation_gets_no_result_of_an_action_that_gave_none(ending: Outcome) -> None:
    """`None` says that nobody knows what the action returned."""
    ledger = Ledger(Scope.ATTEMPTED)
    ledger.start("s", compensation("s", takes_result=True))
    if ending is not Outcome.STARTED:
        ledger.failed("s", ending)

    assert [one.arguments for one in ledger.owed()] == [("m", None)]


def test_compensation_gets_the_result_of_its_action() -> None:
    """Only where it asked for it."""
    ledger = Ledger()
    ledger.start("a", compensation("a", takes_result=True))
    ledger.start("b", compensation("b"))
    ledger.done("a", "seat 7")
    ledger.done("b", "seat 8")

    assert [one.arguments for one in ledger.owed()] == [("m",), ("m", "seat 7")]


def test_addresses_are_never_used_twice() -> None:
    """A step that is repeated gets a number, and steps do not count each other."""
    ledger = Ledger()

    assert [ledger.address_of(name) for name in "abaa"] == ["a", "b", "a#2", "a#3"]


def test_compensation_survives_being_written_down() -> None:
    """It is data: what is read back from a history is what was written."""
    written = compensation("a:b", takes_result=True)

    assert Compensation.model_validate_json(written.model_dump_json()).model_dump(
        exclude={"arguments"}
    ) == written.model_dump(exclude={"arguments"})
