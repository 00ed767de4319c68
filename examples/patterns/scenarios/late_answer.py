"""The scenarios of the late answer."""

from temporalio.client import Client

from examples.patterns.late_answer import DeliverySaga, Parcel, courier, express, hand_over, post
from sagas import Compensated, Completed
from sagas.testing import SagaRun, blocks, open_saga, rejects, run_saga

PARCEL = Parcel(id="7")


async def first_carrier_answers_late(client: Client) -> SagaRun:
    """The express service answers after the courier has the parcel: the late booking is cancelled."""
    async with open_saga(DeliverySaga.run, PARCEL, client=client, steps={express: blocks()}) as saga:
        await saga.until_called(express)
        await saga.until_called(hand_over)
        saga.release(express)
        run = await saga.finish()
    run.assert_outcome(Completed)
    run.assert_trace("book-express", "book-courier", "hand-over-parcel", "compensate book-express")
    run.assert_remaining_effects("book-courier", "hand-over-parcel")
    return run


async def two_carriers_refuse(client: Client) -> SagaRun:
    """After two refusals the post delivers, at once: no time has to pass."""
    steps = {express: rejects("too_heavy"), courier: rejects("too_heavy")}
    run = await run_saga(DeliverySaga.run, PARCEL, client=client, steps=steps)
    run.assert_outcome(Completed)
    run.assert_trace("book-express rejected", "book-courier rejected", "book-post", "hand-over-parcel")
    return run


async def no_carrier(client: Client) -> SagaRun:
    """All carriers refuse: the first refusal is the reason, and no effect remains."""
    steps = {express: rejects("too_heavy"), courier: rejects("no_driver"), post: rejects("no_stamp")}
    run = await run_saga(DeliverySaga.run, PARCEL, client=client, steps=steps)
    run.assert_outcome(Compensated, code="too_heavy")
    run.assert_remaining_effects()
    return run
