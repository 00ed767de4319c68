"""What type checkers must accept: the shape of a saga, with the types that it has."""

from typing import assert_type

from pydantic import BaseModel
from temporalio import activity, workflow

from sagas import Action, Operation, Saga, Step, action


class Order(BaseModel):
    """Asked."""

    id: str


class Payment(BaseModel):
    """Asked of another participant."""

    id: str


class Reservation(BaseModel):
    """Answered."""

    id: str


class Charge(BaseModel):
    """Answered by another participant."""

    id: str


@activity.defn
async def reserve(order: Order) -> Reservation:
    return Reservation(id=order.id)


@activity.defn
async def release(order: Order) -> None: ...


@activity.defn
async def release_knowing(order: Order, reservation: Reservation | None) -> None: ...


@activity.defn
def reserve_sync(order: Order) -> Reservation:
    return Reservation(id=order.id)


@activity.defn
def release_sync(order: Order) -> None: ...


class Inventory:
    @activity.defn
    async def reserve(self, order: Order) -> Reservation:
        return Reservation(id=order.id)

    @activity.defn
    async def release(self, order: Order) -> None: ...

    @activity.defn
    async def release_knowing(self, order: Order, reservation: Reservation | None) -> None: ...


RESERVE = Operation(name="reserve", participant="inventory", message=Order, result=Reservation)
RELEASE = Operation(name="release", participant="inventory", message=Order, result=Reservation)

of_operation = action(RESERVE).compensated_by(RELEASE)
of_function = action(reserve).compensated_by(release)
of_function_knowing = action(reserve).compensated_by(release_knowing)
of_sync_function = action(reserve_sync).compensated_by(release_sync)
of_method = action(Inventory.reserve).compensated_by(Inventory.release)
of_method_knowing = action(Inventory.reserve).compensated_by(Inventory.release_knowing)
mixed = action(reserve).compensated_by(RELEASE)
bare = action(RESERVE).without_compensation(because="it holds nothing")

assert_type(action(RESERVE), Action[Order, Reservation])
assert_type(of_operation, Step[Order, Reservation])
assert_type(of_function, Step[Order, Reservation])
assert_type(of_function_knowing, Step[Order, Reservation])
assert_type(of_sync_function, Step[Order, Reservation])
assert_type(of_method, Step[Order, Reservation])
assert_type(of_method_knowing, Step[Order, Reservation])
assert_type(mixed, Step[Order, Reservation])
assert_type(bare, Step[Order, Reservation])


@workflow.defn
class PaymentSaga:
    @workflow.run
    async def run(self, payment: Payment) -> Charge:
        return Charge(id=payment.id)


@workflow.defn
class OrderSaga:
    @workflow.run
    async def run(self, order: Order) -> Charge:
        async with Saga() as saga:
            assert_type(await saga.step(of_operation, order), Reservation)
            assert_type(await saga.best_effort(bare, order), Reservation | None)
            assert_type(await saga.pivot(action(RESERVE), order), Reservation)
            assert_type(await saga.pivot(action(Inventory.reserve), order), Reservation)
            saga.after_compensation(bare, order)
            charge = await saga.child(PaymentSaga.run, Payment(id=order.id), name="payment")
        # Assigned, whatever happened: the block swallows nothing.
        assert_type(charge, Charge)
        return charge
