"""docs/writing.md, executed: the code of the page, on a real server."""

import asyncio
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import TimeSkipper
from temporalio.worker import Replayer, Worker

from sagas import RejectedError, SagaPlugin, start_saga
from sagas.operator import APPROVE, ApproveRequest, SagaClient
from tests.guide_code import DOCS, guide_modules, imported_guide

from ..fixtures.worker_harness import PATIENCE, WorkerHarness

Guide = dict[str, Any]


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    with imported_guide("writing.md", tmp_path_factory.mktemp("writing")) as modules:
        yield modules


@dataclass
class Bank:
    """A worker with the code of the page."""

    client: Client
    guide: Guide
    task_queue: str
    instead: dict[str, Callable[..., Any]] = field(default_factory=dict)
    """Replacements for activities of the page, by the name of the function."""
    cache: int = 0
    """The number of workflows in the worker's cache; other workflows are replayed from the beginning."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Runs a worker."""
        steps, family = self.guide["loan_steps"], self.guide["loan_family"]
        found = (each for each in vars(steps).values() if hasattr(each, "__temporal_activity_definition"))
        activities = [self.instead.get(each.__name__, each) for each in found]
        children = [family.InsuranceSaga, family.PayoutSaga]
        parents = [family.InsuredLoanSaga, family.PartnerLoanSaga]
        workflows = [
            *[self.guide["loan_saga"].LoanSaga, self.guide["loan_book"].BookSaga],
            self.guide["loan_section"].ProtectedLoanSaga,
            self.guide["loan_shares"].SharedLoanSaga,
            self.guide["loan_offer"].OfferSaga,
            *[*children, *parents, self.guide["loan_batch"].BatchSaga],
        ]
        async with Worker(
            self.client,
            task_queue=self.task_queue,
            workflows=workflows,
            activities=activities,
            max_cached_workflows=self.cache,
        ):
            yield

    def loan(self, customer: str, amount: int) -> Any:
        return self.guide["loan_steps"].Loan(id=uuid4().hex[:8], customer=customer, amount=amount)

    async def lend(self, loan: Any, *, run: Any = None) -> WorkflowHandle[Any, Any]:
        run = run or self.guide["loan_saga"].LoanSaga.run
        return await start_saga(self.client, run, loan, id=f"loan-{loan.id}", task_queue=self.task_queue)

    async def sign(self, loan: WorkflowHandle[Any, Any]) -> None:
        signature = self.guide["loan_steps"].Signature(by="Ada")
        await self.guide["loan_post"].send(self.client, loan.id.removeprefix("loan-"), signature)

    async def event(
        self, loan: WorkflowHandle[Any, Any], kind: "EventType.ValueType", *, nth: int = 1
    ) -> None:
        await WorkerHarness(self.client, cache=0).wait_for_event(loan, kind, nth=nth)

    async def story(self, loan: WorkflowHandle[Any, Any]) -> list[str]:
        """The activities of a loan in the order of their schedule."""
        return [
            event.activity_task_scheduled_event_attributes.activity_id
            for event in (await loan.fetch_history()).events
            if event.HasField("activity_task_scheduled_event_attributes")
        ]

    async def result(self, loan: WorkflowHandle[Any, Any]) -> Any:
        """The result, with a timeout: a mistake in the page may make a loan that never ends."""
        async with asyncio.timeout(PATIENCE):
            return await loan.result()

    async def failure(self, loan: WorkflowHandle[Any, Any]) -> ApplicationError:
        with pytest.raises(WorkflowFailureError) as failed:
            await self.result(loan)
        assert isinstance(failed.value.cause, ApplicationError)
        return failed.value.cause

    async def replay(self, handle: WorkflowHandle[Any, Any], workflow: type) -> None:
        replayer = Replayer(workflows=[workflow], plugins=[SagaPlugin()])
        await replayer.replay_workflow(await handle.fetch_history())


@pytest.fixture
async def bank(client: Client, guide: Guide) -> AsyncIterator[Bank]:
    bank = Bank(client, guide, f"loans-{uuid4().hex[:8]}")
    async with bank.open():
        yield bank


