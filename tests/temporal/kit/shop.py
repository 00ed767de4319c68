"""The order saga of the kit's tests: a step, a child, an event, an approval, a fan-out and a pivot."""

from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy

from sagas import ActivityOptions, Operation, ProbeResult, Saga, action

TWICE = ActivityOptions(retry_policy=RetryPolicy(maximum_attempts=2))


class Order(BaseModel):
    """An order."""

    order_id: str = "o-1"
    parcels: int = 0
    needs_approval: bool = False
    needs_clearance: bool = False
    is_paid_by_child: bool = False


class Receipt(BaseModel):
    """The answer of every participant."""

    number: str
    amount: int = 0


class Clearance(BaseModel):
    """The customs have cleared the order."""

    office: str


def operation(name: str) -> Operation[Order, Receipt]:
    """An operation of the warehouse."""
    return Operation(name=name, participant="warehouse", message=Order, result=Receipt)


FIND_CHARGE = Operation(name="find-charge", participant="bank", message=Order, result=ProbeResult[Receipt])

reserve = action(operation("reserve-stock"), options=TWICE).compensated_by(
    operation("release-stock"), options=TWICE
)
pack = action(operation("pack-parcel")).compensated_by(operation("unpack-parcel"))
charge = action(operation("charge-card"), options=TWICE, probe=FIND_CHARGE).compensated_by(
    operation("refund-card")
)
capture = action(operation("capture-payment")).compensated_by(operation("return-payment"))
ship = action(operation("ship-order"))
quote = action(operation("quote-price")).read_only()


@workflow.defn
class PaymentSaga:
    """Captures a payment."""

    @workflow.run
    async def run(self, order: Order) -> Receipt:
        async with Saga() as saga:
            return await saga.step(capture, order)


@workflow.defn
class OrderSaga:
    """Ships an order."""

    @workflow.run
    async def run(self, order: Order) -> Receipt:
        async with Saga() as saga:
            cleared = saga.expect("customs-cleared", Clearance)
            await saga.step(reserve, order)
            await saga.parallel(*(saga.step(pack, order) for _ in range(order.parcels)))
            if order.needs_clearance:
                await saga.wait_for(cleared, timeout=timedelta(days=30))
            if order.needs_approval:
                await saga.approval("large-order", role="manager", timeout=timedelta(days=2))
            if order.is_paid_by_child:
                await saga.child(PaymentSaga.run, order, name="payment")
            else:
                await saga.step(charge, order)
            return await saga.pivot(ship, order)


@workflow.defn
class QuoteSaga:
    """Quotes a price, and ships the order: the quote has no effect."""

    @workflow.run
    async def run(self, order: Order) -> Receipt:
        async with Saga() as saga:
            await saga.step(quote, order)
            return await saga.pivot(ship, order)


@workflow.defn
class BrokenSaga:
    """A workflow with a bug before the first step."""

    @workflow.run
    async def run(self, order: Order) -> Receipt:
        known = {"o-2": order}[order.order_id]
        async with Saga() as saga:
            return await saga.step(reserve, known)


@workflow.defn
class ChangingSaga:
    """A saga that executes other steps when it is replayed."""

    @workflow.run
    async def run(self, order: Order) -> Receipt:
        async with Saga() as saga:
            return await saga.step(charge if workflow.unsafe.is_replaying() else reserve, order)
