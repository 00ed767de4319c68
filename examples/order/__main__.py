"""`python -m examples.order`: watch the order saga, with the payment saga as its child, on real servers."""

from rich.console import Console

from examples.demo.demo import show
from examples.order.scenarios import ORDERS
from workers import run_main

if __name__ == "__main__":
    run_main(show(ORDERS, Console()))
