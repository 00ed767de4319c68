"""Texts for validation errors of pydantic."""

from pydantic_core import ErrorDetails


def describe_problem(problem: ErrorDetails) -> str:
    """Describes one validation problem as the end of a sentence, without the rejected value."""
    match problem:
        case {"type": "time_delta_parsing"}:
            return "write a duration as 30s, 5m, 1h or 90d"
        case {"type": "string_too_short", "ctx": {"min_length": 1}}:
            return "must not be empty"
        case {"type": "string_too_long", "ctx": {"max_length": most}}:
            return f"must not be longer than {most} characters"
        case _:
            text = problem["msg"].removeprefix("Value error, ")
            return text[0].lower() + text[1:]
