"""The table of test data says what the code does, and all of it."""

import re
from pathlib import Path

from examples.order.services import inventory, orders, shipping
from examples.payment.services import payment as service
from examples.service_kit import fault_injection as faults

TEXT = (Path(__file__).parents[2] / "docs" / "test-data.md").read_text()


def test_every_token_postal_code_and_article_is_in_the_table() -> None:
    """What is chosen by data is documented, and nothing else is."""
    tokens = {token for _, token in (*faults.BY_TOKEN, *service.PROVIDER_REFUSALS)} | {"tok_visa"}
    codes = {code for _, code in faults.BY_POSTAL_CODE} | {shipping.UNDELIVERABLE}
    assert set(re.findall(r"`(tok_\w+)`", TEXT)) == tokens
    assert set(re.findall(r"`(\d{5})`", TEXT)) == codes
    assert set(re.findall(r"`([A-Z][A-Z0-9]*-[A-Z0-9]+)`", TEXT)) == set(inventory.CATALOGUE)
    assert f"@{orders.FRAUD_DOMAIN}" in TEXT
