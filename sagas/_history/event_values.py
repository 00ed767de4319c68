"""Reads times, payloads, memos and failures out of history events."""

from collections.abc import Sequence
from datetime import UTC, datetime

from temporalio.api.common.v1 import Memo, Payload
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import DataConverter

from .._wire.activity_header import REJECTED_MEMO
from .._wire.child_saga import CHILD_MEMO, INDEPENDENT_MEMO, ChildMemo, IndependentMemo
from .._wire.continued_state import CONTINUED_STATE_MEMO, ContinuedState
from .._wire.error_text import error_text
from .._wire.operator_requests import FORGOTTEN_MEMO, ForgottenSteps


def event_time(event: HistoryEvent) -> datetime:
    """The time of an event, in UTC."""
    return event.event_time.ToDatetime(tzinfo=UTC)


class PayloadReader:
    """Converts payloads without their Python types.

    Args:
        converter: Converts payloads and failures; payloads must have passed the payload codec already.
    """

    def __init__(self, converter: DataConverter) -> None:
        self._converter = converter

    def first_value(self, payloads: Sequence[Payload]) -> object:
        """The value of the first payload, in the types of JSON; None without payloads."""
        if not payloads:
            return None
        value: object = self._converter.payload_converter.from_payload(payloads[0])
        return value

    def error(self, failure: Failure) -> BaseException:
        """The exception for a failure, as in workflow code."""
        return self._converter.failure_converter.from_failure(failure, self._converter.payload_converter)

    def error_texts(self, failure: Failure) -> list[str]:
        """The texts of the error of a failure and of every cause, each with the type of the error."""
        error: BaseException | None = self.error(failure)
        texts = list[str]()
        while error is not None:
            texts.append(error_text(error))
            error = error.__cause__
        return texts

    def continued_state(self, memo: Memo) -> ContinuedState | None:
        """The state from the previous run, where the workflow continued as new; else None."""
        if CONTINUED_STATE_MEMO not in memo.fields:
            return None
        state: ContinuedState = self._converter.payload_converter.from_payload(
            memo.fields[CONTINUED_STATE_MEMO], ContinuedState
        )
        return state

    def child_memo(self, memo: Memo) -> ChildMemo:
        """The memo of a child saga."""
        child: ChildMemo = self._converter.payload_converter.from_payload(memo.fields[CHILD_MEMO], ChildMemo)
        return child

    def independent_memo(self, memo: Memo) -> IndependentMemo:
        """The memo of an independent saga."""
        independent: IndependentMemo = self._converter.payload_converter.from_payload(
            memo.fields[INDEPENDENT_MEMO], IndependentMemo
        )
        return independent

    def forgotten_steps(self, memo: Memo) -> dict[str, str]:
        """The forgotten steps in the memo of a saga, with the reasons."""
        if FORGOTTEN_MEMO not in memo.fields:
            return {}
        forgotten: ForgottenSteps = self._converter.payload_converter.from_payload(
            memo.fields[FORGOTTEN_MEMO], ForgottenSteps
        )
        return forgotten.reasons

    def rejected_results(self, memo: Memo) -> dict[str, str]:
        """The steps that were rejected by their results, in the memo of a saga: the code for each address."""
        if REJECTED_MEMO not in memo.fields:
            return {}
        rejected: dict[str, str] = self._converter.payload_converter.from_payload(
            memo.fields[REJECTED_MEMO], dict[str, str]
        )
        return rejected
