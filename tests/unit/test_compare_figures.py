"""The computations of a comparison, without a server."""

import sqlite3
import time
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import ActivityTaskStartedEventAttributes, HistoryEvent

from examples.compare.measurement.coupling import (
    INTEGRATION_CODE,
    ROOT,
    count_lines,
    dependencies_of,
    integration_files_of,
)
from examples.compare.measurement.durations import compensation_ms, ended_ms, latency_of, throughput_of
from examples.compare.measurement.figures import Percentiles, percentile
from examples.compare.measurement.history_counts import count_events
from examples.compare.measurement.invariants import check_invariants, classify_end, find_differences
from examples.compare.measurement.load import PlacedOrder
from examples.compare.measurement.order_plan import DISTURBED, UNDISTURBED, PlannedOrder, plan_orders
from examples.compare.measurement.process_usage import Usage, usage_of
from examples.compare.reporting.metrics import METRICS, Metric, find_warnings, format_figure, judge
from examples.order import deployment as order_deployment
from examples.order.deployment import DEPLOYMENT
from examples.order.scenarios import ORDER_EFFECTS
from examples.payment import deployment as payment_deployment
from examples.stack.end_state import EndState
from examples.stack.service_databases import ServiceDatabases, Step
from tests.unit.sample_comparison import a_comparison

FENCE = (
    "create table saga_step(key text, action text, state text, created_at integer, updated_at integer);"
    "create table saga_inbox(saga_id text)"
)


def an_end_state(**changes: object) -> EndState:
    fields: dict[str, object] = {
        "effects": ORDER_EFFECTS,
        "notices": ("Your receipt",),
        "order": "approved",
        "reserved": 3,
        "shipped": 3,
        "captured": 42,
        "refunded": 0,
        "ledger": 0,
        "unbalanced": (),
    }
    return EndState(**{**fields, **changes})  # type: ignore[arg-type]  # the values have the types of the fields


def a_step(action: str, state: str = "done", *, at: int = 0) -> Step:
    return Step(action=action, state=state, created_ms=at, updated_ms=at)


class TestPercentiles:
    @pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
    def test_are_nearest_ranks(self, share: float, expected: float) -> None:
        """A percentile is the smallest sample that the given share of samples does not exceed."""
        assert percentile([float(n) for n in range(100, 0, -1)], share) == expected

    def test_of_one_sample_and_of_none(self) -> None:
        """One sample is all its percentiles; without samples, percentiles and count are 0."""
        assert Percentiles.of([7.0]) == Percentiles(p50=7, p95=7, p99=7, count=1)
        assert Percentiles.of([]) == Percentiles(p50=0, p95=0, p99=0, count=0)


class TestPlan:
    def test_a_fifth_of_the_orders_is_disturbed_in_equal_shares(self) -> None:
        """Two hundred orders: eight of each disturbed kind, and the others undisturbed."""
        found = [each.kind for each in plan_orders(200, seed=3)]

        assert {kind: found.count(kind) for kind in (*DISTURBED, UNDISTURBED)} == {
            **dict.fromkeys(DISTURBED, 8),
            UNDISTURBED: 160,
        }

    def test_equal_seeds_give_equal_plans(self) -> None:
        """The same seed gives the same orders in the same sequence; another seed gives others."""
        assert plan_orders(50, seed=1) == plan_orders(50, seed=1) != plan_orders(50, seed=2)

    def test_orders_of_both_styles_differ_in_their_ids_alone(self) -> None:
        """Both styles run equal orders."""
        for planned in plan_orders(25, seed=1):
            one, other = planned.build("a-"), planned.build("b-")
            assert one.model_copy(update={"order_id": other.order_id}) == other != one


