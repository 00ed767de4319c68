"""What tuning the embedded server is worth: the same saga on it and on the server as it comes."""

from dataclasses import replace
from pathlib import Path

from benchmarks.comparison import ActivityRecord, Comparison, compare
from benchmarks.contender import Contender
from workers import EmbeddedTemporal, TemporalOptions

SERVER = "server"
"""The name of this comparison."""

SLOWER = 3
"""The stock server takes so many times longer, so that both get this part of the sagas."""


async def compare_server(effort: ActivityRecord, folder: Path) -> Comparison:
    """Measures the SDK's order saga on both servers; each has its own data folder and worker."""
    effort = replace(effort, sagas=max(effort.sagas // SLOWER, 2))
    async with (
        EmbeddedTemporal(folder / "tuned") as tuned,
        EmbeddedTemporal(folder / "stock", options=TemporalOptions.stock()) as stock,
        Contender("tuned", "sdk", tuned.address, folder, server=tuned.process) as ours,
        Contender("stock", "sdk", stock.address, folder, server=stock.process) as baseline,
    ):
        figures = await compare(ours, baseline, effort, refused=False, cpu_of="server")
    return Comparison(
        name=SERVER,
        title="Tuned server against the stock one: an order that completes",
        ours="tuned",
        baseline="stock",
        effort=effort,
        figures=figures,
    )