async def test_a_loan_is_approved_signed_and_paid_out(bank: Bank) -> None:
    """The saga completes with every step done."""
    saga = bank.guide["loan_saga"].LoanSaga
    loan = await bank.lend(bank.loan("ada", 20_000))
    await bank.sign(loan)
    # The saga's own deadline is the first timer.
    await bank.event(loan, EventType.EVENT_TYPE_TIMER_STARTED, nth=2)
    officer = ApproveRequest(
        by="tom", because="she is known", roles=frozenset({"credit-officer"}), approval="large-loan"
    )
    await loan.execute_update(APPROVE, officer)

    transfer = f"t-{loan.id.removeprefix('loan-')}"
    assert await bank.result(loan) == f"{transfer}, signed by Ada"
    assert await bank.story(loan) == [
        *["check-credit", "reserve-funds", "send-contract"],
        *["pay-out", "print-schedule"],
    ]
    await bank.replay(loan, saga)


async def test_a_rejected_loan_is_compensated(bank: Bank) -> None:
    """The other branch may have reserved the funds."""
    loan = await bank.lend(bank.loan("mallory", 5_000))

    failure = await bank.failure(loan)

    assert failure.type == "SagaCompensated"
    assert failure.details[:1] == ("no_credit",)
    assert (await bank.story(loan))[-1] == "tell-customer"
    await bank.replay(loan, bank.guide["loan_saga"].LoanSaga)


async def test_a_loan_is_signed_in_each_way_that_the_page_shows(
    bank: Bank, server: str, temporal_program: str
) -> None:
    """An update and the command send the signature; the other tests send a signal."""
    handed_in, commanded = [await bank.lend(bank.loan("ada", 5_000)) for _ in range(2)]
    for loan in (handed_in, commanded):
        await bank.event(loan, EventType.EVENT_TYPE_TIMER_STARTED, nth=2)
    (line,) = re.findall(r"^temporal (workflow signal .*)$", (DOCS / "writing.md").read_text(), re.MULTILINE)
    words = [commanded.id if word == "loan-7" else word for word in shlex.split(line)]
    signature = bank.guide["loan_steps"].Signature(by="Ada")

    taken = await bank.guide["loan_post"].hand_in(bank.client, handed_in.id.removeprefix("loan-"), signature)
    process = await asyncio.create_subprocess_exec(temporal_program, *words, "--address", server)

    assert taken == "taken"
    assert await process.wait() == 0
    for loan in (handed_in, commanded):
        assert (await bank.result(loan)).endswith(", signed by Ada")


async def test_a_decision_against_a_loan_compensates_it(bank: Bank) -> None:
    """The page names the code of the failure."""
    loan = await bank.lend(bank.loan("ada", 20_000))
    await bank.event(loan, EventType.EVENT_TYPE_TIMER_STARTED, nth=2)
    officer = frozenset({"credit-officer"})

    await SagaClient(bank.client).approve(
        loan.id, "large-loan", is_approved=False, by="tom", because="too much", roles=officer
    )

    assert (await bank.failure(loan)).details[:1] == ("not_approved",)
    assert (await bank.story(loan))[-2:] == ["compensate.reserve-funds", "tell-customer"]


async def test_a_bug_in_a_saga_waits_for_mended_code(client: Client, guide: Guide) -> None:
    """The failure of the workflow task has the line of the bug, and nothing is compensated."""

    @activity.defn(name="check_credit")
    async def check_credit(loan: Any) -> Any:
        return None  # the saga reads the points of the score

    instead = {"check_credit": check_credit}
    bank = Bank(client, guide, f"loans-{uuid4().hex[:8]}", instead=instead)
    async with bank.open():
        loan = await bank.lend(bank.loan("ada", 5_000))
        async for event in loan.fetch_history_events(wait_new_event=True):
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                break
        await loan.terminate()

    failure = event.workflow_task_failed_event_attributes.failure
    assert failure.application_failure_info.type == "AttributeError"
    assert "score.points < 500" in failure.stack_trace
    assert not [name for name in await bank.story(loan) if name.startswith("compensate.")]


