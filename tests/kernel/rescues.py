"""Rescues of trips, and what participants were asked for by them."""

from sagas import Rescue, SagaClient
from sagas.operator._rescue import Course

from .stage import PATIENCE, Stage

COMPENSATION_OF = {"book-hotel": "cancel-hotel", "book-flight": "cancel-flight", "book-car": "cancel-car"}


def calls_of(stage: Stage, saga_id: str, *, fenced: bool = False) -> list[tuple[str, str]]:
    """What participants were asked for by this saga and its children, and by its rescue.

    Args:
        stage: Where it ran.
        saga_id: The saga.
        fenced: Leaves out actions after their compensation. A worker may have taken one just before its saga
            was terminated, and begin it late: then a participant finds its key void.
    """
    calls = list[tuple[str, str]]()
    for name, key in stage.agency.calls:
        is_late = fenced and (COMPENSATION_OF.get(name), key) in calls
        if key.startswith((f"{saga_id}:", f"{saga_id}/")) and not is_late:
            calls.append((name, key))
    return calls


def not_made_up(stage: Stage, saga_id: str, *, fenced: bool = False) -> list[str]:
    """The keys of what was booked and not cancelled after it; see `calls_of`."""
    open_keys: list[str] = []
    for name, key in calls_of(stage, saga_id, fenced=fenced):
        if name in COMPENSATION_OF:
            open_keys.append(f"{COMPENSATION_OF[name]} {key}")
        else:
            open_keys = [each for each in open_keys if each != f"{name} {key}"]
    return open_keys


async def rescue(stage: Stage, saga_id: str, *, by: str = "mia", patience: float = PATIENCE) -> Rescue:
    """Rescues a saga."""
    return await SagaClient(stage.client).rescue(saga_id, by=by, because="x", patience=patience)


async def rescued(stage: Stage, saga_id: str) -> Rescue:
    """Rescues a saga, and waits for what comes of it."""
    found = await rescue(stage, saga_id)
    if found.workflow_id:
        stage.ids.append(found.workflow_id)
        ending = await stage.ending(stage.client.get_workflow_handle(found.workflow_id))
        wanted = "compensated" if found.course is Course.COMPENSATING else None
        assert (ending.closed, ending.saga) == ("COMPLETED", wanted)
    return found
