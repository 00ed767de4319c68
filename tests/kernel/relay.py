"""A saga that continues as new."""

from datetime import timedelta

from temporalio import workflow

from sagas import Saga


@workflow.defn
class RelaySaga:
    """Runs its laps one by one, each in a run of its own."""

    @workflow.run
    async def run(self, laps: int) -> int:
        async with Saga() as saga:
            await workflow.sleep(timedelta(milliseconds=50))
            if laps > 1:
                await saga.continue_as_new(laps - 1)
        return laps
