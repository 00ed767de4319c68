"""Invalid messages to the services: malformed JSON, invalid fields, and broken business rules."""

import json
from typing import Any

from .messages import order, parcel, payment, stock

GOOD = json.dumps(payment("o"))


def changed(path: str, value: object) -> str:
    """A good payment with one value replaced, or added."""
    message: dict[str, Any] = payment("o")
    *parents, last = path.split(".")
    place = message
    for parent in parents:
        place = place[parent]
    place[last] = value
    return json.dumps(message)


def without(field: str) -> str:
    return json.dumps({name: value for name, value in payment("o").items() if name != field})


MALFORMED: dict[str, tuple[str | bytes, str]] = {
    # name: body, rule
    "empty": ("", "not_json"),
    "not json": ("amount=5", "not_json"),
    "truncated": (GOOD[:-1], "not_json"),
    "text after the object": (GOOD + "x", "not_json"),
    "single quotes": (GOOD.replace('"', "'"), "not_json"),
    "trailing comma": (GOOD[:-1] + ",}", "not_json"),
    "comment": (GOOD[:-1] + "/* */}", "not_json"),
    "NaN": (GOOD.replace("500", "NaN"), "not_a_number"),
    "Infinity": (GOOD.replace("500", "Infinity"), "not_a_number"),
    "minus Infinity": (GOOD.replace("500", "-Infinity"), "not_a_number"),
    "duplicate field": (GOOD[:-1] + ', "amount": 1}', "duplicate_field"),
    "duplicate field inside": (GOOD.replace('"id": "ada"', '"id": "ada", "id": "eve"'), "duplicate_field"),
    "duplicate by escape": (GOOD[:-1] + ', "\\u0061mount": 1}', "duplicate_field"),
    "deep lists": ("[" * 20_000 + "]" * 20_000, "too_deep"),
    "deep objects": ('{"a":' * 10_000 + "1" + "}" * 10_000, "too_deep"),
    "deep and unfinished": ("[" * 60_000, "too_deep"),
    "just too deep": (GOOD[:-1] + ', "x": ' + "[" * 32 + "]" * 32 + "}", "too_deep"),
    "string without end": ('"' + '\\"' * 30_000, "not_json"),
    "lone surrogate": (GOOD.replace("ada@", "\\ud800@"), "not_storable"),
    "lone surrogate as name": (GOOD[:-1] + ', "\\udfff": 1}', "not_storable"),
    "lone surrogate in a list": (GOOD[:-1] + ', "x": [["\\ud800"]]}', "not_storable"),
    "NUL": (GOOD.replace("ada@", "\\u0000@"), "not_storable"),
    "raw control character": (GOOD.replace("ada@", "\n@"), "not_json"),
    "number of 5000 digits": (GOOD.replace("500", "5" * 5000), "number_too_long"),
    "UTF-16": (GOOD.encode("utf-16"), "not_utf_8"),
    "Latin-1": (GOOD.replace("ada", "adé").encode("latin-1"), "not_utf_8"),
    "byte order mark": (GOOD.encode("utf-8-sig"), "not_json"),
}

INVALID: dict[str, tuple[str, str | None, str]] = {
    # name: body, field, rule
    "null": ("null", None, "model_type"),
    "a list": ("[]", None, "model_type"),
    "a number": ("5", None, "model_type"),
    "empty object": ("{}", "order_id", "missing"),
    "unknown field": (changed("colour", "red"), "colour", "extra_forbidden"),
    "unknown field inside": (changed("customer.colour", "red"), "customer.colour", "extra_forbidden"),
    "misspelt field": (changed("ammount", 5), "ammount", "extra_forbidden"),
    "missing amount": (without("amount"), "amount", "missing"),
    "missing customer": (without("customer"), "customer", "missing"),
    "missing method": (without("method"), "method", "missing"),
    "amount as text": (changed("amount", "500"), "amount", "int_type"),
    "amount with a fraction": (changed("amount", 0.1), "amount", "int_type"),
    "amount as a float": (changed("amount", 500.0), "amount", "int_type"),
    "amount as an exponent": (GOOD.replace("500", "1e30"), "amount", "int_type"),
    "amount true": (GOOD.replace("500", "true"), "amount", "int_type"),
    "amount null": (changed("amount", None), "amount", "int_type"),
    "amount list": (changed("amount", [5]), "amount", "int_type"),
    "order id empty": (changed("order_id", ""), "order_id", "string_pattern_mismatch"),
    "order id too long": (changed("order_id", "x" * 65), "order_id", "string_pattern_mismatch"),
    "order id with a path": (changed("order_id", "../etc"), "order_id", "string_pattern_mismatch"),
    "order id with a newline": (changed("order_id", "o\n"), "order_id", "string_pattern_mismatch"),
    "order id with a quote": (changed("order_id", "o'; drop"), "order_id", "string_pattern_mismatch"),
    "order id a number": (changed("order_id", 5), "order_id", "string_type"),
    "currency too long": (changed("currency", "EURO"), "currency", "string_too_long"),
    "currency empty": (changed("currency", ""), "currency", "string_too_short"),
    "email without at": (changed("customer.email", "ada"), "customer.email", "string_pattern_mismatch"),
    "email too long": (changed("customer.email", "a@" + "b" * 260), "customer.email", "string_too_long"),
    "customer a text": (changed("customer", "ada"), "customer", "model_type"),
    "card number as token": (
        changed("method.token", "4242424242424242"),
        "method.token",
        "string_pattern_mismatch",
    ),
    "five last digits": (changed("method.last_four", "42424"), "method.last_four", "string_pattern_mismatch"),
}

REFUSED: dict[str, tuple[str, str, dict[str, Any], str, str]] = {
    # name: service, operation, message, code, field; valid messages that break a business rule
    "amount 0": ("payment", "authorize-payment", payment("o", amount=0), "amount_out_of_range", "amount"),
    "amount -5": ("payment", "authorize-payment", payment("o", amount=-5), "amount_out_of_range", "amount"),
    "amount 2^63": (
        "payment",
        "authorize-payment",
        payment("o", amount=2**63),
        "amount_out_of_range",
        "amount",
    ),
    "amount 10^30": (
        "payment",
        "capture-payment",
        payment("o", amount=10**30),
        "amount_out_of_range",
        "amount",
    ),
    "currency XXX": (
        "payment",
        "authorize-payment",
        payment("o") | {"currency": "XXX"},
        "unsupported_currency",
        "currency",
    ),
    "currency eur": ("order", "create-order", order("o", currency="eur"), "unsupported_currency", "currency"),
    "method cash": (
        "payment",
        "authorize-payment",
        payment("o") | {"method": payment("o")["method"] | {"type": "cash"}},
        "unknown_method",
        "method.type",
    ),
    "no lines": ("inventory", "reserve-stock", {"order_id": "o", "lines": []}, "empty_order", "lines"),
    "51 lines": (
        "shipping",
        "create-shipment",
        parcel("o") | {"lines": [{"sku": f"A{n}", "quantity": 1} for n in range(51)]},
        "empty_order",
        "lines",
    ),
    "quantity 0": (
        "inventory",
        "reserve-stock",
        stock("o", quantity=0),
        "quantity_out_of_range",
        "lines.0.quantity",
    ),
    "quantity 2^63": (
        "inventory",
        "reserve-stock",
        stock("o", quantity=2**63),
        "quantity_out_of_range",
        "lines.0.quantity",
    ),
    "one article twice": (
        "order",
        "create-order",
        order("o", lines=stock("o")["lines"] * 2),
        "repeated_article",
        "lines",
    ),
}
