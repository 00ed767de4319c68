"""Finding the Temporal server, and connecting to it.

Temporal's own configuration (TEMPORAL_ADDRESS and its like, or a profile in its TOML file) comes first;
without an address there, it is the embedded server that runs on the data folder. The connection's
configuration holds the API key, so it is never logged or shown.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio.client import Client, Plugin
from temporalio.envconfig import ClientConfigProfile, ClientConnectConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from .._configuration.import_string import load_converter
from .._configuration.settings import Settings
from .._errors import ConfigurationError, UnreachableServerError
from .._servers.port_lease import is_loopback
from .._servers.temporal_server import NAMESPACE, find_running_server

PATIENCE = 10.0
"""Seconds in which a server has to answer."""

REFUSALS = frozenset({RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTarget:
    """Which Temporal server sagas run on.

    Args:
        address: Its host and port.
        namespace: The namespace on it.
        is_embedded: Whether it is ours; otherwise Temporal's own configuration names it.
        config: How to get in; not shown, as it holds the API key.
    """

    address: str
    namespace: str
    is_embedded: bool
    config: ClientConnectConfig = field(repr=False, compare=False)


async def connect(
    settings: Settings, *, plugins: Sequence[Plugin] = (), runtime: Runtime | None = None
) -> Client:
    """Connects to the Temporal server that the environment names, or else to the embedded one.

    Args:
        settings: Where the embedded server has its data, and which data converter is used.
        plugins: `SagaPlugin`, for one.
        runtime: What `metrics_runtime` gives, or another one of yours.

    Raises:
        ConfigurationError: The configuration is unusable or unsafe.
        UnreachableServerError: No server runs, or it does not answer, or it does not let us in.
    """
    converter = load_converter(settings)
    target = find_server(settings)
    if target is None:
        raise UnreachableServerError(
            f"{settings.data_folder}/temporal.json",
            "does not run",
            "start one in another terminal with: sagas dev (or name yours in TEMPORAL_ADDRESS)",
        )
    try:
        connecting = Client.connect(
            **target.config, data_converter=converter, plugins=plugins, runtime=runtime
        )
        return await asyncio.wait_for(connecting, PATIENCE)
    except TimeoutError:
        raise _unreachable(target, f"did not answer within {PATIENCE:g} s") from None
    except RPCError as error:
        did = "refused the credentials" if error.status in REFUSALS else f"answered {error.status.name}"
        raise _unreachable(target, did) from error
    except RuntimeError as error:
        raise _unreachable(target, "does not answer") from error


def find_server(settings: Settings) -> ServerTarget | None:
    """Finds the server that `connect` would connect to, without connecting; None where none runs.

    Raises:
        ConfigurationError: The configuration is unusable or unsafe.
    """
    return configured_server() or _embedded_server(settings)


def configured_server() -> ServerTarget | None:
    """The server that Temporal's own configuration names; None where it names none.

    Raises:
        ConfigurationError: The configuration is unusable, or would send an API key in clear.
    """
    profile = _load_profile()
    if profile.address is None:
        if profile.api_key is not None:
            raise ConfigurationError(
                "a Temporal API key is configured without an address; "
                "set TEMPORAL_ADDRESS too, or unset the key"
            )
        return None
    is_clear = profile.tls is not None and profile.tls.disabled is True
    if profile.api_key is not None and is_clear and not is_loopback(profile.address.rpartition(":")[0]):
        raise ConfigurationError(
            f"the API key for {profile.address!r} would be sent in clear; "
            "remove TEMPORAL_TLS=false (or tls.disabled in the profile)"
        )
    try:
        config = profile.to_client_connect_config()
    except OSError as error:
        raise ConfigurationError(
            f"the TLS file {error.filename!r} of Temporal's configuration cannot be read: {error.strerror}"
        ) from error
    return ServerTarget(
        address=profile.address,
        namespace=profile.namespace or NAMESPACE,
        is_embedded=False,
        config=config,
    )


def _embedded_server(settings: Settings) -> ServerTarget | None:
    server = find_running_server(settings.data_folder)
    if server is None:
        return None
    return ServerTarget(
        address=server.address,
        namespace=NAMESPACE,
        is_embedded=True,
        config=ClientConnectConfig(target_host=server.address, namespace=NAMESPACE),
    )


def _load_profile() -> ClientConfigProfile:
    try:
        return ClientConfigProfile.load()
    except Exception as error:  # noqa: BLE001 - the class is not public
        # The text of a parse error quotes the line, and the line may be the one with the API key; it is
        # neither repeated nor chained.
        place = re.search(r"at (line \d+, column \d+)|(Profile '[^']*' not found)", str(error))
        what = f": {place[1] or place[2]}" if place else ""
        text = f"Temporal's own configuration (TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE) cannot be used{what}"
    raise ConfigurationError(text)


def _unreachable(target: ServerTarget, reason: str) -> UnreachableServerError:
    advice = (
        "start it in another terminal with: sagas dev"
        if target.is_embedded
        else "check TEMPORAL_ADDRESS, or unset it to use the embedded server (sagas dev)"
    )
    return UnreachableServerError(target.address, reason, advice)
