"""The commands `sagas histories record` and `sagas histories replay`."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._configuration.import_string import load_converter, load_named
from .._configuration.settings import load_settings
from .._connections.temporal import connect
from .._errors import ConfigurationError
from .._histories.recording import Replayed, read_recordings, record_history, replay_recordings
from .exit_codes import FAILED, run_main

histories = typer.Typer(
    name="histories", help="Keep histories of sagas, and replay them with changed code.", no_args_is_help=True
)


@histories.command()
def record(
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="The ids of the sagas.")],
    *,
    to: Annotated[Path, typer.Option("--to", help="Where each gets a folder of its own.")],
) -> None:
    """Write the histories of sagas, their children and their later runs into a folder.

    They contain business data: what each workflow was given, what it sent and what it got, as the server
    has it. Record what your tests may know.
    """
    run_main(_record(ids, to))


@histories.command()
def replay(
    folder: Annotated[Path, typer.Argument(help="What `record` has written, or a folder of such folders.")],
    *,
    workflows: Annotated[
        list[str], typer.Option("--workflows", help="A class, as examples.order.saga:OrderSaga; repeatable.")
    ],
) -> None:
    """Replay recorded histories with the code of today, and say where it would have done something else.

    Exit code 0: running sagas survive the change. 1: they do not. 2: it could not be told.
    """
    run_main(_replay(folder, workflows))


async def _record(ids: Sequence[str], to: Path) -> None:
    client = await connect(load_settings())
    for saga_id in ids:
        recording = await record_history(client, saga_id, to)
        count = len(recording.manifest.runs)
        typer.echo(f"recorded {saga_id!r}: {_histories(count)} in {recording.folder}")


async def _replay(folder: Path, names: Sequence[str]) -> int:
    # Temporal's SDK warns of each difference, with a traceback; here it is the answer.
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    classes = [load_workflow(name) for name in names]
    converter = load_converter(load_settings())
    replayed = await replay_recordings(read_recordings(folder), classes, data_converter=converter)
    for each in replayed:
        typer.echo(_line(each))
    differ = sum(bool(each.difference) for each in replayed)
    if differ:
        typer.echo(f"{differ} of {_histories(len(replayed))} do not replay", err=True)
        return FAILED
    typer.echo(f"{_histories(len(replayed))} replayed")
    return 0


def _line(replayed: Replayed) -> str:
    run = replayed.run
    about = f"{run.workflow_id} ({run.workflow_type}, {run.events} events)"
    return f"DIFFERS {about}: {replayed.difference}" if replayed.difference else f"ok      {about}"


def _histories(count: int) -> str:
    return "1 history" if count == 1 else f"{count} histories"


def load_workflow(name: str) -> type:
    """A workflow class by its import path, as seen from the current folder: `examples.order.saga:OrderSaga`.

    Raises:
        ConfigurationError: There is no such class, or it is none of a workflow.
    """
    found = load_named(name, "examples.order.saga:OrderSaga")
    if not isinstance(found, type) or WorkflowDefinition.from_class(found) is None:
        raise ConfigurationError(f"{name!r} is no workflow class")
    return found