class TestEndStatusOfAChoreographedSaga:
    COMPENSATABLE = ("create-order", "reserve-stock", "authorize-payment", "capture-payment")

    def test_is_completed_with_its_last_notice(self) -> None:
        """An approved order has not ended while a notice or the receipt is missing."""
        steps = {name: a_step(name) for name in (*self.COMPENSATABLE, "create-shipment", "approve-order")}
        assert order_deployment.end_status(steps) is None
        steps["tell-customer"] = a_step("tell-customer")
        assert order_deployment.end_status(steps) is None
        steps["send-receipt"] = a_step("send-receipt")
        assert order_deployment.end_status(steps) == "completed"

    def test_is_compensated_when_no_step_is_done(self) -> None:
        """The customer may have the notice before every service has compensated its steps."""
        steps = {name: a_step(name, "compensated") for name in ("create-order", "reserve-stock")}
        steps |= {"authorize-payment": a_step("authorize-payment", "rejected")}
        assert order_deployment.end_status(steps) is None
        steps["tell-customer"] = a_step("tell-customer")
        assert order_deployment.end_status(steps) == "compensated"
        steps["reserve-stock"] = a_step("reserve-stock", "done")
        assert order_deployment.end_status(steps) is None

    def test_is_cancelled_when_every_service_has_consumed_the_cancellation(self) -> None:
        """A cancellation that voids the shipment also reaches services without any step yet."""
        steps = {name: a_step(name, "voided") for name in ("create-shipment", "send-receipt")}
        steps |= {name: a_step(name, "compensated") for name in self.COMPENSATABLE[:2]}
        steps["tell-customer"] = a_step("tell-customer")
        assert order_deployment.end_status(steps) is None
        steps |= {name: a_step(name, "voided") for name in self.COMPENSATABLE[2:]}
        assert order_deployment.end_status(steps) == "cancelled"

    def test_of_a_payment_without_an_order(self) -> None:
        """A payment is completed with its receipt, and compensated with its refusal."""
        assert payment_deployment.end_status({"capture-payment": a_step("capture-payment")}) is None
        paid = {name: a_step(name) for name in ("authorize-payment", "capture-payment", "send-receipt")}
        assert payment_deployment.end_status(paid) == "completed"
        refused = {"authorize-payment": a_step("authorize-payment", "rejected")}
        assert (
            payment_deployment.end_status({**refused, "tell-customer": a_step("tell-customer")})
            == "compensated"
        )

    def test_of_an_unknown_saga(self) -> None:
        """A saga without any step has not ended."""
        assert order_deployment.end_status({}) is None
        assert payment_deployment.end_status({}) is None


class TestDurations:
    STEPS = {  # noqa: RUF012 - read only
        "create-order": a_step("create-order", "compensated", at=1_400),
        "reserve-stock": a_step("reserve-stock", "compensated", at=1_500),
        "authorize-payment": a_step("authorize-payment", "rejected", at=1_250),
        "tell-customer": a_step("tell-customer", at=1_600),
    }

    def test_a_saga_ends_with_its_last_step(self) -> None:
        """The last step of any service counts."""
        assert ended_ms(self.STEPS) == 1_600

    def test_compensating_takes_from_the_refusal_to_the_last_compensation(self) -> None:
        """The later notice does not count."""
        assert compensation_ms(self.STEPS) == 250
        assert compensation_ms({"tell-customer": a_step("tell-customer")}) is None

    def test_are_read_from_the_files_of_the_services(self, tmp_path: Path) -> None:
        """Latency and throughput of a saga with steps in two databases, and with a child saga."""
        now = time.time_ns() // 1_000_000
        files = {name: tmp_path / f"{name}.sqlite3" for name in ("order", "payment")}
        for name, key in (
            ("order", "order-a-1:create-order"),
            ("payment", "order-a-1/payment:capture-payment"),
        ):
            with sqlite3.connect(files[name]) as database:
                database.executescript(FENCE)
                action, at = key.rpartition(":")[2], now + (500 if name == "payment" else 100)
                database.execute("insert into saga_step values(?, ?, 'done', ?, ?)", (key, action, at, at))
                database.execute("insert into saga_inbox values('order-a-1'), ('order-b-1')")
            database.close()
        placed = PlacedOrder(
            planned=PlannedOrder(name="1", kind=UNDISTURBED),
            order_id="a-1",
            saga_id="order-a-1",
            requested_ms=now,
            accepted_ms=now,
        )
        databases = ServiceDatabases(DEPLOYMENT.services, files)
        databases.refresh()

        assert latency_of([placed], databases)[0].p50 == 500
        assert throughput_of([placed], databases) == 2
        assert set(databases.steps("order-a-1")) == {"create-order", "capture-payment"}
        assert databases.count_consumed(["order-a-1"]) == 2
        assert databases.count("select count(*) from saga_outbox") == {"order": 0, "payment": 0}
        databases.close()