async def test_a_book_of_loans_continues_as_new(client: Client, guide: Guide) -> None:
    """Two hundred steps run in three runs of the workflow."""
    steps, books = guide["loan_steps"], guide["loan_book"]
    loans = [steps.Loan(id=str(n), customer="ada", amount=1) for n in range(201)]
    # A replay of a hundred steps for each step takes half a minute.
    bank = Bank(client, guide, f"loans-{uuid4().hex[:8]}", cache=1000)
    async with bank.open():
        book = await start_saga(
            client,
            books.BookSaga.run,
            books.Book(loans=loans),
            id=f"book-{uuid4().hex[:8]}",
            task_queue=bank.task_queue,
        )

        assert await bank.result(book) == 201
    runs, run_id = 0, book.first_execution_run_id
    while run_id:
        run = client.get_workflow_handle(book.id, run_id=run_id)
        await bank.replay(run, books.BookSaga)
        last = (await run.fetch_history()).events[-1]
        run_id = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
        runs += 1
    assert runs == 3


async def test_a_payout_with_unknown_outcome_is_probed(client: Client, guide: Guide) -> None:
    """The probe finds a done payout, and the result of the probe is the result of the step."""

    @activity.defn(name="pay_out")
    async def pay_out(loan: Any) -> Any:
        raise ApplicationError("the connection was lost", non_retryable=True)

    bank = Bank(client, guide, f"loans-{uuid4().hex[:8]}", instead={"pay_out": pay_out})
    async with bank.open():
        loan = await bank.lend(bank.loan("ada", 5_000))
        await bank.sign(loan)

        assert await bank.result(loan) == f"t-{loan.id.removeprefix('loan-')}, signed by Ada"
    assert "probe.pay-out" in await bank.story(loan)
    await bank.replay(loan, guide["loan_saga"].LoanSaga)


async def test_a_failing_contract_mail_is_ignored(client: Client, guide: Guide) -> None:
    """The step is best effort."""

    @activity.defn(name="send_contract")
    async def send_contract(loan: Any) -> None:
        raise RejectedError("no_post", "there is no post on Sundays")

    bank = Bank(client, guide, f"loans-{uuid4().hex[:8]}", instead={"send_contract": send_contract})
    async with bank.open():
        loan = await bank.lend(bank.loan("ada", 5_000))
        await bank.sign(loan)

        assert "signed by Ada" in await bank.result(loan)


@pytest.mark.parametrize(
    ("amount", "points", "what"),
    [
        (20_000, 700, "approval 'large-loan'"),
        (5_000, 400, "approval 'large-loan'"),
        (5_000, 700, "the wait for 'contract-signed'"),
    ],
    ids=["approval of much", "approval of little", "event"],
)
async def test_a_missing_event_or_approval_compensates(
    client: Client, guide: Guide, amount: int, points: int, what: str
) -> None:
    """An approval of a large amount or a low score has two days, and the signature has seven days."""

    @activity.defn(name="check_credit")
    async def check_credit(loan: Any) -> Any:
        return guide["loan_steps"].Score(points=points)

    bank = Bank(
        TimeSkipper(client).client,
        guide,
        f"loans-{uuid4().hex[:8]}",
        instead={"check_credit": check_credit},
    )
    async with bank.open():
        loan = await bank.lend(bank.loan("ada", amount))
        failure = await bank.failure(loan)

    assert failure.type == "SagaCompensated"
    assert failure.details[1] == f"{what} ran out of time"
    assert (await bank.story(loan))[-2:] == ["compensate.reserve-funds", "tell-customer"]


async def test_a_loan_that_takes_too_long_compensates(client: Client, guide: Guide) -> None:
    """The saga has fourteen days, also when the saga is held."""
    is_held, has_begun = asyncio.Event(), asyncio.Event()

    @activity.defn(name="check_credit")
    async def check_credit(loan: Any) -> Any:
        has_begun.set()
        await is_held.wait()
        return guide["loan_steps"].Score(points=700)

    bank = Bank(
        TimeSkipper(client).client,
        guide,
        f"loans-{uuid4().hex[:8]}",
        instead={"check_credit": check_credit},
    )
    async with bank.open():
        loan = await bank.lend(bank.loan("ada", 5_000))
        async with asyncio.timeout(PATIENCE):
            await has_begun.wait()
        await SagaClient(client).hold(loan.id, by="mia", because="let me look")
        is_held.set()
        failure = await bank.failure(loan)

    assert failure.type == "SagaCompensated"
    assert failure.details[1] == "the saga ran out of time"


