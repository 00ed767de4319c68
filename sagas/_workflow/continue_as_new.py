"""Continue-as-new of a saga: the state goes to the next run in the memo, and is restored from the memo."""

from typing import Any, NoReturn, cast

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._errors import DefinitionError, SagaError
from .._run.context import RunContext
from .._run.scope import Scope
from .._run.status_publisher import StatusPublisher
from .._temporal.handler_arguments import argument_mismatch
from .._wire.continued_state import CONTINUED_STATE_MEMO, STATE, ContinuedState
from .._wire.size_limits import LARGEST_MESSAGE


def continue_as_new(state: object, continued: ContinuedState) -> NoReturn:
    """Ends this run and starts the next run.

    Args:
        state: The input of the next run.
        continued: The saga's own state.

    Raises:
        SagaError: Both together are larger than the largest message of a workflow.
        DefinitionError: The next run could not decode `state`.
    """
    payloads = workflow.payload_converter().to_payloads([state, continued])
    if (size := sum(len(payload.data) for payload in payloads)) > LARGEST_MESSAGE:
        raise SagaError(
            f"state and ledger of the saga have {size} bytes; the next run can get at most {LARGEST_MESSAGE}"
        )
    _refuse_unreadable(payloads[0])
    payloads[0].metadata[STATE] = b"true"
    encoded_state, encoded = map(RawValue, payloads)
    memo: dict[str, Any] = {name: RawValue(value) for name, value in workflow.info().raw_memo.items()}
    workflow.continue_as_new(encoded_state, memo=memo | {CONTINUED_STATE_MEMO: encoded})


def restore_scope(context: RunContext, continued: ContinuedState) -> Scope:
    """Returns the scope of a run with the state of the earlier run; the first run has an empty state."""
    return Scope(
        lifecycle=context.lifecycle,
        ledger=continued.ledger.restore(),
        publisher=StatusPublisher(
            search_attributes=context.search_attributes,
            started_at=continued.started_at,
            published=continued.published_status,
        ),
        shield=context.shield,
        audit_trail=list(continued.audit_trail),
    )


def _refuse_unreadable(state: Payload) -> None:
    """Refuses a state that the workflow does not take: the next run could not compensate then."""
    kind = cast("type[Any]", workflow.instance().__class__)
    definition: Any = WorkflowDefinition.must_from_class(kind)
    if definition.name is None:
        return  # A dynamic workflow takes any input.
    refusal = f"{kind.__name__} cannot continue as new with this state: its run does not take it"
    types: list[type] = definition.arg_types or []
    try:
        # Temporal reads as many arguments by type as the run has.
        read = workflow.payload_converter().from_payloads([state], types if len(types) == 1 else None)
    except Exception as error:
        raise DefinitionError(f"{refusal} ({type(error).__name__})") from error
    if mismatch := argument_mismatch(definition.run_fn, types, read):
        raise DefinitionError(f"{refusal} ({mismatch})")
