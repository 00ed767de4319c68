"""Messages that would arrive with other content are refused before anything has happened."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, computed_field, field_serializer
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Replayer, Worker

from sagas import Compensated, Completed, Saga, SagaPlugin, StartError, action, execute_saga, start_saga
from sagas._execution import activity_call

calls: list[str] = []


class Item(BaseModel):
    sku: str


class SizedItem(Item):
    size: int


class Basket(BaseModel):
    items: list[Item]


class Card(BaseModel):
    number: SecretStr


class OpenCard(BaseModel):
    number: SecretStr

    @field_serializer("number", when_used="json")
    def _reveal(self, number: SecretStr) -> str:
        return number.get_secret_value()


class Hidden(BaseModel):
    sku: str
    note: str = Field(default="", exclude=True)


class Aliased(BaseModel):
    row_number: int = Field(alias="rowNumber")


class SentAs(BaseModel):
    row_number: int = Field(default=0, serialization_alias="rowNumber")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    price: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gross(self) -> int:
        return self.price * 2


@dataclass
class Shelf:
    items: list[Item] = field(default_factory=list)


class Numbers(BaseModel):
    ratio: float
    tags: frozenset[str] = frozenset()


def messages() -> dict[str, object]:
    """Messages by name: a workflow's own input is JSON, and cannot carry these."""
    return {
        "subclass": Basket(items=[SizedItem(sku="a", size=7)]),
        "subclass in a dataclass": Shelf([SizedItem(sku="a", size=7)]),
        "secret": Card(number=SecretStr("4111")),
        "secret in a list": [Card(number=SecretStr("4111"))],
        "bare secret": SecretStr("4111"),
        "excluded field": Hidden(sku="a", note="b"),
        "serialization alias": SentAs(row_number=7),
        "computed and forbidden": Computed(price=7),
        "same class": Basket(items=[Item(sku="a")]),
        "serialized secret": OpenCard(number=SecretStr("4111")),
        "alias": Aliased(rowNumber=7),
        "excluded default": Hidden(sku="a"),
        "not a number": Numbers(ratio=float("nan")),
        "set": Numbers(ratio=0.5, tags=frozenset({"a", "b"})),
        "plain": {"a": [1, 2.5, None]},
    }


@activity.defn
async def take(message: Any) -> None:
    calls.append("take")


@activity.defn
async def give_back(message: Any) -> None:
    calls.append("give back")


@activity.defn
async def issue_card(name: str) -> Card:
    calls.append("issue")
    return Card(number=SecretStr("4111"))


taking = action(take).compensated_by(give_back)
issuing = action(issue_card).compensated_by(give_back)


@workflow.defn
class SendingSaga:
    @workflow.run
    async def run(self, name: str) -> str:
        async with Saga() as saga:
            if name == "secret result":
                await saga.step(issuing, name)
            elif name.startswith("child: "):
                await saga.child(ReceivingSaga.run, cast("Any", messages()[name[7:]]), name="child")
            else:
                await saga.step(taking, messages()[name])
        return name


@workflow.defn
class ReceivingSaga:
    @workflow.run
    async def run(self, message: Any) -> None:
        async with Saga():
            pass


@asynccontextmanager
async def running(server: str) -> AsyncIterator[tuple[Client, str]]:
    client = await Client.connect(server, plugins=[SagaPlugin()])
    queue = f"changed-{uuid4().hex[:8]}"
    calls.clear()
    async with Worker(
        client,
        task_queue=queue,
        workflows=[SendingSaga, ReceivingSaga],
        activities=[take, give_back, issue_card],
        max_cached_workflows=0,
    ):
        yield client, queue


async def replay(client: Client, saga_id: str) -> None:
    history = await client.get_workflow_handle(saga_id).fetch_history()
    replayer = Replayer(workflows=[SendingSaga, ReceivingSaga], plugins=[SagaPlugin()])
    await replayer.replay_workflow(history)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("subclass", "Basket.items"),
        ("subclass in a dataclass", "Shelf.items"),
        ("secret", "Card.number"),
        ("secret in a list", "Card.number"),
        ("bare secret", "SecretStr"),
        ("excluded field", "Hidden.note"),
        ("serialization alias", "SentAs.row_number"),
        ("computed and forbidden", "Computed"),
        ("not a number", "Numbers"),
        ("child: subclass", "Basket.items"),
        ("secret result", "'number' is a secret"),
    ],
)
async def test_a_changed_message_is_refused_before_the_step_is_sent(
    server: str, name: str, part: str
) -> None:
    """The step is rejected with the type and the field, and never with the value."""
    async with running(server) as (client, queue):
        saga_id = f"changed-{uuid4().hex[:8]}"
        outcome = await execute_saga(client, SendingSaga.run, name, id=saga_id, task_queue=queue)
        await replay(client, saga_id)

    assert isinstance(outcome, Compensated)
    assert outcome.code == "message_unreadable"
    assert part in outcome.reason
    assert "4111" not in outcome.reason
    assert calls == []


@pytest.mark.parametrize(
    "name", ["same class", "serialized secret", "alias", "excluded default", "set", "plain"]
)
async def test_an_unchanged_message_is_sent(server: str, name: str) -> None:
    """The check has no event in the history, and refuses nothing that arrives as sent."""
    async with running(server) as (client, queue):
        saga_id = f"changed-{uuid4().hex[:8]}"
        outcome = await execute_saga(client, SendingSaga.run, name, id=saga_id, task_queue=queue)
        history = await client.get_workflow_handle(saga_id).fetch_history()
        await replay(client, saga_id)

    assert isinstance(outcome, Completed)
    assert calls == ["take"]
    assert not any(event.HasField("marker_recorded_event_attributes") for event in history.events)


async def test_a_saga_of_an_earlier_version_goes_on_as_before(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay without the marker of the patch sends the message again."""
    async with running(server) as (client, queue):
        saga_id = f"changed-{uuid4().hex[:8]}"
        with monkeypatch.context() as earlier:
            earlier.setattr(activity_call, "_change_on_the_way", lambda *_: "")
            outcome = await execute_saga(client, SendingSaga.run, "secret", id=saga_id, task_queue=queue)
        await replay(client, saga_id)

    assert isinstance(outcome, Completed)


@pytest.mark.parametrize(
    "message", [Card(number=SecretStr("4111")), [Basket(items=[SizedItem(sku="a", size=7)])]]
)
async def test_a_saga_is_not_started_with_a_changed_message(server: str, message: Any) -> None:
    """The caller learns the field before anything has happened."""
    client = await Client.connect(server, plugins=[SagaPlugin()])
    with pytest.raises(
        StartError, match=r"would arrive with other content, because (Card.number|Basket.items)"
    ):
        await start_saga(client, ReceivingSaga.run, message, id=f"changed-{uuid4().hex[:8]}", task_queue="q")
