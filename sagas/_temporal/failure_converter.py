"""The failure converter: an error of any code is reported, without the rejected values of a validation."""

from collections.abc import Sequence

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter

from .._wire.reportable_error import reportable


class SagaFailureConverter(DefaultFailureConverter):
    """Extends Temporal's failure converter to errors that Temporal cannot write or read.

    A workflow whose error cannot be written fails each workflow task. A workflow that receives unreadable
    details would end without compensations.

    Args:
        encode_common_attributes: Whether message and stack trace go through the payload codec.
    """

    def __init__(self, *, encode_common_attributes: bool = False) -> None:
        super().__init__(encode_common_attributes=encode_common_attributes)
        # The default converter calls `to_failure` of the same object for each cause; all causes are
        # reportable after the first call.
        self._default = DefaultFailureConverter(encode_common_attributes=encode_common_attributes)

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Writes an error and the causes into a failure; details that cannot be sent are left out."""

        def encodes(details: Sequence[object]) -> bool:
            try:
                payload_converter.to_payloads(details)
            except Exception:  # noqa: BLE001 - a converter may raise anything
                return False
            return True

        try:
            self._default.to_failure(reportable(exception), payload_converter, failure)
        except Exception:  # noqa: BLE001 - details may be anything, and a converter may raise anything
            failure.Clear()
            self._default.to_failure(reportable(exception, encodes), payload_converter, failure)

    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:
        """Reads a failure; details that cannot be read are left out."""
        try:
            return super().from_failure(failure, payload_converter)
        except Exception:  # noqa: BLE001 - a converter may raise anything
            return super().from_failure(_without_details(failure), payload_converter)


class EncodedSagaFailureConverter(SagaFailureConverter):
    """Like `SagaFailureConverter`, with messages and stack traces that go through the payload codec."""

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)


def _without_details(failure: Failure) -> Failure:
    copy = Failure()
    copy.CopyFrom(failure)
    match copy.WhichOneof("failure_info"):
        case "application_failure_info":
            copy.application_failure_info.ClearField("details")
        case "canceled_failure_info":
            copy.canceled_failure_info.ClearField("details")
        case "timeout_failure_info":
            copy.timeout_failure_info.ClearField("last_heartbeat_details")
        case _:
            pass
    return copy