async def test_the_desk_handles_every_outcome(client: Client, guide: Guide) -> None:
    """Loans are completed, rejected, cancelled, and manually resolved."""
    is_open = asyncio.Event()

    @activity.defn(name="release_funds")
    async def release_funds(loan: Any, reservation: Any) -> None:
        if not is_open.is_set():
            raise RejectedError("closed", "the bank is closed")

    bank = Bank(client, guide, f"loans-{uuid4().hex[:8]}", instead={"release_funds": release_funds})
    desk = guide["loan_desk"]
    ada, tim, zoe = bank.loan("ada", 5_000), bank.loan("trent", 5_000), bank.loan("zoe", 20_000)

    async def lend(loan: Any) -> str:
        async with asyncio.timeout(PATIENCE):
            answer: str = await desk.lend(client, loan, task_queue=bank.task_queue)
        return answer

    async with bank.open():
        # A second start with the same id and content finds the running saga.
        stuck = await bank.lend(tim)
        await bank.sign(stuck)
        await WorkerHarness(client, cache=0).wait_for_status(stuck, "stuck")
        signature = guide["loan_steps"].Signature(by="Tim")
        too_late = await guide["loan_post"].hand_in(client, tim.id, signature)
        await SagaClient(client).skip(stuck.id, "reserve-funds", by="mia", because="x")
        settled = await lend(tim)
        is_open.set()
        await bank.sign(await bank.lend(ada))
        completed = await lend(ada)
        refused = await lend(bank.loan("mallory", 5_000))
        await bank.lend(zoe)
        await desk.withdraw(client, zoe.id)
        cancelled = await lend(zoe)

    assert too_late.startswith("not taken: ")
    assert too_late.endswith("contract-signed comes too late: the saga is compensating")
    assert settled == (
        "no loan, because the customer's account is closed; resolved manually: {'reserve-funds': 'skipped'}"
    )
    assert completed == f"t-{ada.id}, signed by Ada"
    assert refused == "no loan, and no effect remains: no_credit, the customer has no credit"
    assert cancelled == "cancelled, and no effect remains"


async def test_another_worker_goes_on(client: Client, guide: Guide) -> None:
    """A loan that waits for the signature goes on with the next worker."""
    bank = Bank(client, guide, f"loans-{uuid4().hex[:8]}")
    async with bank.open():
        loan = await bank.lend(bank.loan("ada", 5_000))
        await bank.event(loan, EventType.EVENT_TYPE_TIMER_STARTED, nth=2)
    await bank.sign(loan)
    async with bank.open():
        assert "signed by Ada" in await bank.result(loan)


async def test_an_insured_loan_is_compensated_with_its_children(bank: Bank) -> None:
    """The child with the pivot compensates itself, and the parent compensates the other child."""
    family = bank.guide["loan_family"]
    paid = await bank.lend(bank.loan("ada", 5_000), run=family.InsuredLoanSaga.run)
    refused = await bank.lend(bank.loan("trent", 5_000), run=family.InsuredLoanSaga.run)

    loan_id = paid.id.removeprefix("loan-")
    assert await bank.result(paid) == f"t-{loan_id}, policy-{loan_id}"
    assert (await bank.failure(refused)).details[:1] == ("account_closed",)
    child = bank.client.get_workflow_handle(f"{refused.id}/payout")
    assert await bank.story(child) == ["reserve-funds", "pay-out", "compensate.reserve-funds"]
    assert await bank.story(refused) == ["compensate.insurance:insure-loan"]
    for loan in (paid, refused):
        await bank.replay(loan, family.InsuredLoanSaga)


async def test_a_batch_pays_out_the_loans_that_can_be_paid(bank: Bank) -> None:
    """The refused loan is compensated alone; a batch without a paid loan is compensated."""
    batch, steps = bank.guide["loan_batch"].BatchSaga, bank.guide["loan_steps"]
    endings: list[object] = []
    for customers in (("ada", "trent"), ("trent",)):
        loans = [steps.Loan(id=each, customer=each, amount=5_000) for each in customers]
        handle = await start_saga(
            bank.client, batch.run, loans, id=f"batch-{uuid4().hex[:8]}", task_queue=bank.task_queue
        )
        is_paid = "ada" in customers
        endings.append(await bank.result(handle) if is_paid else (await bank.failure(handle)).details[0])
        refused = bank.client.get_workflow_handle(f"{handle.id}/loan-trent")
        assert await bank.story(refused) == ["reserve-funds", "pay-out", "compensate.reserve-funds"]
        await bank.replay(handle, batch)

    assert endings == [["t-ada"], "nothing_paid"]


