"""What the SDK costs: the order saga against the same steps by hand, on one server."""

from pathlib import Path

from benchmarks.comparison import ActivityRecord, Comparison, compare
from benchmarks.contender import Contender
from workers import EmbeddedTemporal

SDK = {
    "completed": "SDK against plain temporalio: an order that completes",
    "refused": "SDK against plain temporalio: an order whose shipment is refused, so all is compensated",
}
"""The comparisons of the SDK, by name, with their titles."""


async def compare_sdk(names: list[str], effort: ActivityRecord, folder: Path) -> list[Comparison]:
    """Measures those of `names` one after the other, each with new workers."""
    if not names:
        return []
    async with EmbeddedTemporal(folder / "server") as server:
        return [await _compare(name, server.address, effort, folder) for name in names]


async def _compare(name: str, address: str, effort: ActivityRecord, folder: Path) -> Comparison:
    async with (
        Contender(f"sdk-{name}", "sdk", address, folder) as ours,
        Contender(f"plain-{name}", "plain", address, folder) as baseline,
    ):
        figures = await compare(ours, baseline, effort, refused=name == "refused", cpu_of="worker")
    return Comparison(
        name=name, title=SDK[name], ours="SDK", baseline="plain", effort=effort, figures=figures
    )
