"""What can go wrong where sagas run; each class exists because a caller acts differently on it.

::

    SagaError
    ├── ConfigurationError       a setting cannot be used: mend it
    ├── MissingProgramError      a program is not installed: install it
    ├── FolderInUseError         another server runs on this data folder: use it, or choose another folder
    ├── ProcessError             a process ended early, did not become ready, or does not run
    └── UnreachableServerError   nothing answers where a server should be: start it
"""

from pathlib import Path

from sagas import SagaError


class ConfigurationError(SagaError):
    """A setting cannot be used; the message names it and says what would do."""


class MissingProgramError(SagaError):
    """A program that is needed is not installed."""

    def __init__(self, program: str, advice: str) -> None:
        super().__init__(program, advice)
        self.program, self.advice = program, advice

    def __str__(self) -> str:
        return f"the program {self.program!r} was not found; {self.advice}"


class FolderInUseError(SagaError):
    """A server already runs on this data folder; two would destroy each other's data."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    def __str__(self) -> str:
        return (
            f"the data folder {str(self.folder)!r} is in use by another server; "
            "stop that one, or choose another folder"
        )


class ProcessError(SagaError):
    """A child process ended early, did not become ready in time, or does not run."""

    def __init__(self, name: str, reason: str, log: Path, last_lines: str) -> None:
        super().__init__(name, reason, log, last_lines)
        self.name, self.reason, self.log, self.last_lines = name, reason, log, last_lines

    def __str__(self) -> str:
        text = f"{self.name} {self.reason}; its log is {str(self.log)!r}"
        return f"{text} and ends with:\n{self.last_lines}" if self.last_lines else text


class UnreachableServerError(SagaError):
    """No Temporal server answers, or it does not let us in."""

    def __init__(self, address: str, reason: str, advice: str) -> None:
        super().__init__(address, reason, advice)
        self.address, self.reason, self.advice = address, reason, advice

    def __str__(self) -> str:
        return f"the Temporal server at {self.address!r} {self.reason}; {self.advice}"
