"""Error replies of a service: problem details for HTTP APIs (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse


class Problem(BaseModel):
    """The body of an error reply, for people and for programs."""

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    detail: str
    code: str
    """Stable and machine-readable: `card_declined`."""
    field: str | None = None
    """The invalid input field, as a dotted path."""
    rule: str | None = None
    """The broken rule."""


class ProblemError(Exception):
    """A request is answered with a problem instead of a result."""

    def __init__(
        self, status: HTTPStatus, code: str, detail: str, *, field: str | None = None, rule: str | None = None
    ) -> None:
        super().__init__(status, code, detail, field, rule)
        self.status, self.code, self.detail, self.field, self.rule = status, code, detail, field, rule

    def __str__(self) -> str:
        return f"{self.status}: {self.code}: {self.detail}"

    def response(self, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """The HTTP response with this problem."""
        problem = Problem(
            type=f"urn:problem:{self.code}",
            title=self.status.phrase,
            status=self.status,
            detail=self.detail,
            code=self.code,
            field=self.field,
            rule=self.rule,
        )
        content = problem.model_dump(exclude_none=True)
        # A lone surrogate from the client cannot be sent back.
        content["detail"] = self.detail.encode("utf-8", "replace").decode()
        return JSONResponse(content, self.status, headers, media_type="application/problem+json")
