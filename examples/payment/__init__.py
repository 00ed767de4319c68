"""The payment saga: authorize, capture, receipt; and the payment service with its ledger."""
