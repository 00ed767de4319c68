"""docs/adopting.md, executed: the code of the page, with runs that are half way through at each step."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker
from temporalio.workflow import NondeterminismError

from sagas import SAGA_COMPENSATED, SagaPlugin, idempotency_key
from sagas.operator import SAGA_STATUS
from tests.guide_code import DOCS, imported_guide
from tests.waiting import until

from ..fixtures.worker_harness import PATIENCE

PAGE = (DOCS / "adopting.md").read_text()
TABLE = re.sub(r"\s+", " ", PAGE.partition("## Step 3")[2])
AS_BEFORE = ["1", "2"]
AS_A_SAGA = ["book-hotel", "book-flight"]


@dataclass
class Guide:
    """The code of the page, as modules."""

    activities: Any
    before: Any
    both: Any
    after: Any
    switch: Any


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    with imported_guide("adopting.md", tmp_path_factory.mktemp("adopting")) as modules:
        yield Guide(**{name.removeprefix("trip_"): module for name, module in modules.items()})


@dataclass
class Office:
    """A task queue, on which versions of the worker follow each other."""

    guide: Guide
    server: str
    task_queue: str

    @asynccontextmanager
    async def worker(self, version: Any, *, has_plugin: bool = True, **options: Any) -> AsyncIterator[None]:
        """Runs a worker of a version of the workflow; no workflow is kept in its memory."""
        client = await Client.connect(self.server, plugins=[SagaPlugin()] if has_plugin else [])
        activities = [self.guide.activities.book_hotel, self.guide.activities.cancel_hotel]
        async with Worker(
            client,
            task_queue=self.task_queue,
            workflows=[version.TripBooking],
            activities=[*activities, self.guide.activities.book_flight],
            max_cached_workflows=0,
            **options,
        ):
            yield

    async def start(self, traveller: str, city: str = "Rome") -> WorkflowHandle[Any, Any]:
        """Starts a run, and waits until the room is booked and the run waits for the confirmation."""
        client = await Client.connect(self.server)
        trip = self.guide.activities.Trip(traveller, city)
        workflow_id = f"trip-{traveller}-{uuid4().hex[:8]}"
        handle = await client.start_workflow("TripBooking", trip, id=workflow_id, task_queue=self.task_queue)
        async with asyncio.timeout(PATIENCE):
            async for event in handle.fetch_history_events(wait_new_event=True):
                if event.event_id > 9 and event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                    break
        return handle

    async def end(self, handle: WorkflowHandle[Any, Any]) -> object:
        """Confirms, and waits for the result, or the type of the error."""
        await handle.signal("confirm")
        return await self.result(handle)

    async def result(self, handle: WorkflowHandle[Any, Any]) -> object:
        """The result, or the type of the error."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await handle.result()
        except WorkflowFailureError as error:
            cause = error.cause.cause if isinstance(error.cause, ActivityError) else error.cause
            return cause.type if isinstance(cause, ApplicationError) else type(cause).__name__


@pytest.fixture
def office(guide: Guide, server: str) -> Office:
    return Office(guide, server, f"trips-{uuid4().hex[:8]}")


async def activity_ids(handle: WorkflowHandle[Any, Any]) -> list[str]:
    return [
        scheduled.activity_id
        for event in (await handle.fetch_history()).events
        if (scheduled := event.activity_task_scheduled_event_attributes).activity_id
    ]


async def replay(version: Any, handle: WorkflowHandle[Any, Any]) -> None:
    replayer = Replayer(workflows=[version.TripBooking], plugins=[SagaPlugin()])
    await replayer.replay_workflow(await handle.fetch_history())


async def test_old_runs_end_as_before_and_new_runs_are_sagas(office: Office, guide: Guide) -> None:
    """The worker is replaced while runs are half way through; callers see the documented results."""
    async with office.worker(guide.before, has_plugin=False):
        closed = await office.start("ida")
        assert await office.end(closed) == "a room in Rome, a seat to Rome"
        old, old_refused = await office.start("ada"), await office.start("ben", "Atlantis")

    async with office.worker(guide.both):
        new, new_refused = await office.start("eve"), await office.start("max", "Atlantis")
        old_ends = [await office.end(old), await office.end(old_refused)]
        new_ends = [await office.end(new), await office.end(new_refused)]

    assert old_ends == ["a room in Rome, a seat to Rome", "NoSeat"]
    assert new_ends == ["a room in Rome, a seat to Rome", SAGA_COMPENSATED]
    assert [await activity_ids(each) for each in (closed, old, new)] == [AS_BEFORE, AS_BEFORE, AS_A_SAGA]
    assert await activity_ids(old_refused) == [*AS_BEFORE, "3"]
    assert await activity_ids(new_refused) == [*AS_A_SAGA, "compensate.book-hotel"]
    for each in (closed, old, old_refused, new, new_refused):
        await replay(guide.both, each)


async def test_failure_of_a_saga_has_the_old_code_and_reason(office: Office, guide: Guide) -> None:
    """A caller finds code and reason in the details."""
    async with office.worker(guide.both):
        trip = await office.start("max", "Atlantis")
        await trip.signal("confirm")
        with pytest.raises(WorkflowFailureError) as failed:
            async with asyncio.timeout(PATIENCE):
                await trip.result()

    assert isinstance(failed.value.cause, ApplicationError)
    (said,) = re.findall(r"its details are code, reason and field: `(.*?)`, `(.*?)`, none", TABLE)
    assert [*failed.value.cause.details] == [*said, None]