async def test_a_loan_without_an_insurer_goes_another_way(client: Client, guide: Guide) -> None:
    """The failed section is compensated, and the smaller loan has a key of its own."""

    @activity.defn(name="insure_loan")
    async def insure(loan: Any) -> str:
        raise RejectedError("no_insurer", "no insurer takes the loan")

    bank = Bank(client, guide, f"loans-{uuid4().hex[:8]}", instead={"insure_loan": insure})
    saga = guide["loan_section"].ProtectedLoanSaga
    async with bank.open():
        loan = await bank.lend(bank.loan("ada", 5_000), run=saga.run)

        assert await bank.result(loan) == f"t-{loan.id.removeprefix('loan-')}, uninsured: no_insurer"
    assert await bank.story(loan) == [
        "reserve-funds",
        "insure-loan",
        "compensate.reserve-funds",
        "reserve-funds#2",
        "pay-out",
    ]
    await bank.replay(loan, saga)


async def test_a_shared_loan_has_a_step_for_each_share(bank: Bank) -> None:
    """The checks run first, and every execution of a step has a key of its own."""
    module, steps = bank.guide["loan_shares"], bank.guide["loan_steps"]
    shares = [steps.Loan(id=f"share-{n}", customer="ada", amount=1_000) for n in (1, 2)]

    async def lend(customer: str) -> WorkflowHandle[Any, Any]:
        loan = bank.loan(customer, 2_000)
        shared = module.SharedLoan(loan=loan, shares=shares, months=["2027-01", "2027-02"])
        return await start_saga(
            bank.client,
            module.SharedLoanSaga.run,
            shared,
            id=f"loan-{loan.id}",
            task_queue=bank.task_queue,
        )

    paid, refused = await lend("ada"), await lend("trent")

    assert await bank.result(paid) == f"t-{paid.id.removeprefix('loan-')}"
    assert (await bank.failure(refused)).details[:1] == ("account_closed",)
    assert await bank.story(paid) == [
        *("check-credit[share-1]", "check-credit[share-2]"),
        *("reserve-funds[share-1]", "reserve-funds[share-2]"),
        *("insure-loan[2027-01]", "insure-loan[2027-02]", "pay-out"),
    ]
    assert (await bank.story(refused))[7:] == [
        *("compensate.insure-loan[2027-02]", "compensate.insure-loan[2027-01]"),
        *("compensate.reserve-funds[share-2]", "compensate.reserve-funds[share-1]"),
    ]
    for loan in (paid, refused):
        await bank.replay(loan, module.SharedLoanSaga)


async def test_a_loan_is_insured_by_the_first_insurer_that_answers(client: Client, guide: Guide) -> None:
    """The first insurer refuses, and the second insurer answers."""
    refusals = 1

    @activity.defn(name="insure_loan")
    async def insure(loan: Any) -> str:
        nonlocal refusals
        refusals -= 1
        if refusals == 0:
            raise RejectedError("no_insurer", "the insurer does not take the loan")
        return "policy-2"

    bank = Bank(client, guide, f"loans-{uuid4().hex[:8]}", instead={"insure_loan": insure})
    saga = guide["loan_offer"].OfferSaga
    async with bank.open():
        loan = await bank.lend(bank.loan("ada", 5_000), run=saga.run)

        assert await bank.result(loan) == f"t-{loan.id.removeprefix('loan-')}, policy-2"
    assert await bank.story(loan) == ["insure-loan", "insure-elsewhere", "pay-out"]
    await bank.replay(loan, saga)


