"""The code in the documents exists: commands and their options, names, variables, files, headings."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command

import activities
import choreography
import sagas
import sagas.operator
import sagas.testing
import workers
from examples.compare.__main__ import app as compare
from examples.order.deployment import REACTIONS, SERVICES
from examples.order.services.__main__ import app as services
from sagas._core.status import ENDED
from tests.guide_code import DOCS
from workers._cli.main import app
from workers._configuration.settings import PREFIX, Settings

ROOT = DOCS.parent
PAGES = {page.name: page.read_text() for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PACKAGES = (sagas, sagas.operator, sagas.testing, activities, workers, choreography)
UNNAMED = {"README.md": 2, "choreography.md": 1, "telemetry.md": 3}
"""The number of Python blocks without a module name; a test of the page runs each block."""


PROGRAMS: dict[str, Any] = {
    "sagas": get_command(app),
    "python -m examples.order.services": get_command(services),
    ".venv/bin/python -m examples.compare": get_command(compare),
}


def spans(text: str) -> list[str]:
    """The code spans of the sentences."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", BLOCK.sub("", text))]


def typed(text: str) -> Iterator[str]:
    """Lines to type: the lines of blocks without a language, and the code spans of the sentences."""
    for language, block in BLOCK.findall(text):
        if not language:
            yield from (line.removeprefix("$ ") for line in block.replace("\\\n", " ").splitlines())
    yield from spans(text)


COMMANDS = sorted(
    {
        (name, line)
        for text in PAGES.values()
        for line in typed(text)
        for name in PROGRAMS
        if line.startswith(f"{name} ")
    }
)


@pytest.mark.parametrize(("name", "line"), COMMANDS, ids=[line for _, line in COMMANDS])
def test_every_command_of_the_documents_exists(name: str, line: str) -> None:
    """The program has the command with all options; `…` stands for the reason."""
    line = re.sub(r"(?<!--because) …$", " --because …", line.removeprefix(name))
    command, words = PROGRAMS[name], shlex.split(line, comments=True)
    while hasattr(command, "commands"):
        if words[0].startswith("-"):
            # Only looked up: `--install-completion` is executed while the line is parsed.
            assert words[0] in {option for each in command.params for option in each.opts}
            return
        command = command.commands[words.pop(0)]
    if words:
        command.make_context(name, words)


def test_every_program_is_among_the_commands() -> None:
    """Without this check, a program without a documented command would go unnoticed."""
    assert {name for name, _ in COMMANDS} == PROGRAMS.keys()


def test_targets_and_variables_exist() -> None:
    """Targets of `make`, environment variables, and the values of `SAGAS_TELEMETRY`."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = [line for text in PAGES.values() for line in typed(text)]
    made = {target for line in lines for target in re.findall(r"^(?:\w+=\S+ )*make (\w+)", line)}
    variables = {word for text in PAGES.values() for word in re.findall(rf"\b{PREFIX}[A-Z_]+", text)}
    (values,) = re.findall(r"^\| `SAGAS_TELEMETRY` \| (.*) \|$", PAGES["telemetry.md"], re.MULTILINE)

    assert {"demo", "compare", "dev"} <= made <= targets
    assert variables
    assert variables <= {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert set(spans(values)) == set(get_args(Settings.model_fields["telemetry"].annotation))


def test_every_block_of_python_is_run() -> None:
    """The test of the page runs the blocks without a module name; a new block needs a new test."""
    blocks = {
        page: [code for kind, code in BLOCK.findall(text) if kind == "python"] for page, text in PAGES.items()
    }
    unnamed = {
        page: len([code for code in found if not re.match(r"# \w+\.py\n", code)])
        for page, found in blocks.items()
    }

    assert {page: count for page, count in unnamed.items() if count} == UNNAMED


@pytest.mark.parametrize("page", PAGES)
def test_every_name_in_a_sentence_exists(page: str) -> None:
    """Keywords of calls, attributes of our classes, and files."""
    ours = {name: getattr(package, name) for package in PACKAGES for name in package.__all__}
    owners = ours | {package.__name__: package for package in PACKAGES}
    for code in spans(PAGES[page]):
        if call := re.fullmatch(r"(\w+)\((\w+)=(.*)\)", code):
            assert call[2] in inspect.signature(ours[call[1]]).parameters, code
        for owner, name in re.findall(r"\b(\w+)\.(?!py\b)(\w+)\b", code):
            assert owner not in owners or hasattr(owners[owner], name), code
        if re.fullmatch(r"[\w-]+(/[\w.-]+)+\.(py|md|yaml)", code):
            assert (ROOT / code).exists(), code


def test_every_heading_of_a_link_exists() -> None:
    """A link names a heading by the anchor of GitHub."""
    for page, text in PAGES.items():
        for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", text):
            headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", PAGES[Path(target or page).name]), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]
            assert anchor in anchors, f"{page}: {target}#{anchor}"


def test_the_services_agree_with_their_page() -> None:
    """The page has each action with the compensation."""
    actions, name = dict[tuple[str, str], str](), ""
    rows = re.findall(r"^\| (`\w+` )?\| (`[a-z]+-.*?) \| (.*?) \|$", PAGES["services.md"], re.MULTILINE)
    for who, done, compensation in rows:
        name = who.strip("` ") or name
        actions |= {(name, action): "".join(spans(compensation)) for action in spans(done)}

    assert actions == {
        (name, each.operation.name): each.compensation.operation.name if each.compensation else ""
        for name, door in SERVICES.items()
        for each in door.participant.handlers
    }


def test_the_story_of_the_choreography_names_real_events() -> None:
    """Events, commands and operations of the order saga."""
    story = PAGES["choreography.md"].partition("## The order saga")[2]
    named = {word for line in typed(story) for word in re.findall(r"(?<![\w/])[a-z]+(?:-[a-z]+)+", line)}
    event_types = {
        kind.name for each in REACTIONS.values() for kind in (*each.event_types, *each.published_event_types)
    }
    commands = {command.name for each in REACTIONS.values() for command in each.command_types}
    operations = {each.operation.name for door in SERVICES.values() for each in door.participant.handlers}

    assert named <= event_types | commands | operations
    assert len(named & event_types) > 10


def test_a_reaction_has_every_documented_method() -> None:
    """The methods for actions, and for events after the actions."""
    (table,) = re.findall(r"^\| \| what it does .*?\n\n", PAGES["choreography.md"], re.DOTALL | re.MULTILINE)
    begun: Any = choreography.on()
    steps = (begun, begun.do(SERVICES["order"].participant.handlers[0].operation))
    named = re.findall(r"`\.(\w+)\(", table)

    assert len(named) > 6
    assert [name for name in named if not any(hasattr(step, name) for step in steps)] == []


def test_metrics_have_every_ending() -> None:
    """The row has the statuses of ended sagas."""
    (row,) = re.findall(r"^\| `saga_ended_total\{status\}` \| (.*) \|$", PAGES["telemetry.md"], re.MULTILINE)

    assert set(spans(row)) == ENDED
