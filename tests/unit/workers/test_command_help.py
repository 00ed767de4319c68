"""The help of every `sagas` command fits a terminal of 80 columns, and cuts no sentence."""

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from workers._cli.main import app

COMMANDS = {
    "list": "--status STATUS",
    "show": "--format FORMAT",
    "preview": "--json",
    "hold": "--because REASON",
    "resume": "--because REASON",
    "retry": "--by NAME",
    "skip": "STEP",
    "complete": "--result JSON",
    "compensate": "--role ROLE",
    "approve": "--yes / --no",
    "rescue": "--because REASON",
    "dev": "--data FOLDER",
    "new": "NAME",
    "histories": "replay",
    "histories record": "--to FOLDER",
    "histories replay": "--workflows MODULE:CLASS",
}


def help_of(command: str) -> Iterator[str]:
    result = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    yield from result.stdout.splitlines()


@pytest.mark.parametrize(
    ("command", "option"), [("", "--version"), ("", "--install-completion"), *COMMANDS.items()]
)
def test_help_fits_80_columns(command: str, option: str) -> None:
    """Lines are wrapped between words, and no summary ends in dots."""
    lines = list(help_of(command))

    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage:")]
    assert any(line.lstrip().startswith(option) for line in lines)


def test_help_lists_every_command() -> None:
    """Each command has a line with a summary."""
    listed = [line.split()[0] for line in help_of("") if line.startswith("  ") and len(line.split()) > 2]

    assert set(COMMANDS) - {"histories record", "histories replay"} <= set(listed)
