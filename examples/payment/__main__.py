"""`python -m examples.payment`: watch the payment saga, on its own, on real servers."""

from rich.console import Console

from examples.demo.demo import show
from examples.order.scenarios import PAYMENTS
from workers import run_main

if __name__ == "__main__":
    run_main(show(PAYMENTS, Console()))
