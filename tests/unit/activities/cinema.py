"""The participant of these tests: a cinema with a single operation."""

import json

from pydantic import BaseModel, ConfigDict

from sagas import Operation


class Seat(BaseModel):
    """A seat in a row."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    row: int


RESERVE_SEAT = Operation(
    name="reserve-seat",
    participant="cinema",
    message=Seat,
    result=Seat,
    rejections=frozenset({"sold_out"}),
)


def problem(code: str) -> bytes:
    """A problem (RFC 9457) with a code."""
    return json.dumps({"code": code, "detail": f"{code}, sorry", "field": "row"}).encode()
