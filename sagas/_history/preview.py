"""The preview of a saga: compensations that would run if the saga failed now, and remaining effects."""

from collections.abc import Iterator, Set

from pydantic import BaseModel, ConfigDict

from .._core.compensation import PendingCompensation, PlanItem, flatten, select
from .._core.ids import in_parent
from .._core.ledger import Ledger
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.saga_outcome import PlannedCompensation, RemainingEffect
from .._wire.operator_requests import SKIP
from .ledger_rebuild import RebuiltSaga, RecoveryDirection, outcome_of_independent, rebuild_saga
from .saga_record import SagaRecord, closure_of_child
from .superseded_runs import with_superseded_runs

MAY_HAVE_HAPPENED = (Outcome.DONE, Outcome.STARTED, Outcome.UNKNOWN)
_ENDINGS = {
    Outcome.DONE: "",
    Outcome.STARTED: ", which is open",
    Outcome.UNKNOWN: ", which was interrupted: rescue that saga",
}
"""The ends of the reasons of independent sagas, by outcome."""


class PlannedConfirmation(BaseModel):
    """A confirmation that runs once the saga can no longer fail.

    Args:
        address: The address of the confirmed step.
        activity: The type of the confirming activity.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    activity: str


class Preview(BaseModel):
    """The compensations and the remaining effects of a saga, as if the saga failed now.

    Args:
        id: The id of the saga.
        recovery_direction: `backward`, or `forward` where the pivot is done or in doubt: only the lost
            alternatives are compensated then.
        compensations: The compensations that would run, the first to run first.
        remaining_effects: The remaining effects.
        has_completed: Whether the saga has completed, so that its effects are final.
        is_compensating: Whether the saga compensates already.
        root_id: The root saga of a completed child; the root's preview has the child's compensations.
        unresolved_children: The children with unknown pending compensations. The compensations of an open
            child are known, and are part of `compensations`.
        confirmations: The confirmations that run at the end of a saga without a failure, the first to run
            first; without the confirmations of open children.
        superseded_compensations: The pending compensations of steps from superseded runs only. The saga does
            not know these steps; only a rescue of the closed saga compensates the steps.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    recovery_direction: RecoveryDirection
    compensations: tuple[PlannedCompensation, ...] = ()
    remaining_effects: tuple[RemainingEffect, ...] = ()
    unresolved_children: tuple[str, ...] = ()
    confirmations: tuple[PlannedConfirmation, ...] = ()
    superseded_compensations: tuple[PlannedCompensation, ...] = ()
    has_completed: bool = False
    is_compensating: bool = False
    root_id: str = ""

    @property
    def sentence(self) -> str:
        """The preview as a sentence, without a full stop."""
        if not self.superseded_compensations:
            return self._summary()
        count = len(self.superseded_compensations)
        effects = "1 effect" if count == 1 else f"{count} effects"
        verb = "needs" if count == 1 else "need"
        return f"{self._summary()}; {effects} from before a reset {verb} a rescue"

    def _summary(self) -> str:
        if self.has_completed:
            return "nothing would be compensated: the saga has completed"
        if self.root_id:
            return f"the saga is a completed child: see the preview of its root {self.root_id!r}"
        if self.recovery_direction is RecoveryDirection.FORWARD:
            lost = "only lost alternatives are" if self.compensations else "nothing would be"
            count = len(self.confirmations)
            confirmations = "1 confirmation" if count == 1 else f"{count} confirmations"
            to_run = f"; {confirmations} still to run" if count else ""
            return f"{lost} compensated: the pivot is done or in doubt{to_run}"
        if not self.compensations:
            return "no compensation is pending"
        count = len(self.compensations)
        compensations = "1 compensation" if count == 1 else f"{count} compensations"
        order = "" if count == 1 else ", in this order"
        return f"{compensations} {'still to run' if self.is_compensating else 'would run'}{order}"


def build_preview(record: SagaRecord) -> Preview:
    """Builds the preview of a saga; children count where their records were read."""
    rebuilt = rebuild_saga(record)
    is_forward = rebuilt.direction is RecoveryDirection.FORWARD
    plan = () if record.has_completed else rebuilt.ledger.plan(is_past_pivot=is_forward)
    open_children = {} if is_forward else _open_children(record)
    of_children = tuple(_compensations_of(open_children))
    superseded = {each.address for each in flatten(rebuilt.superseded)}
    planned = {each.address for each in of_children} | {each.address for each in flatten(plan)} | superseded
    if record.closure is not None and record.closure.status.is_interrupted and not is_forward:
        # The rescue of an interrupted saga compensates the steps of all runs together.
        superseded = set[str]()
    own_plan = () if record.is_handed_over else select(plan, lambda address: address not in superseded)
    return Preview(
        id=record.id,
        recovery_direction=rebuilt.direction,
        compensations=(*of_children, *_planned(own_plan)),
        remaining_effects=tuple(_remaining_effects(record, planned)),
        unresolved_children=() if is_forward else tuple(_unknown_children(rebuilt.ledger, open_children)),
        confirmations=tuple(_confirmations(record, rebuilt)),
        superseded_compensations=tuple(_planned(rebuilt.superseded)) if superseded else (),
        has_completed=record.has_completed,
        is_compensating=rebuilt.lifecycle.has_compensated,
        root_id=record.root if record.is_handed_over and not is_forward else "",
    )


