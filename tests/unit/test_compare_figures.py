"""What a comparison counts and computes, without a server."""

import sqlite3
import time
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import ActivityTaskStartedEventAttributes, HistoryEvent

from examples.compare.measurement.coupling import ROOT, WIRING, count_lines, who_knows_whom, wiring_of
from examples.compare.measurement.figures import Percentiles, percentile
from examples.compare.measurement.history_counts import count_events
from examples.compare.measurement.invariants import differences, end_state, invariants
from examples.compare.measurement.order_plan import TROUBLES, Planned, plan
from examples.compare.measurement.process_usage import Usage, usage_of
from examples.compare.measurement.run import (
    Placed,
    compensation_ms,
    ended_ms,
    latency_of,
    throughput_of,
)
from examples.compare.reporting.metrics import METRICS, Metric, cautions, shown, verdict
from examples.stack.end_state import COMPLETED, Ending
from examples.stack.service_databases import Records, Step
from examples.stack.styles import end_of
from tests.unit.sample_comparison import a_comparison

FENCE = (
    "create table saga_step(key text, action text, state text, created_at integer, updated_at integer);"
    "create table saga_inbox(saga_id text)"
)


def an_ending(**changes: object) -> Ending:
    known: dict[str, object] = {
        "effects": COMPLETED,
        "told": ("Your receipt",),
        "order": "approved",
        "reserved": 3,
        "shipped": 3,
        "captured": 42,
        "refunded": 0,
        "ledger": 0,
        "broken": (),
    }
    return Ending(**{**known, **changes})  # type: ignore[arg-type]  # a test may say anything


def a_step(action: str, state: str = "done", *, at: int = 0) -> Step:
    return Step(action=action, state=state, created_ms=at, updated_ms=at)


class TestPercentiles:
    @pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
    def test_are_nearest_ranks(self, share: float, expected: float) -> None:
        """So many of all samples are not above them, and each is a sample."""
        assert percentile([float(n) for n in range(100, 0, -1)], share) == expected

    def test_of_one_sample_and_of_none(self) -> None:
        """One sample is all its percentiles; nothing measured is 0, and says so by its count."""
        assert Percentiles.of([7.0]) == Percentiles(p50=7, p95=7, p99=7, count=1)
        assert Percentiles.of([]) == Percentiles(p50=0, p95=0, p99=0, count=0)


class TestPlan:
    def test_a_fifth_is_in_trouble_in_equal_shares(self) -> None:
        """Two hundred orders: eight of each trouble, and the others go well."""
        found = [each.trouble for each in plan(200, seed=3)]

        assert {kind: found.count(kind) for kind in (*TROUBLES, "well")} == {
            **dict.fromkeys(TROUBLES, 8),
            "well": 160,
        }

    def test_is_fixed_by_its_seed(self) -> None:
        """The same seed gives the same orders in the same sequence, another one another."""
        assert plan(50, seed=1) == plan(50, seed=1) != plan(50, seed=2)

    def test_orders_of_both_styles_differ_in_their_ids_alone(self) -> None:
        """What is compared is the style, not the order."""
        for planned in plan(25, seed=1):
            one, other = planned.order("a-"), planned.order("b-")
            assert one.model_copy(update={"order_id": other.order_id}) == other != one


class TestEndOfAChoreographedSaga:
    EVERY = ("create-order", "reserve-stock", "authorize-payment", "capture-payment")

    def test_is_completed_with_its_last_notice(self) -> None:
        """Approved is not enough: two services may still have to tell the customer."""
        steps = {name: a_step(name) for name in (*self.EVERY, "create-shipment", "approve-order")}
        assert end_of(steps) is None
        steps["tell-customer"] = a_step("tell-customer")
        assert end_of(steps) is None
        steps["send-receipt"] = a_step("send-receipt")
        assert end_of(steps) == "completed"

    def test_is_compensated_when_nothing_is_done_any_more(self) -> None:
        """The customer may be told before every service has made up for its part."""
        steps = {name: a_step(name, "compensated") for name in ("create-order", "reserve-stock")}
        steps |= {"authorize-payment": a_step("authorize-payment", "failed")}
        assert end_of(steps) is None
        steps["tell-customer"] = a_step("tell-customer")
        assert end_of(steps) == "compensated"
        steps["reserve-stock"] = a_step("reserve-stock", "done")
        assert end_of(steps) is None

    def test_is_cancelled_when_every_service_has_heard_of_it(self) -> None:
        """A cancellation that makes the shipment void reaches those who have not begun, too."""
        steps = {name: a_step(name, "fenced") for name in ("create-shipment", "send-receipt")}
        steps |= {name: a_step(name, "compensated") for name in self.EVERY[:2]}
        steps["tell-customer"] = a_step("tell-customer")
        assert end_of(steps) is None
        steps |= {name: a_step(name, "fenced") for name in self.EVERY[2:]}
        assert end_of(steps) == "cancelled"

    def test_of_a_payment_on_its_own(self) -> None:
        """It is completed with its receipt, and compensated with its refusal."""
        assert end_of({"capture-payment": a_step("capture-payment")}) is None
        paid = {name: a_step(name) for name in ("authorize-payment", "capture-payment", "send-receipt")}
        assert end_of(paid) == "completed"
        refused = {"authorize-payment": a_step("authorize-payment", "failed")}
        assert end_of({**refused, "tell-customer": a_step("tell-customer")}) == "compensated"

    def test_of_a_saga_that_nobody_knows(self) -> None:
        """Nothing has happened yet."""
        assert end_of({}) is None


