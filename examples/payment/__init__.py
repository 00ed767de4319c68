"""The payment saga (authorize, capture, receipt), and the payment and notification services."""
