"""docs/operating.md, done for real: its code on a real server, and every command that it shows."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from temporalio.client import Client

from sagas import SAGA_STATUS, SKIP, SagaPlugin, SkipRequest
from tests.pages import DOCS, modules_of
from tests.waiting import until
from workers._cli import app

from .agency import refuses
from .stage import Ending, Stage

PAGE = (DOCS / "operating.md").read_text()
COMMANDS = [line.partition("#")[0] for line in PAGE.splitlines() if line.startswith("sagas ")]
cached = pytest.mark.parametrize("stage", [1000], indirect=True, ids=["cached"])


@pytest.fixture(scope="module")
def night_watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with modules_of("operating.md", tmp_path_factory.mktemp("operating")) as modules:
        yield modules["night_watch"]


@cached
async def test_the_night_watch_has_every_stuck_saga_try_again(
    stage: Stage, server: str, night_watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by its status, and mended by one word."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", server)
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "fail")
    await stage.status(trip, "stuck")

    async def is_listed() -> bool:
        found = [each async for each in stage.client.list_workflows(f"{SAGA_STATUS.name} = 'stuck'")]
        return trip.id in [each.id for each in found]

    await until(is_listed)

    assert await night_watch.retry_stuck_sagas(stage.task_queue) == [trip.id]
    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")


@cached
async def test_who_is_not_on_duty_may_not_skip(stage: Stage, server: str, night_watch: Any) -> None:
    """The sentence of the page's check is what is answered; who is on duty is heard."""
    await stage.close()
    stage.client = await Client.connect(server, plugins=[SagaPlugin(authorize=night_watch.on_duty)])
    await stage.open()
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "fail")
    await stage.status(trip, "stuck")

    request = SkipRequest(by="tom", because="why not", step="book-hotel")
    assert (await stage.refusal(trip, SKIP, request)).endswith("'tom' is not on duty")

    await stage.ask(trip, SKIP, request.model_copy(update={"by": "mia"}))
    assert (await stage.ending(trip)).saga == "settled"


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_of_the_page_is_one(line: str) -> None:
    """Its verb, its arguments and its options are understood; what it does is tested with the verbs."""
    _, name, *words = shlex.split(line)
    commands = typer.main.get_command(app)
    context = typer.Context(commands)
    command = commands.get_command(context, name)  # type: ignore[attr-defined]  # it is a group
    assert command is not None
    assert command.make_context(name, list(words), parent=context).params


def test_the_page_shows_every_verb() -> None:
    """A verb that nobody is told of is used by nobody."""
    shown = set(re.findall(r"^sagas (\w+)", PAGE, re.MULTILINE))
    assert shown == {
        *("list", "show", "preview", "hold", "resume", "compensate", "approve"),
        *("retry", "skip", "complete", "rescue"),
    }
