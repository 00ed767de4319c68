"""Partial fulfilment: each package is a saga with its own pivot; the order ships what can be shipped."""

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from examples.patterns.operations import Receipt, operation, step
    from sagas import Completed, RejectedError, Saga, action


class Package(BaseModel):
    """A package of an order."""

    id: str


pick = step("pick-goods", "put-back-goods", Package)
label = step("print-label", "void-label", Package)
hand_over = action(operation("hand-over-package", Package))


@workflow.defn
class PackageSaga:
    """Ships one package, or leaves no effect of the package."""

    @workflow.run
    async def run(self, package: Package) -> Receipt:
        """Picks the goods and hands the package over."""
        async with Saga() as saga:
            await saga.step(pick, package)
            await saga.step(label, package)
            return await saga.pivot(hand_over, package)


@workflow.defn
class ShippingSaga:
    """Ships the packages of an order; a package that cannot be shipped fails no other package."""

    @workflow.run
    async def run(self, packages: list[Package]) -> list[str]:
        """Returns the ids of the shipped packages."""
        async with Saga() as saga:
            outcomes = await saga.parallel(
                *(saga.independent(PackageSaga.run, each, name=f"package-{each.id}") for each in packages)
            )
            ends = zip(packages, outcomes, strict=True)
            shipped = [package.id for package, outcome in ends if isinstance(outcome, Completed)]
            if not shipped:
                raise RejectedError("nothing_shipped", "no package can be shipped")
        return shipped
