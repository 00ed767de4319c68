"""The reactions in the documents are the reactions of the example."""

import inspect
import re
from dataclasses import replace
from typing import Any

from choreography import Reactions
from examples.order import event_types as facts
from examples.order.services import inventory
from tests.guide_code import DOCS


def test_reactions_of_the_guide_are_those_of_the_inventory() -> None:
    """The code of the guide runs, and has the reactions of the inventory to some of its causes."""
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "choreography.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}

    exec(code, names)

    reactions = names["REACTIONS"]
    assert isinstance(reactions, Reactions)
    reserve, release = reactions.reactions
    assert (reserve, replace(release, causes=facts.AFTER_RESERVATION)) == inventory.REACTIONS.reactions
    assert release.causes == (facts.payment_declined, facts.shipment_refused)


def test_reactions_of_the_readme_are_those_of_the_inventory() -> None:
    """The README shows the source of the example line by line."""
    readme = (DOCS.parent / "README.md").read_text()
    (code,) = re.findall(r"```python\n(REACTIONS = .*?)```", readme, re.DOTALL)

    assert code in inspect.getsource(inventory)
