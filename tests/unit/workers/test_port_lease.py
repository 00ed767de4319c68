"""A leased port is free, and no second lease gets the same port."""

import socket

from workers import PortLease


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


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
