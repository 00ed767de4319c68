"""The commands of operators: `sagas list`, `show`, `preview`, `rescue` and the others."""

import getpass
import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from shutil import get_terminal_size
from typing import Annotated

import typer
from pydantic import BaseModel, ValidationError

from sagas import SagaPlugin
from sagas.operator import (
    COMPENSATION_REQUESTED,
    Preview,
    Rescue,
    SagaClient,
    SagaSummary,
    Timeline,
    render_list,
    render_mermaid,
    render_preview,
    render_timeline,
)

from .._configuration.settings import load_settings
from .._configuration.validation_text import describe_problem
from .._connections.temporal import connect
from .._errors import ConfigurationError
from .exit_codes import run_main


class OutputFormat(StrEnum):
    """The output formats of `sagas show`."""

    TEXT = "text"
    JSON = "json"
    MERMAID = "mermaid"


class ListedStatus(StrEnum):
    """The statuses by which `sagas list` selects."""

    FAILING_CODE = "failing-code"
    STUCK = "stuck"
    HELD = "held"
    COMPENSATING = "compensating"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    SETTLED = "settled"
    TERMINATED = "terminated"
    TIMED_OUT = "timed-out"
    FAILED = "failed"


class CommandResult(BaseModel):
    """The JSON output of a command that changes a saga."""

    saga_id: str
    verb: str
    status: str


ANSWERS = {COMPENSATION_REQUESTED: "about to compensate, when its steps have ended, unless its pivot is done"}
"""The words for answers to verbs that are no status."""

SagaId = Annotated[str, typer.Argument(metavar="SAGA", help="The id of the saga.")]
StepAddress = Annotated[
    str, typer.Argument(metavar="STEP", help="The address of the step, as in payment:capture-payment.")
]
By = Annotated[
    str,
    typer.Option(
        "--by", metavar="NAME", default_factory=getpass.getuser, show_default="your login", help="Your name."
    ),
]
Because = Annotated[
    str, typer.Option("--because", metavar="REASON", help="The reason, for the history of the saga.")
]
Roles = Annotated[
    list[str] | None, typer.Option("--role", metavar="ROLE", help="A role of yours; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Format = Annotated[
    OutputFormat | None,
    typer.Option("--format", metavar="FORMAT", show_default="text", help="text, json or mermaid."),
]


def add_operator_commands(app: typer.Typer) -> None:
    """Adds the commands of operators to the `sagas` command."""
    app.command("list")(list_sagas)
    for command in (show, preview, hold, resume, retry, skip, complete, compensate, approve, rescue):
        app.command()(command)


def list_sagas(
    *,
    status: Annotated[
        ListedStatus | None,
        typer.Option(metavar="STATUS", help=f"List only sagas of this status: {', '.join(ListedStatus)}."),
    ] = None,
    query: Annotated[
        str | None, typer.Option(metavar="QUERY", help="A visibility query: \"WorkflowType = 'OrderSaga'\".")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="The maximum number of sagas.")] = 100,
    as_json: Json = False,
) -> None:
    """List open sagas, the most urgent first.

    The order is failing-code, stuck, held, compensating, running.

    With --status, list the sagas of one status, closed sagas included. The running sagas are all open
    workflows without a parent, sagas or not: narrow the list down with --query. --status waiting lists the
    sagas that wait for an approval, and reads the history of every running workflow.
    """

    async def answer(client: SagaClient) -> str:
        try:
            found = await client.list(status=status and status.value, query=query, limit=limit)
        except ValueError as error:
            raise ConfigurationError(f"--query: {error}") from error
        return _json_list(found) if as_json else render_list(found, width=_terminal_width())

    _print_answer(answer)


def show(*, saga: SagaId, answer_format: Format = None, as_json: Json = False) -> None:
    """Show the timeline of a saga: steps, compensations, children.

    Commands of operators are part of the timeline.
    """
    if as_json and answer_format not in (None, OutputFormat.JSON):
        raise typer.BadParameter(f"conflicts with --format {answer_format}", param_hint="--json")

    async def answer(client: SagaClient) -> str:
        timeline: Timeline = await client.show(saga)
        if as_json or answer_format is OutputFormat.JSON:
            return _json(timeline)
        is_chart = answer_format is OutputFormat.MERMAID
        return render_mermaid(timeline) if is_chart else render_timeline(timeline, width=_terminal_width())

    _print_answer(answer)


def preview(*, saga: SagaId, as_json: Json = False) -> None:
    """Preview the compensations that a failure would start now.

    Effects that would remain are listed too.
    """

    async def answer(client: SagaClient) -> str:
        previewed: Preview = await client.preview(saga)
        return _json(previewed) if as_json else render_preview(previewed, width=_terminal_width())

    _print_answer(answer)


def hold(*, saga: SagaId, because: Because, by: By, role: Roles = None, as_json: Json = False) -> None:
    """Hold a saga before its next step."""

    def request(client: SagaClient) -> Awaitable[str]:
        return client.hold(saga, by=by, because=because, roles=_roles(role))

    _change("hold", saga, request, as_json)


