"""Errors of `workers`: a class exists where callers act differently.

::

    SagaError
    ├── ConfigurationError       a setting is unusable: correct the setting
    ├── MissingProgramError      a program is not installed: install the program
    ├── DataFolderInUseError     another server uses the data folder: stop that server or take another folder
    ├── ProcessError             a child process ended early, was not ready in time, or does not run
    └── UnreachableServerError   no Temporal server answers, or the server refused the client
"""

from pathlib import Path

from sagas import SagaError


class ConfigurationError(SagaError):
    """A setting or an argument is unusable; the message names the setting and a usable value."""


class MissingProgramError(SagaError):
    """A required program is not installed."""

    def __init__(self, program: str, advice: str) -> None:
        super().__init__(program, advice)
        self.program, self.advice = program, advice

    def __str__(self) -> str:
        return f"the program {self.program!r} was not found; {self.advice}"


class DataFolderInUseError(SagaError):
    """Another server runs on the data folder; two servers would corrupt each other's data."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    def __str__(self) -> str:
        return (
            f"the data folder {str(self.folder)!r} is in use by another server; "
            "stop the other server, or choose another folder"
        )


class ProcessError(SagaError):
    """A child process ended early, was not ready in time, or does not run."""

    def __init__(self, name: str, reason: str, log: Path, last_lines: str) -> None:
        super().__init__(name, reason, log, last_lines)
        self.name, self.reason, self.log, self.last_lines = name, reason, log, last_lines

    def __str__(self) -> str:
        text = f"{self.name} {self.reason}; see the log {str(self.log)!r}"
        return f"{text}, which ends with:\n{self.last_lines}" if self.last_lines else text


class UnreachableServerError(SagaError):
    """No Temporal server answers at the address, or the server refused the client."""

    def __init__(self, address: str, reason: str, advice: str) -> None:
        super().__init__(address, reason, advice)
        self.address, self.reason, self.advice = address, reason, advice

    def __str__(self) -> str:
        return f"the Temporal server at {self.address!r} {self.reason}; {self.advice}"
