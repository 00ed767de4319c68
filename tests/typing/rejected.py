"""What type checkers must reject: every line that is marked `no`, and no other."""

from temporalio import activity

from sagas import Operation, Saga, action

from .accepted import (
    RELEASE,
    RESERVE,
    Charge,
    Inventory,
    Order,
    Payment,
    PaymentSaga,
    Reservation,
    of_function,
    of_operation,
    release,
    reserve,
)

REFUND = Operation(name="refund", participant="payment", message=Payment, result=Charge)


@activity.defn
async def refund(payment: Payment) -> None: ...


@activity.defn
async def release_with_charge(order: Order, charge: Charge | None) -> None: ...


@activity.defn
async def release_without_doubt(order: Order, reservation: Reservation) -> None: ...


@activity.defn
async def three(order: Order, reservation: Reservation | None, more: str) -> None: ...


class Till:
    @activity.defn
    async def refund(self, payment: Payment) -> None: ...

    @activity.defn
    async def release(self, order: Order) -> None: ...


action(RESERVE).compensated_by(REFUND)  # no
action(RESERVE).compensated_by(refund)  # no
action(reserve).compensated_by(REFUND)  # no
action(reserve).compensated_by(refund)  # no
action(reserve).compensated_by(release_with_charge)  # no
action(reserve).compensated_by(release_without_doubt)  # no
action(reserve).compensated_by(three)  # no
action(Inventory.reserve).compensated_by(Till.refund)  # no
action(Inventory.reserve).compensated_by(Till.release)  # no
action(RESERVE).compensated_by()  # no
action(RESERVE).without_compensation()  # no
action(RESERVE, name="other")  # no
of_operation.name = "other"  # no


async def use(saga: Saga, order: Order, payment: Payment) -> None:
    await saga.step(of_operation, payment)  # no
    await saga.step(of_function, payment)  # no
    await saga.step(action(RESERVE), order)  # no
    await saga.step(RESERVE, order)  # no
    await saga.best_effort(of_operation, payment)  # no
    await saga.pivot(of_operation, order)  # no
    await saga.pivot(action(RESERVE), payment)  # no
    await saga.child(PaymentSaga.run, order, name="payment")  # no
    await saga.child(PaymentSaga.run, payment)  # no
    saga.after_compensation(of_operation, payment)  # no
    saga.step(of_operation, order)  # no
    wrong: Charge = await saga.step(of_operation, order)  # no
    right: Reservation = await saga.step(of_operation, order)
    print(wrong, right, release, RELEASE)
