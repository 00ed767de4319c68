"""docs/writing.md, done for real: its code, on a real server."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, Worker

from sagas import APPROVE, ApprovalRequest, SagaPlugin, start_saga
from tests.pages import modules_of

from .stage import Stage

Guide = dict[str, Any]


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    with modules_of("writing.md", tmp_path_factory.mktemp("writing")) as modules:
        yield modules


@dataclass
class Bank:
    """A worker with the code of the page."""

    client: Client
    guide: Guide
    task_queue: str

    async def lend(self, customer: str, amount: int) -> WorkflowHandle[Any, Any]:
        steps = self.guide["loan_steps"]
        loan = steps.Loan(id=uuid4().hex[:8], customer=customer, amount=amount)
        run = self.guide["loan_saga"].LoanSaga.run
        return await start_saga(self.client, run, loan, id=f"loan-{loan.id}", task_queue=self.task_queue)

    async def replay(self, handle: WorkflowHandle[Any, Any], workflow: type) -> None:
        replayer = Replayer(workflows=[workflow], plugins=[SagaPlugin()])
        await replayer.replay_workflow(await handle.fetch_history())


@pytest.fixture
async def bank(client: Client, guide: Guide) -> AsyncIterator[Bank]:
    steps, task_queue = guide["loan_steps"], f"loans-{uuid4().hex[:8]}"
    names = ["check_credit", "reserve_funds", "release_funds", "pay_out", "find_payout", "send_contract"]
    activities = [getattr(steps, name) for name in [*names, "print_schedule", "tell_customer"]]
    workflows = [guide["loan_saga"].LoanSaga, guide["loan_book"].BookSaga]
    async with Worker(client, task_queue=task_queue, workflows=workflows, activities=activities):
        yield Bank(client, guide, task_queue)


async def test_a_loan_is_approved_signed_and_paid_out(bank: Bank) -> None:
    """The whole way forward."""
    saga = bank.guide["loan_saga"].LoanSaga
    loan = await bank.lend("ada", 20_000)
    await loan.signal("contract-signed", bank.guide["loan_steps"].Signature(by="Ada"))
    stage = Stage(bank.client, cache=1)
    # The saga's own deadline is the first timer.
    await stage.event(loan, EventType.EVENT_TYPE_TIMER_STARTED, nth=2)
    officer = ApprovalRequest(
        by="tom", because="she is known", roles=frozenset({"credit-officer"}), approval="large-loan"
    )
    await loan.execute_update(APPROVE, officer)

    transfer = f"t-{loan.id.removeprefix('loan-')}"
    assert await loan.result() == f"{transfer}, signed by Ada"
    await bank.replay(loan, saga)


async def test_a_loan_that_is_refused_is_made_up_for(bank: Bank) -> None:
    """The other branch had reserved the funds, perhaps."""
    loan = await bank.lend("mallory", 5_000)

    with pytest.raises(WorkflowFailureError) as failed:
        await loan.result()

    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "SagaCompensated"
    assert failed.value.cause.details[:1] == ("no_credit",)
    await bank.replay(loan, bank.guide["loan_saga"].LoanSaga)


async def test_a_book_of_loans_continues_as_new(bank: Bank) -> None:
    """Two hundred steps, in three runs."""
    steps, books = bank.guide["loan_steps"], bank.guide["loan_book"]
    loans = [steps.Loan(id=str(n), customer="ada", amount=1) for n in range(201)]
    book = await start_saga(
        bank.client,
        books.BookSaga.run,
        books.Book(loans=loans),
        id=f"book-{uuid4().hex[:8]}",
        task_queue=bank.task_queue,
    )

    assert await book.result() == 201
    await bank.replay(book, books.BookSaga)
