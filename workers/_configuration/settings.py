"""Settings of this project, and the only file that reads them from the environment.

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
from .._servers.port_lease import is_loopback

PREFIX = "SAGAS_"
AMQP_FORM = "write it as amqp://user:password@host:port/vhost, or with amqps for TLS"
SECRETS = {"amqp_url"}
"""The fields whose value is never shown."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_duration(value: object) -> object:
    """Turns `30s`, `5m`, `1h` or `90d` into a duration and leaves everything else to pydantic."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", value) if isinstance(value, str) else None
    return timedelta(**{UNITS[match[2]]: float(match[1])}) if match else value


def at_least(least: str) -> AfterValidator:
    """Refuses a shorter duration than `least`."""

    def check(value: timedelta) -> timedelta:
        if value < TypeAdapter(Duration).validate_python(least):
            raise ValueError(f"must be at least {least}")
        return value

    return AfterValidator(check)


def check_amqp_url(value: SecretStr) -> SecretStr:
    """Refuses what is no address of a broker, or lets nobody in; never repeats it, as it holds a password."""
    try:
        url = urlsplit(value.get_secret_value())
        host, user, _ = url.hostname, url.username or "guest", url.port
    except ValueError:
        # Its text, and what it was raised from, may quote a part of the password.
        raise ValueError(AMQP_FORM) from None
    if url.scheme not in {"amqp", "amqps"} or not host:
        raise ValueError(AMQP_FORM)
    has_certificate = parse_qs(url.query).get("auth", ["plain"])[-1].lower() == "external"
    if user == "guest" and not has_certificate and not is_loopback(host):
        raise ValueError(
            f"RabbitMQ lets the user guest in from its own machine only, and this names {host!r}"
        )
    return value


Duration = Annotated[timedelta, BeforeValidator(read_duration)]
Port = Annotated[int, Field(ge=1, le=65535)]
AmqpUrl = Annotated[SecretStr, AfterValidator(check_amqp_url)]


class Settings(BaseSettings):
    """Where sagas run. Each field can be set as an environment variable: `SAGAS_DATA_FOLDER`.

    Args:
        data_folder: Where the embedded servers keep their data, logs and addresses.
        temporal_port: The port of the embedded Temporal server; another one is taken where it is in use.
        ui_port: The port of its Web UI, in the same way.
        amqp_url: The RabbitMQ broker to use, `amqps://user:password@host/vhost`, instead of the embedded one.
        amqp_port: The port of the embedded RabbitMQ node; another one is taken where it is in use.
        retention: How long the embedded server keeps a closed workflow. At least as long as idempotency
            keys are remembered.
        task_queue: The task queue of workers that are not told another one.
        data_converter: The data converter to connect with, where payloads are encrypted or otherwise your
            own: the name of one, or of what makes one, as `shop.encryption:converter`.
        graceful_shutdown: How long a worker that is told to stop lets running activities finish.
        telemetry: Where spans go: nowhere (`off`), to stderr (`console`), or to where OpenTelemetry's own
            variables say (`otlp`).
        metrics: Where a worker offers metrics to Prometheus, as `127.0.0.1:9464`; by default nowhere.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    data_folder: Path = Path(".sagas")
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
    """Reads the settings from the environment.

    Raises:
        ConfigurationError: A value cannot be used; says which, and what would do.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError("; ".join(_sentences(error))) from error


def _sentences(error: ValidationError) -> list[str]:
    return [f"{_what(problem)}: {_advice(problem)}" for problem in error.errors()]


def _what(problem: ErrorDetails) -> str:
    field = str(problem["loc"][0])
    name = f"{PREFIX}{field.upper()}"
    return f"{name} cannot be used" if field in SECRETS else f"{name} is {problem['input']!r}"


def _advice(problem: ErrorDetails) -> str:
    if problem["type"] == "time_delta_parsing":
        return "write a duration as 30s, 5m, 1h or 90d"
    text = problem["msg"].removeprefix("Value error, ")
    return text[0].lower() + text[1:]
