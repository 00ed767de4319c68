"""The open section of the current task: steps that are compensated as a unit.

The tasks of a section, such as parallel branches, inherit the section from the task that opened the section.
"""

from contextvars import ContextVar
from dataclasses import dataclass, field

from .._core.compensation import SectionSpec
from .._errors import DeadlineExceededError, DefinitionError


@dataclass(slots=True, kw_only=True)
class OpenSection:
    """The state of a section between entry and exit.

    Args:
        path: The sections around the steps of this section, the outermost first; this section is the last.
        outer: The section around this section.
    """

    path: tuple[SectionSpec, ...]
    outer: "OpenSection | None" = None
    is_open: bool = field(default=True, init=False)
    is_overdue: bool = field(default=False, init=False)
    """Whether the timeout of the section is over."""

    @property
    def address(self) -> str:
        """The address of the section in the saga."""
        return self.path[-1].address

    def check(self) -> None:
        """Checks that a step of the section may start.

        Raises:
            DefinitionError: The section has ended.
            DeadlineExceededError: The timeout of the section, or of a section around, is over.
        """
        if not self.is_open:
            raise DefinitionError(f"section {self.address!r} has ended: a step of the section comes too late")
        if self.is_overdue:
            raise DeadlineExceededError(f"section {self.address!r}")
        if self.outer is not None:
            self.outer.check()


_current: ContextVar[OpenSection | None] = ContextVar("saga-section", default=None)


def current_section() -> OpenSection | None:
    """The innermost section of the current task."""
    return _current.get()


def current_path() -> tuple[SectionSpec, ...]:
    """The sections around a step that the current task starts, the outermost first."""
    section = _current.get()
    return section.path if section is not None else ()


def enter_section(section: OpenSection | None) -> None:
    """Makes `section` the section of the current task."""
    _current.set(section)
