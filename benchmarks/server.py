"""The gain of the tuned embedded server: the same saga on the tuned server and on a stock server."""

from dataclasses import replace
from pathlib import Path

from benchmarks.comparison import Comparison, SampleSize, compare
from benchmarks.worker_under_test import WorkerUnderTest
from workers import EmbeddedTemporal, TemporalOptions

SERVER = "server"
"""The name of this comparison."""

SLOWER = 3
"""The stock server is about three times slower; both sides run a third of the sagas."""


async def compare_server(size: SampleSize, folder: Path) -> Comparison:
    """Measures the order saga of the SDK on both servers, each with a data folder and a worker."""
    size = replace(size, sagas=max(size.sagas // SLOWER, 2))
    async with (
        EmbeddedTemporal(folder / "tuned") as tuned,
        EmbeddedTemporal(folder / "stock", options=TemporalOptions.stock()) as stock,
        WorkerUnderTest("tuned", "sdk", tuned.address, folder, server=tuned.process) as ours,
        WorkerUnderTest("stock", "sdk", stock.address, folder, server=stock.process) as baseline,
    ):
        figures = await compare(ours, baseline, size, refused=False, cpu_of="server")
    return Comparison(
        name=SERVER,
        title="Tuned server against the stock one: an order that completes",
        ours="tuned",
        baseline="stock",
        size=size,
        figures=figures,
    )
