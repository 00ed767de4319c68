"""The idempotency key of the running activity."""

from temporalio import activity

from sagas import idempotency_key as key_of


def idempotency_key() -> str:
    """Returns the key for calls to participants: the same on every attempt, replay, worker and version.

    An action and its compensation have the same key. By the key, a participant knows which effect to
    compensate, and refuses an action that arrives after its compensation.

    Raises:
        RuntimeError: No activity is running.
    """
    info = activity.info()
    assert info.workflow_id is not None, "the activities of a saga run in a workflow"
    return key_of(info.workflow_id, info.activity_id)
