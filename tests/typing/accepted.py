"""Correct code for type checkers to accept: the shape of a saga, with all types."""

from dataclasses import replace
from datetime import timedelta
from typing import NoReturn, Unpack, assert_type

from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.common import Priority, RetryPolicy, TypedSearchAttributes

from activities import Progress
from sagas import (
    Action,
    ActivityOptions,
    ApprovalDecision,
    CompensationOrder,
    CompensationScope,
    ConfirmableAction,
    DataAccess,
    ExpectedEvent,
    IrreversibleStep,
    OnFailure,
    Operation,
    ProbeResult,
    Saga,
    SagaPlugin,
    Step,
    action,
    start_saga,
)
from sagas._client.saga_handle import SagaHandle
from sagas._client.start import execute_saga
from sagas._client.start_options import StartOptions
from sagas._core.saga_outcome import Compensated, Completed, CutOff, SagaOutcome, Settled
from sagas.operator import OperatorRequest, Preview, Rescue, SagaClient, SagaSummary, Timeline


class Order(BaseModel):
    """The message of a participant."""

    id: str


class Payment(BaseModel):
    """The message of another participant."""

    id: str


class Reservation(BaseModel):
    """The result of a participant."""

    id: str


class Charge(BaseModel):
    """The result of another participant."""

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


@activity.defn
async def find(order: Order) -> ProbeResult[Reservation]:
    return ProbeResult(outcome="done", result=Reservation(id=order.id))


@activity.defn
def find_sync(order: Order) -> ProbeResult[Reservation]:
    return ProbeResult(outcome="unknown")


class Inventory:
    @activity.defn
    async def reserve(self, order: Order) -> Reservation:
        return Reservation(id=order.id)

    @activity.defn
    async def release(self, order: Order) -> None: ...

    @activity.defn
    async def release_knowing(self, order: Order, reservation: Reservation | None) -> None: ...

    @activity.defn
    async def find(self, order: Order) -> ProbeResult[Reservation]:
        return ProbeResult(outcome="rejected", code="sold_out", reason="no seat")

    @activity.defn
    def reserve_sync(self, order: Order) -> Reservation:
        return Reservation(id=order.id)

    @activity.defn
    def find_sync(self, order: Order) -> ProbeResult[Reservation]:
        return ProbeResult(outcome="unknown")


RESERVE = Operation(name="reserve", participant="inventory", message=Order, result=Reservation)
RELEASE = Operation(name="release", participant="inventory", message=Order, result=Reservation)
FIND = Operation(name="find", participant="inventory", message=Order, result=ProbeResult[Reservation])
PATIENT = ActivityOptions(
    start_to_close_timeout=timedelta(seconds=5),
    schedule_to_close_timeout=timedelta(minutes=5),
    heartbeat_timeout=None,
    retry_policy=RetryPolicy(maximum_attempts=3, non_retryable_error_types=["SoldOut"]),
    priority=Priority(priority_key=1, fairness_key="tenant-7", fairness_weight=2),
    task_queue=None,
)

of_operation = action(RESERVE).compensated_by(RELEASE)
of_function = action(reserve).compensated_by(release)
of_function_knowing = action(reserve).compensated_by(release_knowing)
of_sync_function = action(reserve_sync).compensated_by(release_sync)
of_method = action(Inventory.reserve).compensated_by(Inventory.release)
of_method_knowing = action(Inventory.reserve).compensated_by(Inventory.release_knowing)
mixed = action(reserve).compensated_by(RELEASE)
method_mixed = action(Inventory.reserve).compensated_by(RELEASE)
method_with_function = action(Inventory.reserve).compensated_by(release_knowing)
bound_method = action(Inventory().reserve).compensated_by(Inventory().release_knowing)
bare = action(RESERVE).read_only()
final = action(RESERVE).irreversible()
final_method = action(Inventory.reserve).irreversible()
probed_operation = action(RESERVE, probe=FIND, options=replace(PATIENT, task_queue="inventory"))
probed_function = action(reserve, probe=find, name="reserve-seat", rejections={"SoldOut"})
probed_sync_function = action(reserve_sync, probe=find_sync)
probed_method = action(Inventory.reserve, probe=Inventory.find).compensated_by(Inventory.release)
probed_sync_method = action(Inventory.reserve_sync, probe=Inventory.find_sync).compensated_by(
    Inventory.release_knowing
)
elsewhere = action(RESERVE).compensated_by(RELEASE, options=replace(PATIENT, task_queue="inventory"))
method_elsewhere = action(Inventory.reserve).compensated_by(
    Inventory.release, options=replace(PATIENT, task_queue="inventory")
)
with_data = action(RESERVE, data=DataAccess(reads={"catalogue"}, writes={"stock"})).compensated_by(RELEASE)
function_with_data = action(
    reserve, data=DataAccess(reads={"catalogue"}, writes=frozenset({"stock"}))
).compensated_by(release)