class TestTimes:
    STEPS = {  # noqa: RUF012 - read only
        "create-order": a_step("create-order", "compensated", at=1_400),
        "reserve-stock": a_step("reserve-stock", "compensated", at=1_500),
        "authorize-payment": a_step("authorize-payment", "failed", at=1_250),
        "tell-customer": a_step("tell-customer", at=1_600),
    }

    def test_a_saga_ends_with_its_last_step(self) -> None:
        """Whichever service it was in."""
        assert ended_ms(self.STEPS) == 1_600

    def test_compensating_takes_from_the_refusal_to_the_last_compensation(self) -> None:
        """The notice that comes after it does not count."""
        assert compensation_ms(self.STEPS) == 250
        assert compensation_ms({"tell-customer": a_step("tell-customer")}) is None

    def test_are_read_from_the_files_of_the_services(self, tmp_path: Path) -> None:
        """Latency and throughput of a saga whose steps are in two databases, a child's among them."""
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
        placed = Placed(
            planned=Planned(name="1", trouble="well"),
            order_id="a-1",
            saga_id="order-a-1",
            asked_ms=now,
            accepted_ms=now,
        )
        records = Records(files)
        records.refresh()

        assert latency_of([placed], records)[0].p50 == 500
        assert throughput_of([placed], records) == 2
        assert set(records.steps("order-a-1")) == {"create-order", "capture-payment"}
        assert records.deliveries(["order-a-1"]) == 2
        assert records.count("select count(*) from saga_outbox") == {"order": 0, "payment": 0}
        records.close()


