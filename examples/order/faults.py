"""The injected faults of the shipping service, by postal code; see docs/test-data.md."""

from pydantic import BaseModel

from examples.service_kit.fault_injection import Fault

from . import operations as ops
from .messages import CreateShipment

BY_POSTAL_CODE = {
    (ops.create_shipment.name, "00002"): Fault.REPLY_LOST,
    (ops.create_shipment.name, "00003"): Fault.SLOW,
    (ops.create_shipment.name, "00004"): Fault.GATED,
}


def shipment_fault(operation: str, message: BaseModel) -> Fault | None:
    """Chooses the fault for a shipment by the postal code of its address."""
    if isinstance(message, CreateShipment):
        return BY_POSTAL_CODE.get((operation, message.address.postal_code))
    return None
