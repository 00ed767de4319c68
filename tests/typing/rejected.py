"""Wrong code for type checkers to reject: every line marked with `no`, and no other line."""

from datetime import timedelta
from typing import assert_never

from temporalio import activity
from temporalio.client import Client
from temporalio.common import Priority, RetryPolicy

from activities import Progress
from sagas import (
    ActivityOptions,
    CompensationOrder,
    DataAccess,
    ExpectedEvent,
    OnFailure,
    Operation,
    ProbeResult,
    Saga,
    SagaPlugin,
    action,
    start_saga,
)
from sagas._client.saga_handle import SagaHandle
from sagas._client.start import execute_saga
from sagas._core.saga_outcome import Compensated, Completed, CutOff, SagaOutcome, Settled
from sagas.operator import OperatorRequest, SagaClient

from .accepted import (
    FIND,
    RELEASE,
    RESERVE,
    Charge,
    Inventory,
    Order,
    OrderSaga,
    Payment,
    PaymentSaga,
    Reservation,
    find,
    find_sync,
    of_function,
    of_operation,
    probed_operation,
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


FIND_CHARGE = Operation(
    name="find-charge", participant="payment", message=Payment, result=ProbeResult[Charge]
)
FIND_NOTHING = Operation(name="find-nothing", participant="inventory", message=Order, result=Reservation)
FIND_OTHER = Operation(name="find-other", participant="inventory", message=Order, result=ProbeResult[Charge])


@activity.defn
async def find_payment(payment: Payment) -> ProbeResult[Reservation]:
    raise NotImplementedError


@activity.defn
async def find_charge(order: Order) -> ProbeResult[Charge]:
    raise NotImplementedError


@activity.defn
async def find_nothing(order: Order) -> Reservation:
    raise NotImplementedError


@activity.defn
async def find_knowing(order: Order, reservation: Reservation) -> ProbeResult[Reservation]:
    raise NotImplementedError


class Till:
    @activity.defn
    async def find_charge(self, order: Order) -> ProbeResult[Charge]:
        raise NotImplementedError

    @activity.defn
    async def refund(self, payment: Payment) -> None: ...

    @activity.defn
    async def release(self, order: Order) -> None: ...


action(RESERVE).compensated_by(REFUND)  # no
action(reserve).confirmed_by(refund)  # no
action(reserve).confirmed_by(release).read_only()  # no
action(reserve).confirmed_by(release).compensated_by(refund)  # no
action(RESERVE).compensated_by(refund)  # no
action(reserve).compensated_by(REFUND)  # no
action(reserve).compensated_by(refund)  # no
action(reserve).compensated_by(release_with_charge)  # no
action(reserve).compensated_by(release_without_doubt)  # no
action(reserve).compensated_by(three)  # no
action(Inventory.reserve).compensated_by(Till.refund)  # no
action(Inventory.reserve).compensated_by(Till.release)  # no
action(Inventory.reserve).compensated_by(refund)  # no
action(Inventory.reserve).compensated_by(REFUND)  # no
action(Inventory.reserve).compensated_by(release_with_charge)  # no
action(RESERVE).compensated_by()  # no
action(RESERVE).read_only("it reads")  # no
action(RESERVE).irreversible().compensated_by(RELEASE)  # no
action(RESERVE).read_only().compensated_by(RELEASE)  # no
action(RESERVE, name="other")  # no
of_operation.name = "other"  # no
action(RESERVE, probe=RELEASE)  # no
action(RESERVE, probe=FIND_CHARGE)  # no
action(RESERVE, probe=FIND_NOTHING)  # no
action(RESERVE, probe=FIND_OTHER)  # no
action(RESERVE, probe=find)  # no
action(RESERVE, rejections=frozenset({"sold_out"}))  # no
action(reserve, probe=FIND)  # no
action(reserve, probe=find_charge)  # no
action(reserve, probe=find_nothing)  # no
action(reserve, probe=find_knowing)  # no
action(reserve, probe=find_sync)  # no
action(reserve, probe=Inventory.find)  # no
action(Inventory.reserve, probe=find)  # no
action(Inventory.reserve, probe=Till.find_charge)  # no
action(Inventory.reserve, probe=Inventory.reserve)  # no
action(RESERVE, options=ActivityOptions(task_queue=7))  # no
action(RESERVE, options=3)  # no
action(RESERVE, data=DataAccess(reads=7))  # no
action(RESERVE, data={"stock"})  # no
DataAccess(reads=["stock"])  # no
DataAccess(reads="stock")  # no
DataAccess(writes={7})  # no
action(RESERVE).compensated_by(RELEASE, options=3)  # no
action(RESERVE).compensated_by(RELEASE, options=ActivityOptions(task_queue=7))  # no
action(RESERVE).compensated_by(RELEASE, probe=FIND)  # no
action(Inventory.reserve).compensated_by(Inventory.release, options=ActivityOptions(task_queue=7))  # no
ActivityOptions(schedule_to_close_timeout=30)  # no
ActivityOptions(start_to_close_timeout=30)  # no
ActivityOptions(heartbeat_timeout=30)  # no
ActivityOptions(priority=Priority(priority_key="high"))  # no
ActivityOptions(retry_policy=RetryPolicy(maximum_attempts=None))  # no
ActivityOptions(timedelta(seconds=3))  # no
ActivityOptions(priority=1)  # no
ActivityOptions(retry_policy=3)  # no
ActivityOptions(start_to_close_timeout=None)  # no
ActivityOptions(maximum_attempts=3)  # no
ActivityOptions().heartbeat_timeout = timedelta(seconds=3)  # no
action(RESERVE, task_queue="inventory")  # no
action(reserve, rejections=["SoldOut"])  # no
action(reserve, rejections="SoldOut")  # no
ProbeResult(outcome="lost")  # no
Saga(order="parallel")  # no
Saga(scope=CompensationOrder.PARALLEL)  # no
Saga(timeout=30)  # no
Saga(CompensationOrder.PARALLEL)  # no


async def use(saga: Saga, order: Order, payment: Payment) -> None:
    await saga.step(of_operation, payment)  # no
    await saga.step(of_function, payment)  # no
    await saga.step(action(RESERVE), payment)  # no
    await saga.step(action(Inventory.reserve), payment)  # no
    await saga.step(RESERVE, order)  # no
    await saga.best_effort(of_operation, payment)  # no
    await saga.best_effort(action(RESERVE), payment)  # no
    await saga.best_effort(RESERVE, order)  # no
    await saga.pivot(of_operation, order)  # no
    await saga.pivot(action(RESERVE).read_only(), order)  # no
    await saga.pivot(action(RESERVE).irreversible(), payment)  # no
    await saga.pivot(action(RESERVE), payment)  # no
    await saga.child(PaymentSaga.run, order, name="payment")  # no
    await saga.child(PaymentSaga.run, payment)  # no
    saga.after_compensation(of_operation, payment)  # no
    saga.after_compensation(action(RESERVE), payment)  # no
    saga.after_compensation(RESERVE, order)  # no
    saga.step(of_operation, order)  # no
    wrong: Charge = await saga.step(of_operation, order)  # no
    right: Reservation = await saga.step(of_operation, order)
    print(wrong, right, release, RELEASE)


async def use_more(saga: Saga, order: Order, payment: Payment, expected: ExpectedEvent[Payment]) -> None:
    await saga.parallel(await saga.step(of_operation, order))  # no
    await saga.parallel(saga.step(of_operation, order), await saga.step(of_operation, order))  # no
    await saga.parallel(saga.step, of_operation)  # no
    await saga.parallel([saga.step(of_operation, order)])  # no
    await saga.parallel(saga.step(of_operation, payment))  # no
    await saga.parallel(saga.step(of_operation, order), on_failure="cancel")  # no
    await saga.parallel(saga.step(of_operation, order), OnFailure.CANCEL)  # no
    saga.parallel(saga.step(of_operation, order))  # no
    _, _ = await saga.parallel(saga.step(of_operation, order))  # no
    await saga.parallel(saga.step(of_operation, order), limit="2")  # no
    await saga.step(of_operation, order, key=7)  # no
    await saga.step(of_operation, order, "7a")  # no
    await saga.best_effort(of_operation, order, key=7)  # no
    await saga.map(of_operation, [order])  # no
    await saga.map(of_operation, [payment], key=lambda each: each.id)  # no
    await saga.map(of_operation, order, key=lambda each: each.id)  # no
    await saga.map(of_operation, [order], key="id")  # no
    await saga.map(of_operation, [order], key=len)  # no
    await saga.map(of_operation, [order], key=str, limit="2")  # no
    await saga.map(RESERVE, [order], key=str)  # no
    saga.expect("payment-cleared")  # no
    saga.expect("payment-cleared", payment)  # no
    saga.expect("payment-cleared", message=Payment)  # no
    await saga.wait_for("payment-cleared")  # no
    await saga.wait_for(Payment)  # no
    await saga.wait_for(expected, timeout=30)  # no
    not_an_order: Order = await saga.wait_for(expected)  # no
    other: ExpectedEvent[Order] = expected  # no
    await saga.approval("large-order")  # no
    await saga.approval("large-order", "manager")  # no
    await saga.approval("large-order", role="manager", timeout=30)  # no
    approved: bool = await saga.approval("large-order", role="manager")  # no
    await saga.pivot_child(PaymentSaga.run, order, name="payment")  # no
    await saga.pivot_child(PaymentSaga.run, payment)  # no
    await saga.pivot_child(of_operation, order, name="payment")  # no
    not_a_charge: Order = await saga.pivot_child(PaymentSaga.run, payment, name="payment")  # no
    await saga.independent(PaymentSaga.run, order, name="payment")  # no
    await saga.independent(PaymentSaga.run, payment)  # no
    charge: Charge = await saga.independent(PaymentSaga.run, payment, name="payment")  # no
    await saga.pivot(probed_operation, payment)  # no
    await saga.step(probed_operation, payment)  # no
    # mypy refuses a probe for another message at the use of the step, and pyright at the declaration.
    await saga.pivot(action(reserve, probe=find_payment), order)  # no
    print(not_an_order, other, approved, not_a_charge, charge)


async def go_on(saga: Saga) -> None:
    await saga.continue_as_new()  # no


async def come_back(saga: Saga, order: Order) -> Order:
    await saga.continue_as_new(order, Order)  # no


async def forget_to_wait(saga: Saga, order: Order) -> None:
    saga.continue_as_new(order)  # no


async def from_outside(client: Client, order: Order, payment: Payment) -> None:
    await start_saga(client, OrderSaga.run, payment, id="order-7", task_queue="orders")  # no
    await start_saga(client, OrderSaga.run, order, "order-7", task_queue="orders")  # no
    await start_saga(client, OrderSaga.run, order, id="order-7")  # no
    await start_saga(client, "OrderSaga", order, id="order-7", task_queue="orders")  # no
    handle = await start_saga(client, OrderSaga.run, order, id="order-7", task_queue="orders")
    not_a_charge: Order = await handle.result()  # no
    outcome: Completed[Charge] = await handle.outcome()  # no
    of_an_order: SagaHandle[Order] = handle  # no
    print((await handle.outcome()).result)  # no
    SagaHandle.for_id(client, "order-7", Order)  # no
    SagaHandle.for_id(client, "order-7", run=OrderSaga.run)  # no
    print(outcome, of_an_order)
    operator = SagaClient(client)
    SagaClient(client, 5)  # no
    await operator.list("stuck")  # no
    await operator.hold("order-7", by="mia")  # no
    await operator.hold("order-7", "mia", "x")  # no
    await operator.hold("order-7", by="mia", because="x", roles=["manager"])  # no
    await operator.skip("order-7", by="mia", because="x")  # no
    story: str = await operator.show("order-7")  # no
    print(not_a_charge, story)


async def with_options(client: Client, order: Order) -> None:
    week, seven = timedelta(weeks=1), "7"
    await start_saga(client, OrderSaga.run, order, id="7", task_queue="orders", run_timeout=week)  # no
    await start_saga(client, OrderSaga.run, order, id="7", task_queue="orders", execution_timeout=week)  # no
    await start_saga(client, OrderSaga.run, order, id="7", task_queue="orders", cron_schedule="@daily")  # no
    await start_saga(client, OrderSaga.run, order, id="7", task_queue="orders", summary=seven)  # no
    await start_saga(client, OrderSaga.run, order, id="7", task_queue="orders", start_delay=7)  # no
    await execute_saga(client, OrderSaga.run, order, id="7", task_queue="orders", priority=7)  # no
    await execute_saga(client, OrderSaga.run, order, id="7", task_queue="orders", memo=[seven])  # no
    number: int = await execute_saga(client, OrderSaga.run, order, id="7", task_queue="orders")  # no
    print(number)


def outcomes(charge: Charge) -> None:
    Completed()  # no
    Completed(charge, ())  # no
    Compensated()  # no
    Compensated("card_declined", "there is no money")  # no
    Settled(charge)  # no
    Settled(charge, "", "skipped")  # no
    CutOff("terminated")  # no
    CutOff(how="forgotten")  # no


def forgotten(outcome: SagaOutcome[Charge]) -> str:
    match outcome:
        case Completed(charge):
            return charge.id
        case Compensated(code) | Settled(code=code):
            return code
        case _:
            assert_never(outcome)  # no


def by_position(outcome: SagaOutcome[Charge]) -> str:
    match outcome:
        case Compensated(code, reason):  # no
            return f"{code}: {reason}"
        case CutOff(_):  # no
            return "terminated"
        case _:
            return ""


def is_manager(verb: str, note: OperatorRequest) -> bool:
    return "manager" in note.roles


def without_request(verb: str) -> str | None:
    return verb


def plugged_in() -> None:
    SagaPlugin(authorize=is_manager)  # no
    SagaPlugin(authorize=without_request)  # no


def saved() -> None:
    Progress()  # no
    progress = Progress(0)
    progress.save("1")  # no
    position: str = progress.value  # no
    print(position)
