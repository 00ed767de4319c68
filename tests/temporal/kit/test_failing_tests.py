"""A test that must fail does fail, soon, and the error gives the reason."""

from datetime import timedelta
from typing import Annotated

import pytest
from pydantic import BaseModel, StringConstraints
from temporalio import workflow
from temporalio.client import Client
from temporalio.workflow import NondeterminismError

from sagas import Compensated, Completed, DefinitionError, Operation, Saga, SagaPlugin, action
from sagas.testing import (
    RunOptions,
    SagaTestError,
    answers,
    approves,
    before,
    blocks,
    cancels,
    fails,
    open_saga,
    rejects,
    run_saga,
)

from .shop import BrokenSaga, ChangingSaga, Order, OrderSaga, Receipt, charge, ship


class Code(BaseModel):
    """An answer with a rule that no sample keeps."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}-[0-9]{4}$")]


issue = action(Operation(name="issue-code", participant="codes", message=Order, result=Code)).compensated_by(
    Operation(name="revoke-code", participant="codes", message=Order, result=Code)
)


@workflow.defn
class CodeSaga:
    """Issues a code."""

    @workflow.run
    async def run(self, order: Order) -> Code:
        async with Saga() as saga:
            return await saga.step(issue, order)


async def test_bug_of_the_workflow_fails_the_test_at_once(saga_client: Client) -> None:
    """Temporal would repeat the workflow task for ever."""
    with pytest.raises(SagaTestError, match=r"the workflow code of 'test-.*' fails: 'o-1'"):
        await run_saga(BrokenSaga.run, Order(), client=saga_client)


async def test_replay_with_other_commands_fails_the_test(saga_client: Client) -> None:
    """The history has another step."""
    with pytest.raises(NondeterminismError):
        await run_saga(ChangingSaga.run, Order(), client=saga_client)


async def test_replay_is_optional(saga_client: Client) -> None:
    """A test of the test may leave the replay out."""
    run = await run_saga(ChangingSaga.run, Order(), client=saga_client, options=RunOptions(replays=False))

    run.assert_outcome(Completed)


async def test_script_without_a_call_fails_the_test(saga_client: Client) -> None:
    """The script would test nothing, for example because of a wrong name."""
    steps = {charge: rejects("card_declined"), ship: fails()}
    with pytest.raises(SagaTestError, match="ended without the script of ship-order"):
        await run_saga(OrderSaga.run, Order(), client=saga_client, steps=steps)


async def test_input_whose_moment_does_not_come_fails_the_test(saga_client: Client) -> None:
    """The approval is not needed, and no step of the name is called."""
    inputs = [approves("large-order", role="manager"), cancels(before("no-step"))]
    with pytest.raises(SagaTestError, match=r"decision about 'large-order'.*cancel before no-step"):
        await run_saga(OrderSaga.run, Order(), client=saga_client, inputs=inputs)


async def test_decision_with_the_wrong_role_fails_the_test(saga_client: Client) -> None:
    """The refusal of the saga is the error of the test."""
    with pytest.raises(Exception, match="takes the role 'manager'"):
        await run_saga(
            OrderSaga.run,
            Order(needs_approval=True),
            client=saga_client,
            inputs=[approves("large-order", role="clerk")],
        )


async def test_result_type_without_a_sample_fails_the_test_with_advice(saga_client: Client) -> None:
    """The kit does not guess a text for a pattern."""
    with pytest.raises(SagaTestError, match=r"cannot answer activity 'issue-code'.*script the step"):
        await run_saga(CodeSaga.run, Order(), client=saga_client)

    run = await run_saga(
        CodeSaga.run, Order(), client=saga_client, steps={issue: answers(Code(code="ABC-1234"))}
    )
    run.assert_outcome(Completed, result=Code(code="ABC-1234"))


async def test_wait_without_an_end_fails_with_the_timeline(saga_client: Client) -> None:
    """The error shows where the saga stands."""
    options = RunOptions(timeout=timedelta(milliseconds=500))
    steps = {charge: blocks()}
    with pytest.raises(SagaTestError, match=r"not over within 0.5 s:[\s\S]*charge-card"):
        await run_saga(OrderSaga.run, Order(), client=saga_client, steps=steps, options=options)


async def test_status_that_never_comes_fails_when_the_saga_ends(saga_client: Client) -> None:
    """The wait does not last until the timeout."""
    async with open_saga(OrderSaga.run, Order(), client=saga_client) as saga:
        with pytest.raises(SagaTestError, match="has ended before"):
            await saga.until("stuck")


async def test_wrong_assertions_fail_and_show_the_saga(saga_client: Client) -> None:
    """Each assertion tells the difference, and shows the timeline."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client)

    with pytest.raises(SagaTestError, match=r"the outcome is Completed[\s\S]*COMPLETED"):
        run.assert_outcome(Compensated, code="card_declined")
    with pytest.raises(SagaTestError, match="the outcome is Completed"):
        run.assert_outcome(Completed, result=Receipt(number="other"))
    with pytest.raises(SagaTestError, match=r"- charge-card rejected\n[\s\S]*\+ charge-card"):
        run.assert_trace("reserve-stock", "charge-card rejected", "ship-order")
    with pytest.raises(SagaTestError, match="the remaining effects are"):
        run.assert_remaining_effects("reserve-stock")
    with pytest.raises(TypeError, match="Completed has no field cod"):
        run.assert_outcome(Completed, cod="x")


async def test_malformed_script_is_refused_before_the_start(saga_client: Client) -> None:
    """A list needs a response."""
    with pytest.raises(DefinitionError, match="the script of charge-card must be a response"):
        await run_saga(OrderSaga.run, Order(), client=saga_client, steps={charge: []})


async def test_server_that_does_not_skip_time_is_named(temporal_program: str) -> None:
    """The error names the flag of the server, and the option of the test."""
    from ..conftest import running_server

    async with running_server(temporal_program, ["--search-attribute", "SagaStatus=Keyword"]) as address:
        client = await Client.connect(address, plugins=[SagaPlugin()])
        with pytest.raises(
            SagaTestError, match=r"frontend.WorkflowTimeSkippingEnabled=true.*skips_time=False"
        ):
            await run_saga(OrderSaga.run, Order(), client=client)
        run = await run_saga(OrderSaga.run, Order(), client=client, options=RunOptions(skips_time=False))

    run.assert_outcome(Completed)
