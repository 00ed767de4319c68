"""The idempotency key of the activity that is running."""

from temporalio import activity

from sagas import idempotency_key as key_of


def idempotency_key() -> str:
    """The key for calls to participants: the same on every attempt, replay, worker and version.

    The compensation of a step gets the key of its action: that is how a participant knows what to make
    up for, and how it refuses an action that arrives too late.

    Raises:
        RuntimeError: No activity is running.
    """
    info = activity.info()
    assert info.workflow_id is not None, "an activity of a saga belongs to a workflow"
    return key_of(info.workflow_id, info.activity_id)
