"""The wire format is unchanged: names, bytes, and the values read from them.

Histories, databases, queues and folders of earlier versions must stay readable, and workers of two versions
run side by side. A failing test here shows a change that would break compatibility. Only an intended change
of the wire format may rewrite the golden files.
"""

import dataclasses
import json
import pkgutil
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib import import_module
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from .commands import commands, stories
from .golden import COMMANDS, GOLDEN, STORIES, read
from .samples import CONSTANTS, ENUMS, IN_PROCESS_ONLY, PACKAGES, SAMPLES, as_text

STORED = read(GOLDEN)
STORED_COMMANDS = read(COMMANDS)["commands"]
STORED_STORIES = read(STORIES)["cli-json"]
NAMED = [(section, name) for section in SAMPLES for name in STORED[section]]


@pytest.fixture(scope="session")
def samples() -> dict[str, dict[str, Any]]:
    return {section: make() for section, make in SAMPLES.items()}


@pytest.fixture(scope="session")
def replayed() -> dict[str, object]:
    return commands()


def test_the_golden_file_has_the_same_sections() -> None:
    """No test would check a section that exists only in the file."""
    assert STORED.keys() == CONSTANTS.keys() | SAMPLES.keys()


@pytest.mark.parametrize("section", CONSTANTS)
def test_constants_are_unchanged(section: str) -> None:
    """Names, codes, ids, tables and layouts, and the readings of responses and failures."""
    assert json.loads(as_text(CONSTANTS[section]())) == STORED[section]


@pytest.mark.parametrize("section", SAMPLES)
def test_every_sample_is_in_the_golden_file(section: str, samples: Mapping[str, Mapping[str, Any]]) -> None:
    """A sample that exists only in the code would be compared with nothing."""
    assert samples[section].keys() == STORED[section].keys()


@pytest.mark.parametrize(("section", "name"), NAMED, ids=[f"{section}: {name}" for section, name in NAMED])
def test_a_sample_is_written_and_read_as_ever(
    section: str, name: str, samples: Mapping[str, Mapping[str, Any]]
) -> None:
    """The value gives the golden bytes; the bytes give an equal value, which gives the golden bytes again."""
    sample, golden = samples[section][name], STORED[section][name]

    assert sample.write(sample.value) == golden
    again = sample.read(golden)
    assert sample.same(again) == sample.same(sample.value)
    assert sample.write(again) == golden


@pytest.mark.parametrize("run", STORED_COMMANDS)
def test_a_replay_gives_the_golden_commands(run: str, replayed: Mapping[str, object]) -> None:
    """Headers, ids, inputs, memos, summaries, policies, results and failures of every stored history.

    The types of causes are not compared: Temporal's SDK writes the names of error classes into causes, into
    failures of workflow tasks, and into failures of activities other than rejections.
    """
    assert json.loads(as_text(replayed[run])) == STORED_COMMANDS[run]


def test_every_stored_history_has_its_commands(replayed: Mapping[str, object]) -> None:
    """A history recorded since is compared with nothing until the file is rewritten."""
    assert replayed.keys() == STORED_COMMANDS.keys()


def test_stored_histories_are_read_as_ever() -> None:
    """A reader finds the written names, ids, codes, headers and summaries in a history."""
    assert json.loads(as_text(stories())) == STORED_STORIES


def test_every_model_has_a_sample(samples: Mapping[str, Mapping[str, Any]]) -> None:
    """A new model or enumeration has a sample, or a reason to stay in the process."""
    values = [sample.value for section in samples.values() for sample in section.values()]
    sampled = set(_types_in(values)) | set(ENUMS.values())

    unknown = {kind for kind in _types_to_sample() if not any(issubclass(each, kind) for each in sampled)}

    assert unknown - IN_PROCESS_ONLY.keys() == set()
    assert IN_PROCESS_ONLY.keys() - set(_types_to_sample()) == set()


def _types_to_sample() -> Iterator[type[Any]]:
    """Models and enumerations of both packages, and the dataclasses in fields of models."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for kind in vars(import_module(module.name)).values():
                if not isinstance(kind, type) or kind.__module__ != module.name:
                    continue
                if issubclass(kind, StrEnum):
                    yield kind
                elif issubclass(kind, BaseModel) and not kind.__pydantic_generic_metadata__["args"]:
                    yield kind
                    for field in kind.model_fields.values():
                        yield from _dataclasses_in(field.annotation)


def _dataclasses_in(annotation: Any) -> Iterator[type[Any]]:
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        yield annotation
        for field in dataclasses.fields(annotation):
            yield from _dataclasses_in(field.type)
    for part in get_args(annotation):
        yield from _dataclasses_in(part)


def _types_in(value: object) -> Iterator[type[Any]]:
    """The types of a value and of all parts of the value."""
    yield value.__class__
    parts: list[object] = []
    if isinstance(value, BaseModel):
        parts = [getattr(value, name) for name in value.__class__.model_fields]
    elif dataclasses.is_dataclass(value):
        parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, (list, tuple)):
        parts = list(value)
    for part in parts:
        yield from _types_in(part)
