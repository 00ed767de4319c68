"""Settings of `workers`; only this file reads settings from environment variables.

The address and the credentials of a Temporal server come from Temporal's own configuration: see
`_connections/temporal.py`.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from .._errors import ConfigurationError
from .data_folder import find_data_folder
from .loopback import is_loopback
from .validation_text import describe_problem

PREFIX = "SAGAS_"
AMQP_URL_FORM = "write amqp://user:password@host:port/vhost, or amqps:// for TLS"
SECRET_FIELDS = {"amqp_url"}
"""Fields whose values error messages never repeat."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(value: object) -> object:
    """Parses `30s`, `5m`, `1h` or `90d`; leaves every other value to pydantic."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", value) if isinstance(value, str) else None
    return timedelta(**{UNITS[match[2]]: float(match[1])}) if match else value


def at_least(minimum: str) -> AfterValidator:
    """Creates a validator that refuses durations below a minimum."""

    def check(value: timedelta) -> timedelta:
        if value < TypeAdapter(Duration).validate_python(minimum):
            raise ValueError(f"must be at least {minimum}")
        return value

    return AfterValidator(check)


def check_amqp_url(value: SecretStr) -> SecretStr:
    """Refuses a malformed broker URL and a user that RabbitMQ would refuse.

    The error text never repeats the URL, because the URL holds the password.
    """
    try:
        url = urlsplit(value.get_secret_value())
        host, user, _ = url.hostname, url.username or "guest", url.port
    except ValueError:
        # The text and the cause of urllib's error may quote a part of the password.
        raise ValueError(AMQP_URL_FORM) from None
    if url.scheme not in {"amqp", "amqps"} or not host:
        raise ValueError(AMQP_URL_FORM)
    uses_certificate = parse_qs(url.query).get("auth", ["plain"])[-1].lower() == "external"
    if user == "guest" and not uses_certificate and not is_loopback(host):
        raise ValueError(
            f"RabbitMQ accepts the user 'guest' from its own machine only, and the URL names host {host!r}"
        )
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Port = Annotated[int, Field(ge=1, le=65535)]
AmqpUrl = Annotated[SecretStr, AfterValidator(check_amqp_url)]


class Settings(BaseSettings):
    """Settings of workers and embedded servers; `SAGAS_DATA_FOLDER` sets `data_folder`, and likewise for all.

    Args:
        data_folder: The folder for data, logs and addresses of the embedded servers; by default the nearest
            `.sagas` in the current folder and its parents, and a new one in the current folder otherwise.
        temporal_port: The preferred port of the embedded Temporal server; a free port when in use.
        ui_port: The preferred port of Temporal's Web UI; a free port when in use.
        amqp_url: The RabbitMQ broker to use instead of the embedded node:
            `amqps://user:password@host/vhost`.
        amqp_port: The preferred port of the embedded RabbitMQ node; a free port when in use.
        retention: How long the embedded Temporal server keeps closed workflows; at least as long as
            participants remember idempotency keys.
        task_queue: The default task queue of workers.
        data_converter: The import string of a `DataConverter`, or of a callable that returns a
            `DataConverter`, for example `shop.encryption:converter`.
        graceful_shutdown: How long a stopping worker lets running activities finish.
        telemetry: The destination of spans: `off`, `console` (stderr), or `otlp` (the endpoint of
            OpenTelemetry's own variables).
        metrics: The address at which a worker offers metrics to Prometheus, for example `127.0.0.1:9464`;
            no metrics by default.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    data_folder: Path = Field(default_factory=find_data_folder)
    temporal_port: Port = 7233
    ui_port: Port = 8233
    amqp_url: AmqpUrl | None = None
    amqp_port: Port = 5672
    retention: Annotated[Duration, at_least("1d")] = timedelta(days=90)
    task_queue: Annotated[str, Field(min_length=1)] = "sagas"
    data_converter: str | None = None
    graceful_shutdown: Annotated[Duration, at_least("0s")] = timedelta(seconds=10)
    telemetry: Literal["off", "console", "otlp"] = "off"
    metrics: str | None = None


def load_settings() -> Settings:
    """Reads the settings from environment variables.

    Raises:
        ConfigurationError: A value is unusable; the message names every such variable and a usable value.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = (f"{_subject(problem)}: {describe_problem(problem)}" for problem in error.errors())
        raise ConfigurationError("; ".join(problems)) from error


def _subject(problem: ErrorDetails) -> str:
    field = str(problem["loc"][0])
    variable = f"{PREFIX}{field.upper()}"
    return f"{variable} is unusable" if field in SECRET_FIELDS else f"{variable} is {problem['input']!r}"
