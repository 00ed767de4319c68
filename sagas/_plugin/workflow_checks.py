"""Checks of workflow commands and results that would block a workflow task or lose compensations."""

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import ExecuteWorkflowInput, StartActivityInput
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._core.activity_outcome import ActivityOutcome
from .._errors import DefinitionError, RejectedError
from .._execution.activity_call import encode_arguments
from .._run.context import RunContext
from .._temporal.handler_arguments import argument_mismatch
from .._wire.failures import SAGA_FOREIGN_ACTIVITY, SAGA_REFUSED

FOREIGN_PATCH = "saga-foreign-activities"
"""The patch of runs that refuse undeclared work outside of an open saga."""
LARGEST_AT_ONCE = 2 * 1024 * 1024
"""The default limit of a Temporal server for one payload, in bytes."""


def check_foreign_work(name: str, kind: str, context: RunContext) -> None:
    """Refuses work that does not belong to the saga while the saga is open: no compensation would undo it.

    A run that began undeclared work before the refusal existed goes on, and `show` and `preview` list the
    work.

    Args:
        name: The type of the activity or workflow, or the name of the operation.
        kind: An activity, local activity, child workflow or Nexus operation.
        context: The workflow run.

    Raises:
        ApplicationError: The saga is open, and does not declare the name; nothing was sent.
    """
    if not context.lifecycle.is_open or name in context.declared_foreign_activities:
        return
    if workflow.patched(FOREIGN_PATCH):
        raise ApplicationError(
            f"{kind} {name!r} belongs to no step of the open saga, so no compensation would undo the effect: "
            "use `saga.step` or `saga.child`, move the call out of the block, or declare read-only work: "
            f"`Saga(foreign_activities={{{name!r}}})`",
            type=SAGA_FOREIGN_ACTIVITY,
            non_retryable=True,
        )


def check_foreign_activity(input: StartActivityInput, context: RunContext) -> None:  # noqa: A002 - Temporal's
    """Refuses an activity outside of the saga that would block the workflow and the pending compensations.

    Raises:
        DefinitionError: The activity is refused with any message.
        RejectedError: The message is too large; the activity was not scheduled.
    """
    if input.cancellation_type is workflow.ActivityCancellationType.ABANDON:
        # Temporal 1.35: an ABANDON activity that fails after a cancel blocks the workflow with failing tasks.
        raise DefinitionError(
            f"activity {input.activity!r} has cancellation type ABANDON, which can wedge a saga: "
            "give it TRY_CANCEL or WAIT_CANCELLATION_COMPLETED"
        )
    before = context.foreign_activities.get(input.activity_id or "")
    if before is not None and not before.done():
        raise DefinitionError(
            f"activity id {input.activity_id!r} belongs to an activity that is under way: give each its own"
        )
    if not context.lifecycle.is_open:
        return
    encoded = encode_arguments(input.args, f"the message of {input.activity}", largest=LARGEST_AT_ONCE)
    if isinstance(encoded, ActivityOutcome):
        raise RejectedError(encoded.code, encoded.reason)
    context.task_size.add(sum(len(argument.payload.data) for argument in encoded))


def refuse_open_saga(context: RunContext) -> None:
    """Refuses to end a workflow whose saga is open.

    Raises:
        DefinitionError: The saga is open.
    """
    if context.lifecycle.is_open:
        raise DefinitionError(
            "the workflow has ended before its saga: await the task in which the saga is open"
        )


def refuse_oversized(output: object) -> None:
    """Refuses a result for which the server would fail the workflow task; the error names the limit.

    Raises:
        DefinitionError: The result is larger than the server's limit.
    """
    size = workflow.payload_converter().to_payload(output).ByteSize()
    if size > LARGEST_AT_ONCE:
        raise DefinitionError(
            f"the result of the workflow has {size} bytes, and the server takes {LARGEST_AT_ONCE}: return "
            "less, such as where it is kept; the saga has ended, and nothing of it is lost"
        )


def check_workflow_arguments(started: ExecuteWorkflowInput, context: RunContext) -> None:
    """Fails a workflow whose arguments do not match the run method; otherwise every workflow task would fail.

    Raises:
        ApplicationError: The arguments do not match.
        DefinitionError: The workflow has continued as new, and the current version takes other arguments. The
            workflow task fails until the code is fixed, because the saga has pending compensations.
    """
    definition = WorkflowDefinition.must_from_run_fn(started.run_fn)
    refusal = argument_mismatch(started.run_fn, definition.arg_types or (), started.args)
    if not refusal:
        return
    if context.continued is not None:
        raise DefinitionError(f"the state of an earlier run does not fit: {refusal}")
    raise ApplicationError(
        f"{started.type.__name__} was started with other arguments than it takes: {refusal}",
        type=SAGA_REFUSED,
        non_retryable=True,
    )
