"""`python -m examples.payment`: plays the payment saga on real servers, in both styles."""

from rich.console import Console

from examples.demo.demo import run_demo
from examples.payment.deployment import DEPLOYMENT
from examples.payment.scenarios import PAYMENTS
from workers import run_main

if __name__ == "__main__":
    run_main(run_demo(PAYMENTS, DEPLOYMENT, Console()))