class TestCounting:
    def test_tasks_are_counted_when_started_and_each_attempt_counts(self) -> None:
        """An activity that succeeds at its third attempt is three tasks and three requests."""
        started = HistoryEvent(
            event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED,
            activity_task_started_event_attributes=ActivityTaskStartedEventAttributes(attempt=3),
        )
        events = [
            HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED),
            HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED),
            started,
        ]

        assert count_events(events) == {
            "history events": 3,
            "workflow tasks": 1,
            "activity tasks": 3,
            "HTTP requests": 3,
        }

    def test_lines_of_code_are_counted_without_comments(self) -> None:
        """Docstrings, comments and blank lines do not count."""
        source = (
            '"""A module."""\n\n# Why.\nfrom .event_types import (\n    a,\n)\n\nX = 1\n"""The number X."""\n'
        )
        source += 'def f() -> int:\n    """Returns 1."""\n    return (\n        1\n    )\n'
        assert count_lines(source) == 8
        assert count_lines(source, only=("f",)) == 7
        assert count_lines(source, only=("X",)) == 4

    @pytest.mark.parametrize("style", sorted(INTEGRATION_CODE))
    def test_the_listed_integration_code_exists(self, style: str) -> None:
        """Every listed file has lines of integration code, and every listed name exists."""
        assert all(each.lines > 0 for each in integration_files_of(style))
        for code in INTEGRATION_CODE[style]:
            for name in code.only:
                source = (ROOT / code.file).read_text(encoding="utf-8")
                assert count_lines(source, only=(name,)) > count_lines(source, only=("",)), name

    def test_dependencies_are_read_from_the_code(self) -> None:
        """The orchestrator depends on every service; choreographed services depend on each other."""
        services = {"order", "inventory", "payment", "shipping", "notification"}
        orchestrated, choreographed = map(dependencies_of, ("orchestrated", "choreographed"))

        assert set(orchestrated["orchestrator"]) == services
        assert not any(orchestrated[name] for name in services)
        assert set(choreographed) == services
        assert "payment-declined" in choreographed["inventory"]["payment"]
        assert all(name not in others for name, others in choreographed.items())

    def test_usage_is_that_of_the_whole_session(self, tmp_path: Path) -> None:
        """Processes of the same session count; processes of other sessions and ended processes do not."""
        for pid, session, ticks in ((10, 10, 5), (11, 10, 7), (12, 12, 100)):
            folder = tmp_path / str(pid)
            folder.mkdir()
            numbers = ["S", "1", str(session), str(session), *["0"] * 7, str(ticks), "1", "0", "0"]
            (folder / "stat").write_text(f"{pid} (a (strange) name) {' '.join(numbers)}")
            (folder / "io").write_text("rchar: 5\nwrite_bytes: 2048\n")
        (tmp_path / "13").mkdir()
        (tmp_path / "self").mkdir()

        found = usage_of({"server": [10], "gone": [99]}, proc=tmp_path, ticks_per_s=100)

        assert found == {"server": Usage(cpu_ms=140, written_kib=4), "gone": Usage()}


