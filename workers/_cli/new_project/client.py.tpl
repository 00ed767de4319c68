"""The connection to Temporal: TEMPORAL_ADDRESS, or the server of `sagas dev`."""

from sagas import SagaPlugin
from temporalio.client import Client
from temporalio.envconfig import ClientConfig


async def connect() -> Client:
    config = ClientConfig.load_client_connect_config()
    address = config.setdefault("target_host", "localhost:7233")
    try:
        return await Client.connect(**config, plugins=[SagaPlugin()])
    except RuntimeError as error:
        raise SystemExit(
            f"no Temporal server answers at {address}; "
            "type in another terminal: sagas dev"
        ) from error
