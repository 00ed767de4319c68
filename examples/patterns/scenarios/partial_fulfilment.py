"""The scenarios of the partial fulfilment."""

from temporalio.client import Client

from examples.patterns.partial_fulfilment import Package, PackageSaga, ShippingSaga, hand_over
from sagas import Compensated, Completed
from sagas.testing import RunOptions, SagaRun, rejects, run_saga

PACKAGES = [Package(id="1"), Package(id="2")]
OPTIONS = RunOptions(workflows=[PackageSaga])


async def one_package_is_refused(client: Client) -> SagaRun:
    """The carrier refuses one of two packages: the other package is shipped, and the order completes."""
    run = await run_saga(
        ShippingSaga.run,
        PACKAGES,
        client=client,
        steps={"package-2:hand-over-package": rejects("too_heavy")},
        options=OPTIONS,
    )
    run.assert_outcome(Completed, result=["1"])
    run.assert_remaining_effects(
        "package-1:pick-goods", "package-1:print-label", "package-1:hand-over-package"
    )
    return run


async def all_packages_are_refused(client: Client) -> SagaRun:
    """The carrier refuses every package: each package is compensated, and the order fails."""
    run = await run_saga(
        ShippingSaga.run, PACKAGES, client=client, steps={hand_over: rejects("too_heavy")}, options=OPTIONS
    )
    run.assert_outcome(Compensated, code="nothing_shipped")
    run.assert_remaining_effects()
    return run
