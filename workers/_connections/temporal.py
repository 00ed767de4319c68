"""Finding the Temporal server, and connecting to the server.

Temporal's own configuration (TEMPORAL_ADDRESS and related variables, or a profile in Temporal's TOML file)
takes precedence over the embedded server that runs on the data folder. The client configuration holds the API
key and is never logged or shown.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio.client import Client, Plugin
from temporalio.envconfig import ClientConfigProfile, ClientConnectConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from .._configuration.data_converter import load_data_converter
from .._configuration.loopback import is_loopback
from .._configuration.settings import Settings
from .._errors import ConfigurationError, UnreachableServerError
from .._servers.temporal_server import NAMESPACE, find_running_temporal

CONNECT_TIMEOUT = timedelta(seconds=10)

REFUSALS = frozenset({RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalEndpoint:
    """The Temporal server and namespace on which sagas run.

    Args:
        address: Host and port.
        namespace: The namespace.
        is_embedded: Whether the server is the embedded server.
        config: The client configuration; left out of `repr`, because of the API key.
    """

    address: str
    namespace: str
    is_embedded: bool
    config: ClientConnectConfig = field(repr=False, compare=False)


async def connect(
    settings: Settings, *, plugins: Sequence[Plugin] = (), runtime: Runtime | None = None
) -> Client:
    """Connects to the Temporal server that Temporal's own configuration names, else to the embedded server.

    Args:
        settings: The data folder of the embedded server, and the data converter.
        plugins: Plugins of the client, `SagaPlugin` among them.
        runtime: The runtime of the client, for example from `metrics_runtime`.

    Raises:
        ConfigurationError: The configuration is unusable or unsafe.
        UnreachableServerError: No server runs, or the server does not answer, or refuses the credentials.
    """
    data_converter = load_data_converter(settings)
    endpoint = find_temporal_server(settings)
    if endpoint is None:
        raise UnreachableServerError(
            f"{settings.data_folder}/temporal.json",
            "is not running",
            "start the server in another terminal with: sagas dev (or set TEMPORAL_ADDRESS)",
        )
    connecting = Client.connect(
        **endpoint.config, data_converter=data_converter, plugins=plugins, runtime=runtime
    )
    try:
        return await asyncio.wait_for(connecting, CONNECT_TIMEOUT.total_seconds())
    except TimeoutError:
        reason = f"did not answer within {CONNECT_TIMEOUT.total_seconds():g} s"
        raise _unreachable(endpoint, reason) from None
    except RPCError as error:
        is_refusal = error.status in REFUSALS
        reason = "refused the credentials" if is_refusal else f"answered {error.status.name}"
        raise _unreachable(endpoint, reason) from error
    except RuntimeError as error:
        raise _unreachable(endpoint, "does not answer") from error


def find_temporal_server(settings: Settings) -> TemporalEndpoint | None:
    """Finds the server that `connect` would connect to; None when no server is configured and none runs.

    Raises:
        ConfigurationError: The configuration is unusable or unsafe.
    """
    return find_configured_server() or _find_embedded_server(settings)


def find_configured_server() -> TemporalEndpoint | None:
    """Finds the server that Temporal's own configuration names; None when no address is configured.

    Raises:
        ConfigurationError: The configuration is unusable, or would send an API key in clear.
    """
    profile = _load_profile()
    if profile.address is None:
        if profile.api_key is not None:
            raise ConfigurationError(
                "a Temporal API key is configured without an address; set TEMPORAL_ADDRESS, or unset the key"
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
    return TemporalEndpoint(
        address=profile.address,
        namespace=profile.namespace or NAMESPACE,
        is_embedded=False,
        config=config,
    )


def _find_embedded_server(settings: Settings) -> TemporalEndpoint | None:
    server = find_running_temporal(settings.data_folder)
    if server is None:
        return None
    return TemporalEndpoint(
        address=server.address,
        namespace=NAMESPACE,
        is_embedded=True,
        config=ClientConnectConfig(target_host=server.address, namespace=NAMESPACE),
    )


def _load_profile() -> ClientConfigProfile:
    try:
        return ClientConfigProfile.load()
    except Exception as error:  # noqa: BLE001 - the class of the error is not public
        # A parse error quotes the malformed line, which may hold the API key: only the place is repeated, and
        # the error is not chained.
        place = re.search(r"at (line \d+, column \d+)|(Profile '[^']*' not found)", str(error))
        detail = f": {place[1] or place[2]}" if place else ""
    raise ConfigurationError(
        f"Temporal's own configuration (TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE) is unusable{detail}"
    )


def _unreachable(endpoint: TemporalEndpoint, reason: str) -> UnreachableServerError:
    advice = (
        "start the embedded server in another terminal with: sagas dev"
        if endpoint.is_embedded
        else "check TEMPORAL_ADDRESS, or unset the variable to use the embedded server (sagas dev)"
    )
    return UnreachableServerError(endpoint.address, reason, advice)