def _confirmations(record: SagaRecord, rebuilt: RebuiltSaga) -> Iterator[PlannedConfirmation]:
    """The confirmations of the saga; the root runs the confirmations of a completed child."""
    if record.has_completed or record.is_handed_over or rebuilt.lifecycle.has_compensated:
        return
    for each in rebuilt.ledger.confirmations():
        yield PlannedConfirmation(address=each.address, activity=each.activity)


def _open_children(record: SagaRecord) -> dict[str, Preview]:
    """The previews of the open children by address; open children compensate before their parent."""
    return {
        child.address: build_preview(child.record)
        for child in record.children
        if child.record is not None and closure_of_child(child) is None
    }


def _compensations_of(previews: dict[str, Preview]) -> Iterator[PlannedCompensation]:
    """The compensations of open children; several children compensate in parallel."""
    for number, (child, preview) in enumerate(previews.items(), start=1):
        for each in preview.compensations:
            branches = filter(None, (str(number) if len(previews) > 1 else "", each.branch))
            address = in_parent(child, each.address)
            yield PlannedCompensation(address=address, activity=each.activity, branch=".".join(branches))


def _unknown_children(ledger: Ledger, previews: dict[str, Preview]) -> Iterator[str]:
    for address in ledger.unresolved_children():
        if address not in previews:
            yield address
        else:
            yield from (f"{address}/{each}" for each in previews[address].unresolved_children)


def _planned(plan: tuple[PlanItem, ...], branch: str = "") -> Iterator[PlannedCompensation]:
    for item in plan:
        if isinstance(item, PendingCompensation):
            yield PlannedCompensation(address=item.address, activity=item.activity, branch=branch)
        else:
            for number, items in enumerate(item.branches, start=1):
                yield from _planned(items, f"{branch}.{number}" if branch else str(number))


def _remaining_effects(record: SagaRecord, planned: Set[str] = frozenset()) -> Iterator[RemainingEffect]:
    """The effects, done or in doubt, without a compensation, with the addresses of `record`.

    Args:
        record: The saga, with children and rescues.
        planned: The addresses whose compensations are still to run.
    """
    ledger, record = rebuild_saga(record).ledger, with_superseded_runs(record)
    skipped = {
        verb.entry.target: f"skipped by {verb.entry.by}: {verb.entry.because}"
        for each in (record, *record.own_rescues)
        for verb in each.verbs
        if verb.entry.verb == SKIP
    }
    forgotten = {address: f"forgotten: {each.reason}" for address, each in record.forgotten.items()}
    reasons = forgotten | skipped
    compensated = (ledger.compensated - skipped.keys()) | planned
    for address, entry in ledger.entries.items():
        has_effect = not (entry.is_child or entry.is_read_only) and entry.outcome in MAY_HAVE_HAPPENED
        if has_effect and address not in compensated:
            yield RemainingEffect(address=address, outcome=entry.outcome, reason=reasons.get(address, ""))
    for child in record.children:
        for effect in _remaining_effects(child.record) if child.record else ():
            address = in_parent(child.address, effect.address)
            if address not in compensated:
                # The parent runs the compensations of a completed child.
                reason = effect.reason or reasons.get(address, "")
                yield effect.model_copy(update={"address": address, "reason": reason})
    for activity in record.activities:
        is_after = activity.header.purpose is Purpose.AFTER_COMPENSATION and not activity.header.is_read_only
        if is_after and activity.result.outcome in MAY_HAVE_HAPPENED:
            yield RemainingEffect(address=activity.address, outcome=activity.result.outcome)
    for work in record.foreign_work:
        if work.outcome in MAY_HAVE_HAPPENED:
            reason = f"foreign {work.kind.value}, which no saga compensates"
            yield RemainingEffect(address=work.name, outcome=work.outcome, reason=reason)
    yield from _independent_effects(record)


def _independent_effects(record: SagaRecord) -> Iterator[RemainingEffect]:
    """The independent sagas that have, or may have, effects, which the saga never compensates."""
    for saga in {each.address: each for each in record.independent_sagas}.values():
        outcome = outcome_of_independent(saga)
        if outcome in MAY_HAVE_HAPPENED:
            ending = _ENDINGS[outcome]
            yield RemainingEffect(
                address=saga.address, outcome=outcome, reason=f"independent saga {saga.id}{ending}"
            )
