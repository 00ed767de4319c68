"""The costs of the SDK: the order saga against the same steps on plain temporalio, on a shared server."""

from pathlib import Path

from benchmarks.comparison import Comparison, SampleSize, compare
from benchmarks.worker_under_test import WorkerUnderTest
from workers import EmbeddedTemporal

SDK = {
    "completed": "SDK against plain temporalio: an order that completes",
    "refused": "SDK against plain temporalio: an order with a refused shipment, so every step is compensated",
}
"""The titles of the comparisons, by name."""


async def compare_sdk(names: list[str], size: SampleSize, folder: Path) -> list[Comparison]:
    """Runs the comparisons of `names` in turn, each with new workers."""
    if not names:
        return []
    async with EmbeddedTemporal(folder / "server") as server:
        return [await _compare(name, server.address, size, folder) for name in names]


async def _compare(name: str, address: str, size: SampleSize, folder: Path) -> Comparison:
    async with (
        WorkerUnderTest(f"sdk-{name}", "sdk", address, folder) as ours,
        WorkerUnderTest(f"plain-{name}", "plain", address, folder) as baseline,
    ):
        figures = await compare(ours, baseline, size, refused=name == "refused", cpu_of="worker")
    return Comparison(name=name, title=SDK[name], ours="SDK", baseline="plain", size=size, figures=figures)
