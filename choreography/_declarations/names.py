"""Rules about who hears what that every bus keeps."""

from .._errors import TopologyError
from .._messaging.bus import Topology
from .._messaging.cloudevents import is_name


def check_names(topology: Topology) -> None:
    """Refuses names that a broker would take for something else, such as a pattern of types.

    Raises:
        TopologyError: A participant, a source or a type has no proper name.
    """
    for participant, heard in topology.queues.items():
        for name in (participant, *(part for pair in sorted(heard) for part in pair)):
            if not is_name(name):
                raise TopologyError(
                    f"{name!r}, in what participant {participant!r} hears, is no name: "
                    "lower case, words joined by dashes"
                )


def merge(known: Topology | None, more: Topology) -> Topology:
    """Both together: a participant hears what either says."""
    queues = dict(known.queues) if known else {}
    for participant, heard in more.queues.items():
        queues[participant] = queues.get(participant, frozenset()) | heard
    return Topology(queues=queues)
