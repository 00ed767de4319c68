"""Ports are free when they are given out, and nobody else of us gets them."""

import socket

from workers import PortLease


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_the_preferred_port_is_taken_where_it_is_free() -> None:
    """People know the usual ports by heart."""
    preferred = free_port()
    lease = PortLease(preferred)

    assert lease.port == preferred
    lease.release()


def test_a_port_of_another_program_is_left_alone() -> None:
    """Where somebody listens, another port is chosen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        lease = PortLease(taken)

        assert lease.port != taken
        lease.release()


def test_two_leases_never_share_a_port() -> None:
    """Not even before the first server listens on its port."""
    preferred = free_port()
    first, second = PortLease(preferred), PortLease(preferred)

    assert first.port != second.port
    first.release()
    second.release()


def test_a_released_port_can_be_leased_again() -> None:
    """A server that stopped gives its usual port to the next one."""
    preferred = free_port()
    PortLease(preferred).release()
    lease = PortLease(preferred)

    assert lease.port == preferred
    lease.release()


def test_zero_is_any_free_port() -> None:
    """Who has no wish, such as a test, stays away from the usual ports."""
    lease = PortLease(0)

    assert lease.port != 0
    lease.release()
