"""`start_saga` refuses options before sending a request."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.common import (
    RetryPolicy,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)

from sagas import StartError, start_saga
from sagas._client.start_options import StartOptions, check_start_options
from tests.temporal.fixtures.trip_plan import TripPlan
from tests.temporal.fixtures.trip_saga import TripSaga


async def refusal(error: type[Exception], **options: Any) -> str:
    """The message of the refusal, from a client without a server."""
    nowhere = await Client.connect("localhost:1", lazy=True)
    with pytest.raises(error) as refused:
        await start_saga(
            nowhere, TripSaga.run, TripPlan(do=("hotel",)), id="trip-1", task_queue="trips", **options
        )
    return str(refused.value)


@pytest.mark.parametrize("key", ["saga-child", "saga-continued-state", "saga-foreign-work", "SagaStatus"])
async def test_reserved_memo_key_is_refused_by_name(key: str) -> None:
    """The saga would take the memo for the memo of a child or of a later run."""
    said = await refusal(StartError, memo={"basket": 1, key: 2})

    assert said == (
        f"saga 'trip-1' cannot be started with the memo key {key!r}, which is reserved; choose another key"
    )


@pytest.mark.parametrize(
    "key", [SearchAttributeKey.for_keyword("SagaStatus"), SearchAttributeKey.for_text("SagaStatus")]
)
async def test_reserved_search_attribute_is_refused_by_name(key: SearchAttributeKey[str]) -> None:
    """A key of any type is refused."""
    said = await refusal(
        StartError, search_attributes=TypedSearchAttributes([SearchAttributePair(key, "stuck")])
    )

    assert "the search attribute 'SagaStatus', which is reserved" in said


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"run_timeout": timedelta(hours=1)}, "would end the saga without its compensations"),
        ({"execution_timeout": timedelta(hours=1)}, "would end the saga without its compensations"),
        ({"retry_policy": RetryPolicy()}, "would repeat the idempotency keys"),
        ({"cron_schedule": "@daily"}, "would repeat the idempotency keys"),
        ({"id_reuse_policy": WorkflowIDReusePolicy.ALLOW_DUPLICATE}, "an id is one saga"),
    ],
    ids=str,
)
async def test_option_that_would_break_a_saga_is_refused_with_the_reason(
    options: Mapping[str, object], reason: str
) -> None:
    """Type checkers refuse these options as well."""
    (name,) = options

    said = await refusal(StartError, **options)

    assert said.startswith(f"saga 'trip-1' cannot be started with {name!r}: ")
    assert reason in said


async def test_unknown_option_is_refused_with_a_list_of_options() -> None:
    """The message lists the options, so a misspelt option does not pass silently."""
    said = await refusal(TypeError, summary="a trip")

    assert "'summary': there is no such option; the options are static_summary, static_details, memo" in said


def test_ordinary_options_are_accepted() -> None:
    """Memo keys and search attributes of users, and None."""
    attributes = TypedSearchAttributes(
        [SearchAttributePair(SearchAttributeKey.for_keyword("Customer"), "ada")]
    )
    check_start_options("trip-1", StartOptions())
    check_start_options("trip-1", StartOptions(memo=None, search_attributes=None))
    check_start_options("trip-1", StartOptions(memo={"sagas": 1}, search_attributes=attributes))