assert_type(action(RESERVE), Action[Order, Reservation])
assert_type(probed_operation, Action[Order, Reservation])
assert_type(probed_function, Action[Order, Reservation])
assert_type(probed_sync_function, Action[Order, Reservation])
assert_type(probed_method, Step[Order, Reservation])
assert_type(probed_sync_method, Step[Order, Reservation])
assert_type(elsewhere, Step[Order, Reservation])
assert_type(method_elsewhere, Step[Order, Reservation])
assert_type(with_data, Step[Order, Reservation])
assert_type(function_with_data, Step[Order, Reservation])
assert_type(of_operation, Step[Order, Reservation])
assert_type(of_function, Step[Order, Reservation])
assert_type(of_function_knowing, Step[Order, Reservation])
assert_type(of_sync_function, Step[Order, Reservation])
assert_type(of_method, Step[Order, Reservation])
assert_type(of_method_knowing, Step[Order, Reservation])
assert_type(mixed, Step[Order, Reservation])
assert_type(method_mixed, Step[Order, Reservation])
assert_type(method_with_function, Step[Order, Reservation])
assert_type(bound_method, Step[Order, Reservation])
of_a_method: Action[Order, Reservation] = action(Inventory.reserve)
assert_type(bare, Step[Order, Reservation])
assert_type(final, IrreversibleStep[Order, Reservation])
confirmable = action(reserve).confirmed_by(release)
assert_type(confirmable, ConfirmableAction[Order, Reservation])
assert_type(confirmable.compensated_by(release), Step[Order, Reservation])
of_method_to_confirm = action(Inventory.reserve).confirmed_by(Inventory.release)
assert_type(of_method_to_confirm.compensated_by(Inventory.release), Step[Order, Reservation])
assert_type(final_method, IrreversibleStep[Order, Reservation])


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
            assert_type(await saga.pivot(final, order), Reservation)
            assert_type(await saga.step(final, order), Reservation)
            assert_type(await saga.best_effort(final, order), Reservation | None)
            saga.after_compensation(final, order)
            assert_type(await saga.pivot(action(Inventory.reserve), order), Reservation)
            assert_type(await saga.step(action(RESERVE), order), Reservation)
            assert_type(await saga.step(action(Inventory.reserve), order), Reservation)
            assert_type(await saga.best_effort(action(RESERVE), order), Reservation | None)
            assert_type(await saga.best_effort(of_a_method, order), Reservation | None)
            saga.after_compensation(bare, order)
            saga.after_compensation(action(Inventory.reserve), order)
            charge = await saga.child(PaymentSaga.run, Payment(id=order.id), name="payment")
        # The name is always assigned here: the block swallows no exception.
        assert_type(charge, Charge)
        return charge


async def own_branch(saga: Saga, order: Order) -> str:
    return (await saga.step(of_operation, order)).id


async def several(saga: Saga, order: Order) -> None:
    """Branches are calls without an `await`; up to four branches keep the type of each."""
    seat, pay = of_operation, PaymentSaga.run
    payment = Payment(id=order.id)
    assert_type(await saga.parallel(saga.step(seat, order)), tuple[Reservation])
    assert_type(
        await saga.parallel(saga.step(seat, order), saga.child(pay, payment, name="payment")),
        tuple[Reservation, Charge],
    )
    assert_type(
        await saga.parallel(saga.step(seat, order), own_branch(saga, order), saga.best_effort(bare, order)),
        tuple[Reservation, str, Reservation | None],
    )
    assert_type(
        await saga.parallel(
            own_branch(saga, order),
            saga.step(seat, order),
            saga.child(pay, payment, name="payment"),
            saga.best_effort(bare, order),
            on_failure=OnFailure.CANCEL,
        ),
        tuple[str, Reservation, Charge, Reservation | None],
    )
    five = [saga.step(seat, order) for _ in range(5)]
    assert_type(await saga.parallel(*five, on_failure=OnFailure.FINISH), tuple[Reservation, ...])
    assert_type(await saga.parallel(*five, limit=2), tuple[Reservation, ...])
    assert_type(await saga.parallel(saga.step(seat, order), limit=1), tuple[Reservation])
    first, second = await saga.parallel(saga.step(seat, order), own_branch(saga, order))
    assert_type(first, Reservation)
    assert_type(second, str)


async def many(saga: Saga, orders: list[Order]) -> None:
    """A map has a result for each item; the key tells the executions of a step apart."""
    assert_type(await saga.step(of_operation, orders[0], key="7a"), Reservation)
    assert_type(await saga.best_effort(bare, orders[0], key="7a"), Reservation | None)
    assert_type(await saga.map(of_operation, orders, key=lambda order: order.id), tuple[Reservation, ...])
    generated = (each for each in orders)
    reserved = await saga.map(
        bare, generated, key=lambda order: order.id, limit=20, on_failure=OnFailure.CANCEL
    )
    assert_type(reserved, tuple[Reservation, ...])


async def waiting(saga: Saga) -> None:
    """An external event has the declared type."""
    expected = saga.expect("payment-cleared", Payment)
    assert_type(expected, ExpectedEvent[Payment])
    assert_type(await saga.wait_for(expected), Payment)
    assert_type(await saga.wait_for(expected, timeout=timedelta(days=1)), Payment)
    assert_type(await saga.approval("large-order", role="manager"), ApprovalDecision)
    assert_type(
        await saga.approval("large-order", role="manager", timeout=timedelta(days=1)), ApprovalDecision
    )


