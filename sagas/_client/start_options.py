"""The options of Temporal's `start_workflow` that `start_saga` takes, and the refusal of all others."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TypedDict, cast

from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes, VersioningOverride

from .._errors import StartError
from .._wire.activity_header import REJECTED_MEMO
from .._wire.child_saga import CHILD_MEMO, FOREIGN_WORK_MEMO, INDEPENDENT_MEMO
from .._wire.continued_state import CONTINUED_STATE_MEMO
from .._wire.operator_requests import FORGOTTEN_MEMO
from .._wire.search_attribute import SAGA_STATUS

RESERVED_MEMO_KEYS = frozenset(
    {
        REJECTED_MEMO,
        CHILD_MEMO,
        CONTINUED_STATE_MEMO,
        FOREIGN_WORK_MEMO,
        FORGOTTEN_MEMO,
        INDEPENDENT_MEMO,
        SAGA_STATUS.name,
    }
)
"""The memo keys in which sagas keep their own state."""

_ENDS_EARLY = "the timeout would end the saga without its compensations; give `Saga` a timeout instead"
_SAME_KEYS = "each run would repeat the idempotency keys of the first; start each saga with its own id"
_ONE_SAGA = "an id is one saga: `start_saga` finds the saga with this id, or refuses other content"
REFUSED_OPTIONS = {
    "execution_timeout": _ENDS_EARLY,
    "run_timeout": _ENDS_EARLY,
    "retry_policy": _SAME_KEYS,
    "cron_schedule": _SAME_KEYS,
    "id_reuse_policy": _ONE_SAGA,
    "id_conflict_policy": _ONE_SAGA,
}
"""Options of `start_workflow` that would break a saga, and the reason."""


class StartOptions(TypedDict, total=False):
    """The options passed on by `start_saga` to Temporal's `start_workflow`, under Temporal's names.

    Attributes:
        static_summary: A line for lists of workflows, in Markdown.
        static_details: A few lines for the page of the workflow, in Markdown.
        memo: Values shown with the workflow. The keys `saga-child`, `saga-continued-state`,
            `saga-foreign-work`, `saga-independent`, `saga-rejected-results` and `SagaStatus` are reserved.
        search_attributes: Attributes for finding the workflow. `SagaStatus` is reserved.
        start_delay: How long the server waits before the saga begins.
        priority: The priority of the workflow's tasks, with a fairness key.
        versioning_override: The worker deployment version that runs the workflow.
    """

    static_summary: str | None
    static_details: str | None
    memo: Mapping[str, object] | None
    search_attributes: TypedSearchAttributes | None
    start_delay: timedelta | None
    priority: Priority
    versioning_override: VersioningOverride | None


def check_start_options(saga_id: str, options: StartOptions) -> None:
    """Refuses options that would make a saga lose compensations or state.

    Raises:
        StartError: An option is refused, or contains a reserved memo key or search attribute.
        TypeError: `StartOptions` has no option of this name.
    """
    for name in options:
        if name in REFUSED_OPTIONS:
            raise StartError(f"saga {saga_id!r} cannot be started with {name!r}: {REFUSED_OPTIONS[name]}")
        if name not in StartOptions.__annotations__:
            raise TypeError(
                f"saga {saga_id!r} cannot be started with {name!r}: there is no such option; "
                f"the options are {', '.join(StartOptions.__annotations__)}"
            )
    for key in options.get("memo") or {}:
        if key in RESERVED_MEMO_KEYS:
            raise StartError(
                f"saga {saga_id!r} cannot be started with the memo key {key!r}, which is reserved; "
                "choose another key"
            )
    # The values may be of any type; only the names are read.
    attributes = cast("Iterable[SearchAttributePair[str]]", options.get("search_attributes") or ())
    if any(pair.key.name == SAGA_STATUS.name for pair in attributes):
        raise StartError(
            f"saga {saga_id!r} cannot be started with the search attribute {SAGA_STATUS.name!r}, which is "
            "reserved; choose another attribute"
        )
