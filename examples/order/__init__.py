"""The order saga, with the payment saga as its child, and the services of orders."""