async def test_a_partner_compensates_at_the_same_time(bank: Bank) -> None:
    """Workers of the child run the child's compensations; the parallel order starts all at once."""
    family = bank.guide["loan_family"]
    async with Bank(bank.client, bank.guide, "insurers").open():
        loan = await bank.lend(bank.loan("trent", 5_000), run=family.PartnerLoanSaga.run)
        assert (await bank.failure(loan)).details[:1] == ("account_closed",)

    scheduled = [
        event.activity_task_scheduled_event_attributes
        for event in (await loan.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    insurance, funds = scheduled[-2:]
    assert (insurance.activity_type.name, insurance.task_queue.name) == ("cancel_insurance", "insurers")
    assert (funds.activity_type.name, funds.task_queue.name) == ("release_funds", bank.task_queue)
    assert insurance.workflow_task_completed_event_id == funds.workflow_task_completed_event_id
    await bank.replay(loan, family.PartnerLoanSaga)


async def test_histories_are_recorded_and_replayed(
    bank: Bank, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both commands and the test run in a folder of a user, and report a change with other commands."""
    loans = [await bank.lend(bank.loan("ada", 5_000)), await bank.lend(bank.loan("mallory", 5_000))]
    await bank.sign(loans[0])
    await bank.result(loans[0])
    await bank.failure(loans[1])
    page = (DOCS / "writing.md").read_text()
    (block,) = re.findall(r"```\n(sagas histories .*?)```", page, re.DOTALL)
    record, replay = (shlex.split(line)[1:] for line in block.splitlines())
    ids = dict(zip(("loan-7", "loan-8"), (loan.id for loan in loans), strict=True))
    code = guide_modules("writing.md")
    for name in ("loan_steps", "loan_saga"):
        (tmp_path / f"{name}.py").write_text(code[name])

    recorded = await histories(tmp_path, server, *(ids.get(word, word) for word in record))
    replayed = await histories(tmp_path, server, *replay)
    monkeypatch.chdir(tmp_path)
    test = bank.guide["test_loan_histories"]
    await test.test_loans_that_run_survive_a_change()
    contract = "            await saga.best_effort(steps.contract, loan)\n"
    assert contract in code["loan_saga"]
    for name in ("loan_saga", "changed_loan_saga"):
        (tmp_path / f"{name}.py").write_text(code["loan_saga"].replace(contract, ""))
    changed = await histories(tmp_path, server, *replay)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(test, "LoanSaga", import_module("changed_loan_saga").LoanSaga)
    with pytest.raises(AssertionError):
        await test.test_loans_that_run_survive_a_change()
    del sys.modules["changed_loan_saga"]

    assert recorded[0] == replayed[0] == 0
    assert recorded[1].count("recorded ") == 2
    assert replayed[1].endswith("2 histories replayed\n")
    assert changed[0] == 1
    assert re.search(rf"^DIFFERS {loans[0].id} \(LoanSaga, .*'send-contract'", changed[1], re.MULTILINE)


async def histories(folder: Path, server: str, *arguments: str) -> tuple[int, str]:
    """Runs a command of the page as a process in a folder of a user."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "workers", *arguments],
        cwd=folder,
        env={**os.environ, "TEMPORAL_ADDRESS": server, "PYTHONPATH": str(DOCS.parent)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.parametrize("is_approved", [True, False])
async def test_a_trip_is_confirmed_or_cancelled_after_the_decision(
    guide: Guide, client: Client, *, is_approved: bool
) -> None:
    """The section on confirmations: the person decides."""
    trip, calls = guide["loan_trip"], list[str]()

    @activity.defn
    async def take_seat(trip: Any, seat: Any) -> None:
        calls.append("take")

    @activity.defn
    async def free_seat(trip: Any) -> None:
        calls.append("free")

    task_queue = f"trip-{uuid4().hex[:8]}"
    activities: list[Callable[..., Any]] = [trip.hold_seat, take_seat, free_seat]
    async with Worker(client, task_queue=task_queue, workflows=[trip.TripSaga], activities=activities):
        saga = await start_saga(
            client, trip.TripSaga.run, trip.Trip(id="1"), id=task_queue, task_queue=task_queue
        )
        decision = ApproveRequest(
            by="mia", because="x", approval="trip", roles=("customer",), is_approved=is_approved
        )
        await WorkerHarness(client, 0).wait_for_event(saga, EventType.EVENT_TYPE_TIMER_STARTED)
        await saga.execute_update(APPROVE, decision)
        if is_approved:
            assert await saga.result() == "7a"
        else:
            with pytest.raises(WorkflowFailureError):
                await saga.result()

    assert calls == (["take"] if is_approved else ["free"])
