"""The workflow that makes up for a saga which was cut off before it could do so itself.

Its id ends in `~rescue`, so its activities have the idempotency keys of the saga; see `_keys`.
"""

from pydantic import BaseModel, ConfigDict
from temporalio import workflow

from .._ledger import Ledger, Owed, Together
from .._status import Board, Status
from .._verbs import ByHand, OperatorNote
from .course import Course
from .desk import Desk
from .insist import Insistence
from .mailbox import Mailbox
from .run import current

RESCUE_TYPE = "saga-rescue"


class RescueRequest(OperatorNote):
    """What a saga owes that can no longer pay it itself; plain data, made from its history.

    Args:
        saga: Its id.
        owed: What must be made up for, the first part first.
        unaccounted: Its children of which nobody can tell what they owe.
    """

    saga: str
    owed: tuple[Owed, ...]
    unaccounted: tuple[str, ...] = ()


class Rescued(BaseModel):
    """What a rescue has come to.

    Args:
        compensated: The addresses of what it has made up for, in the order in which it was owed.
        by_hand: What a person has settled instead, and how.
    """

    model_config = ConfigDict(frozen=True)

    compensated: tuple[str, ...]
    by_hand: dict[str, ByHand] = {}


@workflow.defn(name=RESCUE_TYPE)
class RescueSaga:
    """Runs what another saga owes, as that saga would have: newest first, until everything is done."""

    @workflow.run
    async def run(self, request: RescueRequest) -> Rescued:
        """Makes up for everything; where nothing is owed, its history says who asked."""
        if not request.owed:
            return Rescued(compensated=())
        run = current()
        run.has_saga = True
        run.guard.is_deaf = True  # it only makes up for things, and nothing stops that
        ledger = _ledger_of(request)
        board = Board(ledger, search_attributes=run.search_attributes)
        insistence = Insistence(board)
        run.details = board.details
        desk = Desk(
            ledger=ledger,
            board=board,
            course=Course(run.guard, ledger, board),
            insistence=insistence,
            mailbox=Mailbox(),
            authorize=run.authorize,
        )
        desk.open()
        owed = tuple(compensation.address for compensation in ledger.owed())
        ledger.begin_compensation()
        board.show(Status.COMPENSATING, f"rescued by {request.by}: {request.because}")
        await insistence.make_up(ledger)
        board.show(Status.SETTLED if insistence.by_hand else Status.COMPENSATED)
        by_hand = dict(insistence.by_hand)
        return Rescued(compensated=tuple(each for each in owed if each not in by_hand), by_hand=by_hand)


def _ledger_of(request: RescueRequest) -> Ledger:
    """A ledger that owes exactly this: a line for each part, the oldest first."""
    ledger = Ledger()
    for number, part in reversed(tuple(enumerate(request.owed, start=1))):
        address = f"part {number}" if isinstance(part, Together) else part.address
        ledger.start(address, is_child=True)
        ledger.closed(address, (part,))
    return ledger