async def test_ids_and_keys_are_as_the_page_describes(office: Office, guide: Guide) -> None:
    """Participants with keys made of activity ids find the old and the new ids in the page."""
    (said,) = re.findall(r"activity ids were `(1)`, `(2)`, `(3)`, and are `(.*?)` and `(.*?)`", TABLE)
    (trip, step) = re.findall(r"the same key, `(.*?):(.*?)`", TABLE)[0]
    async with office.worker(guide.before, has_plugin=False):
        old = await office.start("ben", "Atlantis")
        await office.end(old)
    async with office.worker(guide.both):
        new = await office.start("max", "Atlantis")
        await office.end(new)

    action, flight, compensation = await activity_ids(new)
    assert (*await activity_ids(old), action, compensation) == said
    assert flight == "book-flight"
    assert {idempotency_key(trip, each) for each in (action, compensation)} == {f"{trip}:{step}"}


async def test_cancel_compensates_the_room_only_after(office: Office, guide: Guide) -> None:
    """The old code keeps the booked room after a cancel; the saga compensates the booking."""
    async with office.worker(guide.before, has_plugin=False):
        before = await office.start("ada")
        await before.cancel()
        assert await office.result(before) == "CancelledError"
    async with office.worker(guide.both):
        after = await office.start("eve")
        await after.cancel()
        assert await office.result(after) == "CancelledError"

    assert await activity_ids(before) == ["1"]
    assert await activity_ids(after) == ["book-hotel", "compensate.book-hotel"]


async def test_switched_off_new_runs_are_plain_and_sagas_go_on(office: Office, guide: Guide) -> None:
    """The page describes how to switch sagas on, and how to switch sagas off again."""
    async with office.worker(guide.both):
        saga = await office.start("eve", "Atlantis")
    (option,) = re.findall(r"^# Worker\(client, .*, (\w+)=is_on\)$", PAGE, re.MULTILINE)
    async with office.worker(guide.both, **{option: guide.switch.is_on}):
        plain = await office.start("kim")
        assert await office.end(saga) == SAGA_COMPENSATED
    async with office.worker(guide.both):
        assert await office.end(plain) == "a room in Rome, a seat to Rome"

    assert await activity_ids(saga) == [*AS_A_SAGA, "compensate.book-hotel"]
    assert await activity_ids(plain) == AS_BEFORE
    for each in (saga, plain):
        await replay(guide.both, each)


async def test_old_code_cannot_go_on_with_a_saga(office: Office, guide: Guide) -> None:
    """Switching off must not deploy the old code, which cannot replay the history of a saga."""
    async with office.worker(guide.both):
        saga = await office.start("eve")
        await office.end(saga)

    with pytest.raises(NondeterminismError):
        await replay(guide.before, saga)


async def test_cleaned_up_code_replays_sagas_and_nothing_older(office: Office, guide: Guide) -> None:
    """All old runs must have ended before; the page describes how to count the old runs."""
    async with office.worker(guide.before, has_plugin=False):
        old = await office.start("ada")
        await office.end(old)
    async with office.worker(guide.both):
        saga = await office.start("eve")
    async with office.worker(guide.after):
        assert await office.end(saga) == "a room in Rome, a seat to Rome"
        new = await office.start("max", "Atlantis")
        assert await office.end(new) == SAGA_COMPENSATED

    await replay(guide.after, saga)
    await replay(guide.after, new)
    with pytest.raises(NondeterminismError):
        await replay(guide.after, old)


async def test_a_run_without_the_patch_is_found_by_a_query(
    office: Office, guide: Guide, temporal_program: str
) -> None:
    """The command of the page counts the remaining old runs."""
    (command,) = re.findall(r"```\n(temporal workflow count .*?)\n```", PAGE, re.DOTALL)
    *words, query = shlex.split(command.replace("\\\n", " "))
    async with office.worker(guide.before, has_plugin=False):
        old = await office.start("ada")
    async with office.worker(guide.both):
        new = await office.start("eve")
        client = await Client.connect(office.server)
        here = f" AND TaskQueue = '{office.task_queue}'"

        async def are_listed() -> bool:
            found = [f"WorkflowId = '{old.id}'", "TemporalChangeVersion = 'trip-is-a-saga'"]
            return all([(await client.count_workflows(each + here)).count for each in found])

        # Temporal's list of workflows and their search attributes lags behind by an unknown time.
        await until(are_listed)
        found = [each.id async for each in client.list_workflows(query + here)]
        counted = await run(temporal_program, *words[1:], query + here, "--address", office.server)
        await office.end(old)
        await office.end(new)

    assert found == [old.id]
    assert counted == (0, "Total: 1\n")


async def test_the_search_attribute_is_registered_by_the_command_of_the_page(temporal_program: str) -> None:
    """The command works on a server without the search attribute."""
    (command,) = re.findall(r"```\n(temporal operator search-attribute create .*?)\n```", PAGE)
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_program, dev_server_log_level="never"
    )
    async with environment as own:
        here = ["--address", own.client.service_client.config.target_host]
        created, _ = await run(temporal_program, *shlex.split(command)[1:], *here)
        _, attributes = await run(temporal_program, "operator", "search-attribute", "list", *here)

    assert created == 0
    assert re.search(rf"^ *{SAGA_STATUS.name} +Keyword *$", attributes, re.MULTILINE)


async def run(program: str, *arguments: str) -> tuple[int | None, str]:
    """A command of the page, as a process."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return process.returncode, output.decode()
