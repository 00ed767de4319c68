"""Messages to the services, as JSON."""

from typing import Any

CUSTOMER = {"id": "ada", "email": "ada@example.com"}
LINES = [{"sku": "TEA-GREEN", "quantity": 2}, {"sku": "MUG-WHITE", "quantity": 1}]


def payment(order_id: str, *, token: str = "tok_visa", amount: int = 500) -> dict[str, Any]:
    method = {"type": "card", "token": token, "last_four": "4242"}
    return {
        "order_id": order_id,
        "amount": amount,
        "currency": "EUR",
        "customer": dict(CUSTOMER),
        "method": method,
    }


def address(postal_code: str = "10115") -> dict[str, Any]:
    return {"street": "Main Street 1", "postal_code": postal_code, "country": "DE"}


def order(order_id: str, **changed: Any) -> dict[str, Any]:
    return payment(order_id) | {"lines": LINES, "address": address()} | changed


def stock(order_id: str, sku: str = "TEA-GREEN", quantity: int = 2) -> dict[str, Any]:
    return {"order_id": order_id, "lines": [{"sku": sku, "quantity": quantity}]}


def parcel(order_id: str, postal_code: str = "10115") -> dict[str, Any]:
    return {"order_id": order_id, "lines": LINES, "address": address(postal_code)}


def notice(order_id: str) -> dict[str, Any]:
    return {"order_id": order_id, "customer": dict(CUSTOMER), "subject": "Your order"}


def screening(order_id: str, email: str = "ada@example.com") -> dict[str, Any]:
    customer = {"id": "ada", "email": email}
    return {"order_id": order_id, "customer": customer, "amount": 500, "currency": "EUR"}
