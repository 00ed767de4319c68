"""docs/test-data.md lists exactly the test data of the services."""

import re
from pathlib import Path

from examples.order.faults import BY_POSTAL_CODE
from examples.order.services import inventory, orders, shipping
from examples.payment.faults import BY_TOKEN
from examples.payment.services import payment

TEXT = (Path(__file__).parents[2] / "docs" / "test-data.md").read_text()


def test_every_token_postal_code_and_article_is_in_the_table() -> None:
    """Every value with a scripted behaviour is documented, and every documented value exists."""
    tokens = {token for _, token in (*BY_TOKEN, *payment.PROVIDER_REFUSALS)} | {"tok_visa"}
    codes = {code for _, code in BY_POSTAL_CODE} | {shipping.UNDELIVERABLE}
    assert set(re.findall(r"`(tok_\w+)`", TEXT)) == tokens
    assert set(re.findall(r"`(\d{5})`", TEXT)) == codes
    assert set(re.findall(r"`([A-Z][A-Z0-9]*-[A-Z0-9]+)`", TEXT)) == set(inventory.CATALOGUE)
    assert f"@{orders.FRAUD_DOMAIN}" in TEXT