def resume(*, saga: SagaId, because: Because, by: By, role: Roles = None, as_json: Json = False) -> None:
    """Resume a held saga."""

    def request(client: SagaClient) -> Awaitable[str]:
        return client.resume(saga, by=by, because=because, roles=_roles(role))

    _change("resume", saga, request, as_json)


def retry(*, saga: SagaId, because: Because, by: By, role: Roles = None, as_json: Json = False) -> None:
    """Retry the failing activity of a stuck saga at once."""

    def request(client: SagaClient) -> Awaitable[str]:
        return client.retry(saga, by=by, because=because, roles=_roles(role))

    _change("retry", saga, request, as_json, effect="retries now")


def skip(
    *, saga: SagaId, step: StepAddress, because: Because, by: By, role: Roles = None, as_json: Json = False
) -> None:
    """Skip a failing compensation, or count the pivot as not done."""

    def request(client: SagaClient) -> Awaitable[str]:
        return client.skip(saga, step, by=by, because=because, roles=_roles(role))

    _change("skip", saga, request, as_json, effect=f"skips {step}")


def complete(
    *,
    saga: SagaId,
    step: StepAddress,
    because: Because,
    by: By,
    result: Annotated[
        str | None, typer.Option(metavar="JSON", help="The result of the action; not for a compensation.")
    ] = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Count a stuck step or compensation as completed manually."""
    value = _parse_json(result)

    def request(client: SagaClient) -> Awaitable[str]:
        return client.complete(saga, step, value, by=by, because=because, roles=_roles(role))

    _change("complete", saga, request, as_json, effect=f"counts {step} as completed manually")


def compensate(*, saga: SagaId, because: Because, by: By, role: Roles = None, as_json: Json = False) -> None:
    """Make a saga compensate its steps, unless its pivot is done."""

    def request(client: SagaClient) -> Awaitable[str]:
        return client.compensate(saga, by=by, because=because, roles=_roles(role))

    _change("compensate", saga, request, as_json)


def approve(
    *,
    saga: SagaId,
    approval: Annotated[str, typer.Argument(metavar="APPROVAL", help="The approval, as in large-order.")],
    because: Because,
    by: By,
    is_approved: Annotated[bool, typer.Option("--yes/--no", help="The decision.")] = True,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Decide an approval for which a saga waits."""

    def request(client: SagaClient) -> Awaitable[str]:
        return client.approve(
            saga, approval, is_approved=is_approved, by=by, because=because, roles=_roles(role)
        )

    decision = "approved" if is_approved else "refused"
    _change("approve", saga, request, as_json, effect=f"counts {approval} as {decision}")


def rescue(
    *,
    saga: SagaId,
    because: Because,
    by: By,
    terminate: Annotated[
        bool, typer.Option("--terminate", help="First terminate an open saga whose code cannot be mended.")
    ] = False,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Compensate or finish a terminated or timed-out saga.

    Runs the pending compensations; after the pivot, continues the saga instead. With --terminate, also an
    open saga before the pivot.
    """

    async def answer(client: SagaClient) -> str:
        outcome: Rescue = await client.rescue(
            saga, by=by, because=because, roles=_roles(role), terminate=terminate
        )
        return _json(outcome) if as_json else f"{outcome.sentence}\n"

    _print_answer(answer)


def _change(
    verb: str,
    saga: str,
    request: Callable[[SagaClient], Awaitable[str]],
    as_json: bool,  # noqa: FBT001 - a flag of the command line
    *,
    effect: str = "",
) -> None:
    """Sends a request to a saga, and prints the status of the saga after the request, and the effect."""

    async def answer(client: SagaClient) -> str:
        result = CommandResult(saga_id=saga, verb=verb, status=await request(client))
        status = ANSWERS.get(result.status, result.status)
        return _json(result) if as_json else f"{saga} is {status}{effect and f', and {effect}'}\n"

    _print_answer(answer)


def _print_answer(answer: Callable[[SagaClient], Awaitable[str]]) -> None:
    run_main(_connect_and_print(answer))


async def _connect_and_print(answer: Callable[[SagaClient], Awaitable[str]]) -> None:
    client = await connect(load_settings(), plugins=[SagaPlugin()])
    try:
        text = await answer(SagaClient(client))
    except ValidationError as error:
        problems = (
            f"--{'.'.join(map(str, each['loc']))}: {describe_problem(each)}" for each in error.errors()
        )
        raise ConfigurationError("; ".join(problems)) from error
    typer.echo(text, nl=False)


def _terminal_width() -> int:
    """The width of the terminal in columns; 100 when stdout is not a terminal."""
    return get_terminal_size((100, 24)).columns


def _roles(role: list[str] | None) -> frozenset[str]:
    return frozenset(role or ())


def _parse_json(text: str | None) -> object:
    try:
        value: object = None if text is None else json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not valid JSON: {error}", param_hint="--result") from error
    return value


def _json(model: BaseModel) -> str:
    return model.model_dump_json(indent=2) + "\n"


def _json_list(sagas: tuple[SagaSummary, ...]) -> str:
    return json.dumps([saga.model_dump(mode="json") for saga in sagas], indent=2) + "\n"
