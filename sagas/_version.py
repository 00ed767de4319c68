"""The version of this SDK."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("durable-sagas")
except PackageNotFoundError:  # The source is used without being installed.
    __version__ = "0+unknown"
