"""The reactions that the documents show are such as the code takes, or those of the example itself."""

import inspect
import re
from dataclasses import replace
from typing import Any

from choreography import Reactions
from examples.order import facts, inventory
from tests.guide_code import DOCS


def test_reactions_of_the_guide_are_those_of_the_inventory() -> None:
    """Its code runs as it stands there, and does what the example does, on some of its facts."""
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "choreography.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}

    exec(code, names)

    reactions = names["REACTIONS"]
    assert isinstance(reactions, Reactions)
    reserve, release = reactions.reactions
    assert (reserve, replace(release, causes=facts.AFTER_RESERVATION)) == inventory.REACTIONS.reactions
    assert release.causes == (facts.payment_declined, facts.shipment_refused)


def test_reactions_of_the_readme_are_those_of_the_inventory() -> None:
    """Line by line."""
    readme = (DOCS.parent / "README.md").read_text()
    (code,) = re.findall(r"```python\n(REACTIONS = .*?)```", readme, re.DOTALL)

    assert code in inspect.getsource(inventory)
