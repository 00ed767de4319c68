"""`python -m examples.payment.services payment --database payment.sqlite3`: runs a service as a process."""

from examples.payment.deployment import SERVICES
from examples.service_kit.process import service_program

app = service_program(SERVICES)

if __name__ == "__main__":
    app()