async def passing_the_pivot(saga: Saga, payment: Payment) -> Charge:
    assert_type(await saga.pivot_child(PaymentSaga.run, payment, name="payment"), Charge)
    return await saga.pivot_child(PaymentSaga.run, payment, name="payment", task_queue="payments")


async def parts(saga: Saga, payment: Payment) -> Charge | None:
    """The outcome of an independent saga is a value with the type of the result."""
    outcome = await saga.independent(PaymentSaga.run, payment, name="payment", task_queue="payments")
    assert_type(outcome, SagaOutcome[Charge])
    first, second = await saga.parallel(
        saga.independent(PaymentSaga.run, payment, name="first"),
        saga.independent(PaymentSaga.run, payment, name="second"),
    )
    assert_type(first, SagaOutcome[Charge])
    print(second)
    return outcome.result if isinstance(outcome, Completed) else None


async def going_on(saga: Saga, order: Order) -> NoReturn:
    """No code follows a continue-as-new, and type checkers accept the end of this function."""
    await saga.continue_as_new(order)


def opening() -> Saga:
    Saga()
    Saga(scope=CompensationScope.ATTEMPTED)
    return Saga(order=CompensationOrder.PARALLEL, timeout=timedelta(hours=1))


async def from_outside(client: Client, order: Order) -> None:
    """Starts, inspects and operates sagas with all types."""
    handle = await start_saga(client, OrderSaga.run, order, id="order-7", task_queue="orders")
    assert_type(handle, SagaHandle[Charge])
    assert_type(await handle.result(), Charge)
    assert_type(await handle.outcome(), Completed[Charge] | Compensated | Settled[Charge] | CutOff)
    as_workflow: WorkflowHandle[OrderSaga, Charge] = handle
    of_anything: SagaHandle[object] = handle
    print(as_workflow, of_anything)
    operator = SagaClient(client, timeout=timedelta(seconds=5))
    assert_type(await operator.list(status="stuck"), tuple[SagaSummary, ...])
    assert_type(await operator.show("order-7"), Timeline)
    assert_type(await operator.preview("order-7"), Preview)
    assert_type(await operator.hold("order-7", by="mia", because="x", roles=frozenset({"manager"})), str)
    assert_type(await operator.complete("order-7", "reserve", {"id": "r"}, by="mia", because="x"), str)
    assert_type(await operator.approve("order-7", "large", is_approved=False, by="mia", because="x"), str)
    assert_type(await operator.rescue("order-7", by="mia", because="x"), Rescue)


async def with_options(client: Client, order: Order, **options: Unpack[StartOptions]) -> SagaOutcome[Charge]:
    """The options of Temporal's `start_workflow`, under their names; a caller can pass them on."""
    await execute_saga(
        client,
        OrderSaga.run,
        order,
        id="order-7",
        task_queue="orders",
        static_summary="7",
        static_details="a large order",
        memo={"basket": 7},
        search_attributes=TypedSearchAttributes.empty,
        start_delay=timedelta(seconds=1),
        priority=Priority(priority_key=1, fairness_key="acme"),
        versioning_override=None,
    )
    return await execute_saga(client, OrderSaga.run, order, id="order-8", task_queue="orders", **options)


async def started_elsewhere(client: Client) -> None:
    """The run method gives the type of the result."""
    assert_type(SagaHandle.for_id(client, "order-7", OrderSaga.run), SagaHandle[Charge])
    assert_type(SagaHandle.for_id(client, "order-7"), SagaHandle[object])
    assert_type(SagaHandle.for_id(client, "order-7/payment", PaymentSaga.run), SagaHandle[Charge])


def described(outcome: SagaOutcome[Charge]) -> str:
    """A `match` over the four outcomes is complete."""
    match outcome:
        case Completed(charge):
            return assert_type(charge, Charge).id
        case Compensated("card_declined", reason=reason):
            return reason
        case Compensated(code, field=field, is_cancelled=is_cancelled, rescue_id=rescue_id):
            assert_type(code, str)
            assert_type(field, str | None)
            assert_type(is_cancelled, bool)
            assert_type(rescue_id, str | None)
            return code
        case Settled(charge, code, is_compensated=False, manual_resolutions=resolutions):
            assert_type(charge, Charge | None)
            return f"{code}, {resolutions['reserve-stock']}"
        case Settled(remaining_effects=effects):
            return ", ".join(effect.address for effect in effects)
        case CutOff(how=how, code=code, pending_compensations=pending, has_completed=has_completed):
            assert_type(has_completed, bool)
            return ", ".join([how, code, *(compensation.activity for compensation in pending)])


def managers_only(verb: str, note: OperatorRequest) -> str | None:
    return None if "manager" in note.roles else f"{verb} takes a manager"


def plugged_in() -> SagaPlugin:
    SagaPlugin()
    return SagaPlugin(search_attributes=False, authorize=managers_only)


def saved() -> int:
    progress = Progress(0)
    progress.save(progress.value + 1)
    return assert_type(progress.value, int)
