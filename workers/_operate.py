"""The commands with which operators see sagas and step in: `sagas list`, `show`, `rescue` and the others."""

import getpass
import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from shutil import get_terminal_size
from typing import Annotated

import typer
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sagas import SagaPlugin
from sagas.operator import (
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

from ._connection import connect
from ._errors import ConfigurationError
from ._exit import run_main
from ._settings import load_settings


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"
    MERMAID = "mermaid"


class Wanted(StrEnum):
    """The statuses that can be listed."""

    STUCK = "stuck"
    HELD = "held"
    COMPENSATING = "compensating"
    RUNNING = "running"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    SETTLED = "settled"
    TERMINATED = "terminated"
    TIMED_OUT = "timed-out"
    FAILED = "failed"


class Done(BaseModel):
    """What a verb has come to."""

    saga: str
    verb: str
    status: str


SagaId = Annotated[str, typer.Argument(metavar="SAGA", help="The saga's id.")]
Address = Annotated[str, typer.Argument(metavar="STEP", help="The step's address: payment:capture-payment.")]
By = Annotated[
    str,
    typer.Option("--by", default_factory=getpass.getuser, show_default="your login", help="Who asks."),
]
Because = Annotated[str, typer.Option("--because", help="The reason; it stays in the saga's history.")]
Roles = Annotated[
    list[str] | None, typer.Option("--role", help="A role that you have; may be given several times.")
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
FormatOption = Annotated[Format | None, typer.Option("--format", show_default="text", help="How to answer.")]


def add_commands(app: typer.Typer) -> None:
    """Adds the operators' commands to the `sagas` command."""
    app.command("list")(list_sagas)
    for command in (show, preview, hold, resume, retry, skip, complete, compensate, approve, rescue):
        app.command()(command)


def list_sagas(
    *,
    status: Annotated[Wanted | None, typer.Option(help="Only sagas of this status.")] = None,
    query: Annotated[
        str | None, typer.Option(help="Only those that fit it too: \"WorkflowType = 'OrderSaga'\".")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: Json = False,
) -> None:
    """List sagas: the open ones, those that need a person first.

    Without --status: the stuck ones, then held, compensating, and those on the happy path. The last are all
    open workflows that are nobody's child; narrow them down with --query.
    """

    async def answer(client: SagaClient) -> str:
        try:
            found = await client.list(status=status and status.value, query=query, limit=limit)
        except ValueError as error:
            raise ConfigurationError(f"--query: {error}") from error
        return _json_list(found) if as_json else render_list(found, width=_width())

    _answer(answer)


def show(*, saga: SagaId, answer_format: FormatOption = None, as_json: Json = False) -> None:
    """Tell a saga's story: its steps, compensations and children, and who stepped in."""
    if as_json and answer_format not in (None, Format.JSON):
        raise typer.BadParameter(f"it asks for JSON, and --format for {answer_format}", param_hint="--json")

    async def answer(client: SagaClient) -> str:
        timeline: Timeline = await client.show(saga)
        if as_json or answer_format is Format.JSON:
            return _json(timeline)
        is_chart = answer_format is Format.MERMAID
        return render_mermaid(timeline) if is_chart else render_timeline(timeline, width=_width())

    _answer(answer)


def preview(*, saga: SagaId, as_json: Json = False) -> None:
    """Say what would be compensated if the saga failed now, in which order, and what would stay."""

    async def answer(client: SagaClient) -> str:
        previewed: Preview = await client.preview(saga)
        return _json(previewed) if as_json else render_preview(previewed, width=_width())

    _answer(answer)


def hold(*, saga: SagaId, because: Because, by: By, role: Roles = None, as_json: Json = False) -> None:
    """Have a saga wait before its next step."""

    def ask(client: SagaClient) -> Awaitable[str]:
        return client.hold(saga, by=by, because=because, roles=_roles(role))

    _carry_out("hold", saga, ask, as_json)


def resume(*, saga: SagaId, because: Because, by: By, role: Roles = None, as_json: Json = False) -> None:
    """End a hold."""
    _carry_out(
        "resume",
        saga,
        lambda client: client.resume(saga, by=by, because=because, roles=_roles(role)),
        as_json,
    )


def retry(*, saga: SagaId, because: Because, by: By, role: Roles = None, as_json: Json = False) -> None:
    """Have a stuck saga try again at once."""

    def ask(client: SagaClient) -> Awaitable[str]:
        return client.retry(saga, by=by, because=because, roles=_roles(role))

    _carry_out("retry", saga, ask, as_json, then="tries again now")


def skip(
    *, saga: SagaId, step: Address, because: Because, by: By, role: Roles = None, as_json: Json = False
) -> None:
    """Leave out the compensation of a step that is stuck, or say of the pivot that it did not happen."""

    def ask(client: SagaClient) -> Awaitable[str]:
        return client.skip(saga, step, by=by, because=because, roles=_roles(role))

    _carry_out("skip", saga, ask, as_json, then=f"takes your word on {step}")


def complete(
    *,
    saga: SagaId,
    step: Address,
    because: Because,
    by: By,
    result: Annotated[
        str | None, typer.Option(help="What its action would have returned, as JSON; not for a compensation.")
    ] = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Say of a step that is stuck that it was done by hand."""
    value = _read_json(result)

    def ask(client: SagaClient) -> Awaitable[str]:
        return client.complete(saga, step, value, by=by, because=because, roles=_roles(role))

    _carry_out("complete", saga, ask, as_json, then=f"takes your word on {step}")


def compensate(*, saga: SagaId, because: Because, by: By, role: Roles = None, as_json: Json = False) -> None:
    """Turn a saga round: what it has done is made up for."""

    def ask(client: SagaClient) -> Awaitable[str]:
        return client.compensate(saga, by=by, because=because, roles=_roles(role))

    _carry_out("compensate", saga, ask, as_json, then="turns round, unless its pivot has happened")


def approve(
    *,
    saga: SagaId,
    approval: Annotated[str, typer.Argument(metavar="APPROVAL", help="What is decided: large-order.")],
    because: Because,
    by: By,
    is_approved: Annotated[bool, typer.Option("--yes/--no", help="The decision.")] = True,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Give the decision that a saga waits for."""

    def ask(client: SagaClient) -> Awaitable[str]:
        return client.approve(
            saga, approval, is_approved=is_approved, by=by, because=because, roles=_roles(role)
        )

    _carry_out("approve", saga, ask, as_json, then=f"takes your word on {approval}")


def rescue(*, saga: SagaId, because: Because, by: By, role: Roles = None, as_json: Json = False) -> None:
    """Make up for what a saga owes that was terminated or has timed out, or have it go on past its pivot."""

    async def answer(client: SagaClient) -> str:
        outcome: Rescue = await client.rescue(saga, by=by, because=because, roles=_roles(role))
        return _json(outcome) if as_json else f"{outcome.sentence}\n"

    _answer(answer)


def _carry_out(
    verb: str,
    saga: str,
    ask: Callable[[SagaClient], Awaitable[str]],
    as_json: bool,  # noqa: FBT001 - a flag
    *,
    then: str = "",
) -> None:
    async def answer(client: SagaClient) -> str:
        done = Done(saga=saga, verb=verb, status=await ask(client))
        return _json(done) if as_json else f"{saga} is {done.status}{then and f', and {then}'}\n"

    _answer(answer)


def _answer(answer: Callable[[SagaClient], Awaitable[str]]) -> None:
    run_main(_connect_and(answer))


async def _connect_and(answer: Callable[[SagaClient], Awaitable[str]]) -> None:
    client = await connect(load_settings(), plugins=[SagaPlugin()])
    try:
        text = await answer(SagaClient(client))
    except ValidationError as error:
        problems = (f"--{'.'.join(map(str, each['loc']))}: {_problem(each)}" for each in error.errors())
        raise ConfigurationError("; ".join(problems)) from error
    typer.echo(text, nl=False)


def _problem(error: ErrorDetails) -> str:
    """What is wrong with an option, in a sentence of ours where it is one of those that happen."""
    match error:
        case {"type": "string_too_short"}:
            return "it must not be empty"
        case {"type": "string_too_long", "ctx": {"max_length": most}}:
            return f"it must not be longer than {most} characters"
        case _:
            return error["msg"]


def _width() -> int:
    """As wide as the terminal is; what is no terminal is taken for a wide one."""
    return get_terminal_size((100, 24)).columns


def _roles(role: list[str] | None) -> frozenset[str]:
    return frozenset(role or ())


def _read_json(text: str | None) -> object:
    try:
        value: object = None if text is None else json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"it is no JSON: {error}", param_hint="--result") from error
    return value


def _json(model: BaseModel) -> str:
    return model.model_dump_json(indent=2) + "\n"


def _json_list(sagas: tuple[SagaSummary, ...]) -> str:
    return json.dumps([saga.model_dump(mode="json") for saga in sagas], indent=2) + "\n"
