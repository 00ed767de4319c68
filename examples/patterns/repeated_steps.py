"""Repeated steps: a step runs once per container, and one execution is compensated by its address."""

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from examples.patterns.operations import operation, step
    from sagas import RejectedError, Saga, action


class Container(BaseModel):
    """A container of a ship."""

    number: int


load = step("load-container", "unload-container", Container)
weigh = action(operation("weigh-container", Container)).read_only()
sail = action(operation("sail-ship", Container))


@workflow.defn
class LoadingSaga:
    """Loads containers; a container that is too heavy leaves the ship, and the ship sails."""

    @workflow.run
    async def run(self, count: int) -> list[int]:
        """Loads `count` containers, and returns the numbers of the containers on board."""
        on_board: list[int] = []
        async with Saga() as saga:
            for number in range(1, count + 1):
                container = Container(number=number)
                await saga.step(load, container)
                try:
                    await saga.step(weigh, container)
                    on_board.append(number)
                except RejectedError:
                    await saga.compensate_step(load.name if number == 1 else f"{load.name}#{number}")
            await saga.pivot(sail, Container(number=len(on_board)))
        return on_board
