"""`python -m examples.order`: plays the order saga on real servers, in both styles."""

from rich.console import Console

from examples.demo.demo import run_demo
from examples.order.deployment import DEPLOYMENT
from examples.order.scenarios import ORDERS
from workers import run_main

if __name__ == "__main__":
    run_main(run_demo(ORDERS, DEPLOYMENT, Console()))
