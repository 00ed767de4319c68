"""The operations of the patterns: every participant answers with a receipt."""

from typing import TypeVar

from pydantic import BaseModel

from sagas import Operation, Step, action

M = TypeVar("M", bound=BaseModel)


class Receipt(BaseModel):
    """The answer of every participant."""

    number: str


def operation(name: str, message: type[M]) -> Operation[M, Receipt]:
    """An operation of a participant; `book-pitch` belongs to the participant `pitch`."""
    return Operation(name=name, participant=name.rpartition("-")[2], message=message, result=Receipt)


def step(name: str, compensation: str, message: type[M]) -> Step[M, Receipt]:
    """A step with a compensation; both take the same message."""
    return action(operation(name, message)).compensated_by(operation(compensation, message))
