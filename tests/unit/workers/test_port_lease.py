"""A leased port is free, and no second lease gets the same port."""

import socket

from workers import PortLease


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def leasable(port: int) -> bool:
    lease = PortLease(port)
    lease.release()
    return lease.port == port


def test_the_preferred_port_is_leased_when_free() -> None:
    """The well-known ports are used when possible."""
    preferred = free_port()
    lease = PortLease(preferred)

    assert lease.port == preferred
    lease.release()


def test_a_port_in_use_is_replaced_by_a_free_port() -> None:
    """Another program listens on the preferred port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        lease = PortLease(taken)

        assert lease.port != taken
        lease.release()


def test_the_port_after_a_port_in_use_is_leased() -> None:
    """The kernel lends no port of this range to other programs, so the port is likely to be free later."""
    preferred = next(port for port in range(20_000, 30_000, 40) if leasable(port) and leasable(port + 1))
    first, second = PortLease(preferred), PortLease(preferred)

    assert (first.port, second.port) == (preferred, preferred + 1)
    first.release()
    second.release()


def test_the_first_free_of_two_preferred_ports_is_leased() -> None:
    """The port of an earlier start precedes the port of the settings."""
    remembered, preferred = free_port(), free_port()
    first, second = PortLease(remembered, preferred), PortLease(remembered, preferred)

    assert (first.port, second.port) == (remembered, preferred)
    first.release()
    second.release()


def test_two_leases_never_share_a_port() -> None:
    """The second lease gets another port even before a server listens on the first."""
    preferred = free_port()
    first, second = PortLease(preferred), PortLease(preferred)

    assert first.port != second.port
    first.release()
    second.release()


def test_a_released_port_can_be_leased_again() -> None:
    """A stopped server releases its port for the next server."""
    preferred = free_port()
    PortLease(preferred).release()
    lease = PortLease(preferred)

    assert lease.port == preferred
    lease.release()


def test_port_zero_leases_any_free_port() -> None:
    """Tests stay away from the well-known ports."""
    lease = PortLease(0)

    assert lease.port != 0
    lease.release()
