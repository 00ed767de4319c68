"""Going on in a new run, with what the saga has come to in the workflow's memo."""

from typing import Any, NoReturn

from temporalio import workflow
from temporalio.common import RawValue

from .._errors import SagaError
from .attempt import LARGEST
from .carried import Carried
from .run import CARRIED_MEMO


def continue_as_new(state: object, carried: Carried) -> NoReturn:
    """Ends this run and begins the next one.

    Raises:
        SagaError: It is more than travels at once.
    """
    payloads = workflow.payload_converter().to_payloads([state, carried])
    if (size := sum(len(payload.data) for payload in payloads)) > LARGEST:
        raise SagaError(f"state and ledger of the saga have {size} bytes; at most {LARGEST} are carried on")
    encoded_state, encoded = map(RawValue, payloads)
    memo: dict[str, Any] = {name: RawValue(value) for name, value in workflow.info().raw_memo.items()}
    workflow.continue_as_new(encoded_state, memo=memo | {CARRIED_MEMO: encoded})
