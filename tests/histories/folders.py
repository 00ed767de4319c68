"""The folders of the stored histories."""

from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent
"""The folder of all versions."""

CURRENT = FOLDER / version("durable-sagas")
"""The histories of the current version."""
