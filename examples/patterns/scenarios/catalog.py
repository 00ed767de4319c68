"""All patterns by name, each with its scenarios."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from temporalio.client import Client

from sagas.testing import SagaRun

from . import (
    amended_approval,
    compensation_scopes,
    confirmed_trip,
    grace_period,
    hedged,
    late_answer,
    parallel_checks,
    partial_fulfilment,
    repeated_steps,
    savepoint,
)

Scenario: TypeAlias = Callable[[Client], Awaitable[SagaRun]]
"""Runs a saga with scripted participants, and asserts the end; the docstring says what happens."""

PATTERNS: Mapping[str, tuple[Scenario, ...]] = {
    "savepoint": (savepoint.no_boat, savepoint.payment_refused),
    "late-answer": (
        late_answer.first_carrier_answers_late,
        late_answer.two_carriers_refuse,
        late_answer.no_carrier,
    ),
    "hedged": (hedged.near_warehouse_is_fast, hedged.slow_warehouse_wins),
    "partial-fulfilment": (
        partial_fulfilment.one_package_is_refused,
        partial_fulfilment.all_packages_are_refused,
    ),
    "compensation-scopes": (
        compensation_scopes.lost_booking_is_found,
        compensation_scopes.failed_booking_is_not_compensated,
        compensation_scopes.rejected_step_is_compensated,
    ),
    "confirmed-trip": (
        confirmed_trip.customer_takes_the_offer,
        confirmed_trip.customer_declines_the_offer,
        confirmed_trip.customer_does_not_decide,
    ),
    "repeated-steps": (
        repeated_steps.heavy_container_leaves,
        repeated_steps.first_container_leaves,
        repeated_steps.ship_does_not_sail,
    ),
    "amended-approval": (
        amended_approval.amended_purchase_is_approved,
        amended_approval.no_amendment_comes,
    ),
    "grace-period": (
        grace_period.period_passes,
        grace_period.customer_withdraws,
        grace_period.saga_is_cancelled,
    ),
    "parallel-checks": (
        parallel_checks.all_checks_pass,
        parallel_checks.one_check_fails,
        parallel_checks.payment_refused,
    ),
}
