"""The commands `sagas histories record` and `sagas histories replay`."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._configuration.data_converter import load_data_converter
from .._configuration.import_string import import_string
from .._configuration.settings import load_settings
from .._connections.temporal import connect
from .._errors import ConfigurationError
from .._histories.recorder import record_history
from .._histories.recording import read_recordings
from .._histories.replay import ReplayResult, replay_recordings
from .exit_codes import FAILED, run_main

histories = typer.Typer(
    name="histories",
    help="Record workflow histories, and replay them with changed code.",
    no_args_is_help=True,
)


@histories.command()
def record(
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="The ids of the sagas.")],
    *,
    to: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", help="The folder; each saga gets a subfolder.")
    ],
) -> None:
    """Record the histories of sagas, their children and later runs.

    Recordings contain business data: the inputs and results of workflows and activities, as the server has
    them. Record only sagas whose data your tests may contain.
    """
    run_main(_record(ids, to))


@histories.command()
def replay(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A recording, or a folder of recordings.")],
    *,
    workflows: Annotated[
        list[str],
        typer.Option(
            "--workflows",
            metavar="MODULE:CLASS",
            help="A workflow class, as in examples.order.saga:OrderSaga; repeatable.",
        ),
    ],
) -> None:
    """Replay recorded histories with the current code.

    The report names each difference. Exit code 0: running sagas continue with the current code. 1: a history
    differs. 2: the replay could not start.
    """
    run_main(_replay(folder, workflows))


async def _record(ids: Sequence[str], to: Path) -> None:
    client = await connect(load_settings())
    for saga_id in ids:
        recording = await record_history(client, saga_id, to)
        typer.echo(f"recorded {saga_id!r}: {_count(len(recording.manifest.runs))} in {recording.folder}")


async def _replay(folder: Path, import_strings: Sequence[str]) -> int:
    # temporalio would log each difference with a traceback, in addition to the report below.
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    classes = [load_workflow(each) for each in import_strings]
    data_converter = load_data_converter(load_settings())
    results = await replay_recordings(read_recordings(folder), classes, data_converter=data_converter)
    for result in results:
        typer.echo(_line(result))
    different = sum(bool(result.difference) for result in results)
    if different:
        typer.echo(f"{different} of {_count(len(results))} do not replay", err=True)
        return FAILED
    typer.echo(f"{_count(len(results))} replayed")
    return 0


def _line(result: ReplayResult) -> str:
    run = result.run
    history = f"{run.workflow_id} ({run.workflow_type}, {run.events} events)"
    return f"DIFFERS {history}: {result.difference}" if result.difference else f"ok      {history}"


def _count(histories: int) -> str:
    return "1 history" if histories == 1 else f"{histories} histories"


def load_workflow(path: str) -> type:
    """Imports a workflow class by its import string: `examples.order.saga:OrderSaga`.

    Raises:
        ConfigurationError: The import fails, or the object is not a workflow class.
    """
    found = import_string(path, example="examples.order.saga:OrderSaga")
    if not isinstance(found, type) or WorkflowDefinition.from_class(found) is None:
        raise ConfigurationError(f"{path!r} is not a workflow class: @workflow.defn is missing")
    return found