class TestInvariants:
    def test_hold_for_equal_end_states_of_both_styles(self) -> None:
        """No difference is found, and every invariant holds."""
        end_states = {"orchestrated": {"1": an_end_state()}, "choreographed": {"1": an_end_state()}}
        placed = [
            PlacedOrder(
                planned=PlannedOrder(name="1", kind=UNDISTURBED),
                order_id="1",
                saga_id="order-1",
                requested_ms=0,
                accepted_ms=0,
            )
        ]

        assert find_differences(end_states) == []
        assert all(each.held for each in check_invariants(end_states, placed, {"order": 0}))

    @pytest.mark.parametrize(
        ("end_state", "broken"),
        [
            (an_end_state(ledger=1), "the ledger sums to zero"),
            (an_end_state(unbalanced=("inventory",)), "the stock is conserved"),
            (an_end_state(effects={"payment": ("capture-payment",)}), "every order has ended"),
            (an_end_state(effects={}, order="cancelled"), "every order has ended as planned"),
            (an_end_state(reserved=0), "reserved and shipped quantities are equal"),
            (an_end_state(refunded=42), "only shipped orders are paid"),
            (an_end_state(notices=("Your receipt", "Your receipt")), "no notice was sent twice"),
            (an_end_state(captured=41), "both styles end every order in the same state"),
        ],
        ids=lambda case: case if isinstance(case, str) else "",
    )
    def test_each_invariant_can_break(self, end_state: EndState, broken: str) -> None:
        """A broken invariant names the order."""
        end_states = {"orchestrated": {"1": an_end_state()}, "choreographed": {"1": end_state}}
        placed = [
            PlacedOrder(
                planned=PlannedOrder(name="1", kind=UNDISTURBED),
                order_id="1",
                saga_id="order-1",
                requested_ms=0,
                accepted_ms=0,
            )
        ]

        found = {each.name: each for each in check_invariants(end_states, placed, {"order": 0})}

        assert not found[broken].held
        assert "1" in found[broken].detail

    def test_an_event_in_an_outbox_breaks_an_invariant(self) -> None:
        """The detail names the service."""
        (found,) = [each for each in check_invariants({"a": {}, "b": {}}, [], {"order": 2}) if not each.held]
        assert (found.name, found.detail) == ("all outboxes are empty", "order: 2")

    def test_an_end_state_is_all_or_nothing(self) -> None:
        """An end state with some of the effects is unfinished."""
        assert classify_end(an_end_state()) == "completed"
        assert classify_end(an_end_state(effects={}, order="cancelled")) == "compensated"
        assert classify_end(an_end_state(effects={}, order="cancelled", notices=())) == "unfinished"
        assert classify_end(an_end_state(order="pending")) == "unfinished"


class TestWarnings:
    def test_name_busy_other_programs_and_servers_outside_the_stack(self) -> None:
        """A warning stands beside figures that are less reliable or incomplete."""
        comparison = a_comparison()
        orchestrated = comparison.styles["orchestrated"]
        undisturbed = orchestrated.conditions.model_copy(update={"cores_of_others": 0.1})
        elsewhere = {name: used for name, used in orchestrated.processes.items() if name != "Temporal"}
        changed = {"conditions": undisturbed, "processes": elsewhere}
        styles = {**comparison.styles, "orchestrated": orchestrated.model_copy(update=changed)}

        busy, missing = (
            find_warnings(comparison),
            find_warnings(comparison.model_copy(update={"styles": styles})),
        )

        assert [each.partition(" kept ")[0] for each in busy] == ["other programs"] * 2
        assert (
            missing[0] == "Temporal is no process of this stack: the figures leave out its CPU and its disk"
        )
        assert "orchestrated" not in missing[1]


class TestVerdict:
    def test_names_the_better_style_and_the_ratio(self) -> None:
        """Lower latency and higher throughput are better."""
        styles = a_comparison().styles
        by_name = {metric.name: str(judge(metric, styles)) for metric in METRICS}

        assert by_name["CPU"] == "choreographed 3.1\N{MULTIPLICATION SIGN}"
        assert by_name["Throughput"] == "choreographed 2.1\N{MULTIPLICATION SIGN}"
        assert by_name["Database writes"] == "about equal"

    def test_of_a_zero_figure_has_no_ratio(self) -> None:
        """The verdict names the better style only."""
        styles = a_comparison().styles
        values = {id(styles["orchestrated"]): 0.0, id(styles["choreographed"]): 4.0}
        metric = Metric(name="", unit="", note="", of=lambda figures: values[id(figures)])
        assert str(judge(metric, styles)) == "orchestrated"

    @pytest.mark.parametrize(
        ("value", "text"), [(0, "0"), (3.14, "3.1"), (3, "3"), (23.4, "23"), (5269, "5,269")]
    )
    def test_figures_have_their_significant_digits_only(self, value: float, text: str) -> None:
        """A second decimal of one run would be noise."""
        assert format_figure(value) == text
