"""The idempotency key of the running activity."""

from temporalio import activity

from sagas import idempotency_key as key_of


def idempotency_key() -> str:
    """Returns the key for calls to participants: the same on every attempt, replay, worker and version.

    An action and its compensation have the same key. By the key, a participant knows which effect to
    compensate, and refuses an action that arrives after its compensation.

    The key contains the id of the workflow, the names of the child sagas and the step: the key of a saga with
    a long id may be longer than a participant accepts, and the id of a workflow that was started without
    `start_saga` may have characters outside of ASCII. `HttpParticipant` encodes such keys; an activity that
    sends the key in another way has to encode such keys too, the same for the action and the compensation.

    Raises:
        RuntimeError: No activity is running.
    """
    info = activity.info()
    assert info.workflow_id is not None, "the activities of a saga run in a workflow"
    return key_of(info.workflow_id, info.activity_id)