class TestCounting:
    def test_tasks_are_counted_when_they_begin_and_attempts_on_their_own(self) -> None:
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

    def test_lines_are_code_alone(self) -> None:
        """Docstrings, comments and blank lines are not wiring."""
        source = '"""A module."""\n\n# Why.\nfrom .facts import (\n    a,\n)\n\nX = 1\n"""What X is."""\n'
        source += 'def f() -> int:\n    """Does it."""\n    return (\n        1\n    )\n'
        assert count_lines(source) == 8
        assert count_lines(source, only=("f",)) == 7
        assert count_lines(source, only=("X",)) == 4

    @pytest.mark.parametrize("style", sorted(WIRING))
    def test_what_is_called_wiring_is_there(self, style: str) -> None:
        """Every file has lines of wiring, and every name that is listed exists."""
        assert all(each.lines > 0 for each in wiring_of(style))
        for wiring in WIRING[style]:
            for name in wiring.only:
                source = (ROOT / wiring.file).read_text(encoding="utf-8")
                assert count_lines(source, only=(name,)) > count_lines(source, only=("",)), name

    def test_who_knows_whom_is_read_from_the_code(self) -> None:
        """An orchestrator knows every service, and they know nobody; without one, they know each other."""
        services = {"order", "inventory", "payment", "shipping", "notification"}
        orchestrated, choreographed = map(who_knows_whom, ("orchestrated", "choreographed"))

        assert set(orchestrated["orchestrator"]) == services
        assert not any(orchestrated[name] for name in services)
        assert set(choreographed) == services
        assert "payment-declined" in choreographed["inventory"]["payment"]
        assert all(knower not in known for knower, known in choreographed.items())

    def test_usage_is_that_of_the_whole_session(self, tmp_path: Path) -> None:
        """A server's helpers count with it; who is in another session, or has gone, does not."""
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
    def test_hold_where_both_styles_end_alike(self) -> None:
        """Nothing to complain about."""
        endings = {"orchestrated": {"1": an_ending()}, "choreographed": {"1": an_ending()}}
        placed = [
            Placed(
                planned=Planned(name="1", trouble="well"),
                order_id="1",
                saga_id="order-1",
                asked_ms=0,
                accepted_ms=0,
            )
        ]

        assert differences(endings) == []
        assert all(each.held for each in invariants(endings, placed, {"order": 0}))

    @pytest.mark.parametrize(
        ("ending", "broken"),
        [
            (an_ending(ledger=1), "the ledger sums to zero"),
            (an_ending(broken=("inventory",)), "the stock is conserved"),
            (an_ending(effects={"payment": ("capture-payment",)}), "every order has ended"),
            (an_ending(effects={}, order="cancelled"), "every order has ended as its data says"),
            (an_ending(reserved=0), "what is reserved is what was shipped"),
            (an_ending(refunded=42), "who gets no parcel has paid nothing"),
            (an_ending(told=("Your receipt", "Your receipt")), "nobody was told anything twice"),
            (an_ending(captured=41), "the end states are identical in both styles, order by order"),
        ],
        ids=lambda case: case if isinstance(case, str) else "",
    )
    def test_are_seen_to_break(self, ending: Ending, broken: str) -> None:
        """Each of them fails once, and names the order."""
        endings = {"orchestrated": {"1": an_ending()}, "choreographed": {"1": ending}}
        placed = [
            Placed(
                planned=Planned(name="1", trouble="well"),
                order_id="1",
                saga_id="order-1",
                asked_ms=0,
                accepted_ms=0,
            )
        ]

        found = {each.name: each for each in invariants(endings, placed, {"order": 0})}

        assert not found[broken].held
        assert "1" in found[broken].detail

    def test_an_event_that_waits_is_told(self) -> None:
        """With the service in whose outbox it stands."""
        (found,) = [each for each in invariants({"a": {}, "b": {}}, [], {"order": 2}) if not each.held]
        assert (found.name, found.detail) == ("all outboxes are drained", "order: 2")

    def test_an_end_state_is_all_or_nothing(self) -> None:
        """Anything in between is unfinished."""
        assert end_state(an_ending()) == "completed"
        assert end_state(an_ending(effects={}, order="cancelled")) == "compensated"
        assert end_state(an_ending(effects={}, order="cancelled", told=())) == "unfinished"
        assert end_state(an_ending(order="pending")) == "unfinished"


class TestCautions:
    def test_are_given_where_others_were_busy_or_a_server_runs_elsewhere(self) -> None:
        """Figures that mean less than they seem to are not shown without a word."""
        comparison = a_comparison()
        orchestrated = comparison.styles["orchestrated"]
        undisturbed = orchestrated.conditions.model_copy(update={"cores_of_others": 0.1})
        elsewhere = {name: used for name, used in orchestrated.processes.items() if name != "Temporal"}
        changed = {"conditions": undisturbed, "processes": elsewhere}
        styles = {**comparison.styles, "orchestrated": orchestrated.model_copy(update=changed)}

        busy, missing = cautions(comparison), cautions(comparison.model_copy(update={"styles": styles}))

        assert [each.partition(" kept ")[0] for each in busy] == ["other programs"] * 2
        assert missing[0] == "Temporal runs elsewhere: its CPU and its disk are not in the figures"
        assert "orchestrated" not in missing[1]


class TestVerdict:
    def test_says_who_is_better_off_and_how_many_times(self) -> None:
        """Less latency is better, more throughput is."""
        styles = a_comparison().styles
        by_name = {metric.name: str(verdict(metric, styles)) for metric in METRICS}

        assert by_name["CPU"] == "choreographed 3.1\N{MULTIPLICATION SIGN}"
        assert by_name["Throughput"] == "choreographed 2.1\N{MULTIPLICATION SIGN}"
        assert by_name["Database writes"] == "about the same"

    def test_of_nothing_against_something(self) -> None:
        """No ratio is made up where one figure is 0."""
        styles = a_comparison().styles
        values = {id(styles["orchestrated"]): 0.0, id(styles["choreographed"]): 4.0}
        metric = Metric(name="", unit="", note="", of=lambda figures: values[id(figures)])
        assert str(verdict(metric, styles)) == "orchestrated"

    @pytest.mark.parametrize(
        ("value", "text"), [(0, "0"), (3.14, "3.1"), (3, "3"), (23.4, "23"), (5269, "5,269")]
    )
    def test_shows_no_more_digits_than_there_are(self, value: float, text: str) -> None:
        """A second decimal of one run would be noise."""
        assert shown(value) == text
