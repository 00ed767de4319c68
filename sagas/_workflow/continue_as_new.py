"""Going on in a new run, with what the saga has come to in the workflow's memo."""

from typing import Any, NoReturn, cast

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._errors import DefinitionError, SagaError
from .._temporal.handler_arguments import argument_mismatch
from .._wire.continued_state import CARRIED_MEMO, STATE, ContinuedState
from .._wire.size_limits import LARGEST_MESSAGE


def continue_as_new(state: object, carried: ContinuedState) -> NoReturn:
    """Ends this run and begins the next one.

    Raises:
        SagaError: It is more than travels at once.
        DefinitionError: The next run could not read its state.
    """
    payloads = workflow.payload_converter().to_payloads([state, carried])
    if (size := sum(len(payload.data) for payload in payloads)) > LARGEST_MESSAGE:
        raise SagaError(
            f"state and ledger of the saga have {size} bytes; at most {LARGEST_MESSAGE} are carried on"
        )
    _refuse_unreadable(payloads[0])
    payloads[0].metadata[STATE] = b"true"
    encoded_state, encoded = map(RawValue, payloads)
    memo: dict[str, Any] = {name: RawValue(value) for name, value in workflow.info().raw_memo.items()}
    workflow.continue_as_new(encoded_state, memo=memo | {CARRIED_MEMO: encoded})


def _refuse_unreadable(state: Payload) -> None:
    """Refuses a state that the workflow would not take: the next run would owe what this one has done."""
    kind = cast("type[Any]", workflow.instance().__class__)
    definition: Any = WorkflowDefinition.must_from_class(kind)
    if definition.name is None:
        return  # It takes whatever comes.
    what = f"{kind.__name__} cannot continue as new with this state: its run does not take it"
    types: list[type] = definition.arg_types or []
    try:
        # As Temporal does: by their types it reads as many arguments as the run has.
        read = workflow.payload_converter().from_payloads([state], types if len(types) == 1 else None)
    except Exception as error:
        raise DefinitionError(f"{what} ({type(error).__name__})") from error
    if refusal := argument_mismatch(definition.run_fn, types, read):
        raise DefinitionError(f"{what} ({refusal})")
