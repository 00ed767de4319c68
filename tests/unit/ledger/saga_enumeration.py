"""Everything that can happen to a saga, told to the ledger and to the oracle at the same time.

A `Scene` is one moment; the functions that are generators walk through all moments of a kind, and `check`
compares what both say of one. They take the class of the ledger, so that a ledger with a fault planted in it
can be put in its place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import TypeAlias

from sagas import CompensationOrder, CompensationScope
from sagas._core.compensation import ParallelCompensations, PendingCompensation, PlanItem, flatten
from sagas._core.ids import in_parent
from sagas._core.ledger import Ledger
from sagas._core.outcome import Outcome

from . import oracle
from .oracle import Kind, Moment, Part, Shape

POLICIES = tuple(product(CompensationScope, CompensationOrder))
"""Every saga is told under each of them."""
NAMES = ("seat", "seat", "card", "seat", "mail", "bike")
"""Of what is done in turn: some of it again, and in no order that sorting would give."""
DONE, REJECTED, UNKNOWN, WITHDRAWN = Outcome.DONE, Outcome.REJECTED, Outcome.UNKNOWN, Outcome.WITHDRAWN

Ending: TypeAlias = "tuple[Outcome, Shape]"
"""What became of a part, and, of a child that completed, what it owes."""
PLAIN: tuple[Ending, ...] = ((DONE, ()), (REJECTED, ()), (UNKNOWN, ()), (WITHDRAWN, ()))
UNDER_WAY: Ending = (Outcome.STARTED, ())


class BrokenPromiseError(AssertionError):
    """The ledger and the oracle do not agree on a moment of a saga."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment of a saga, as the oracle knows it and in a ledger for each of the policies."""

    moment: Moment
    ledgers: tuple[Ledger, ...]
    names: tuple[str, ...] = field(default=())

    def start(self, name: str, kind: Kind) -> "Scene":
        """Something begins."""
        address = oracle.addresses((*self.names, name))[-1]
        ledgers = self._forked()
        for ledger in ledgers:
            if (given := ledger.next_address(name)) != address:
                raise BrokenPromiseError(f"{given!r} instead of {address!r} in {self.moment}")
            ledger.start(
                address,
                _compensation(address, kind),
                is_child=kind is Kind.CHILD,
                is_best_effort=kind is Kind.BEST_EFFORT,
            )
        moment = replace(self.moment, parts=(*self.moment.parts, Part(address, kind)))
        return Scene(moment, ledgers, (*self.names, name))

    def end(self, address: str, ending: Ending) -> "Scene":
        """What had begun ends; once the pivot is done, the saga is past it."""
        outcome, owes = ending
        parts = self.moment.parts
        place = next(n for n, part in enumerate(parts) if part.address == address)
        kind, owes = parts[place].kind, _seen_from_parent(address, owes)
        ledgers = self._forked()
        for ledger in ledgers:
            if outcome is not DONE:
                ledger.fail(address, outcome)
            elif kind is Kind.CHILD:
                ledger.complete_child(address, _owed(owes))
            else:
                ledger.complete(address, oracle.result_of(address))
        ended = replace(parts[place], outcome=outcome, owes=owes)
        moment = replace(self.moment, parts=(*parts[:place], ended, *parts[place + 1 :]))
        scene = Scene(moment, ledgers, self.names)
        return scene._pass_pivot() if kind is Kind.PIVOT and outcome is DONE else scene

    def turn(self) -> "Scene":
        """The saga turns round."""
        return replace(self, moment=replace(self.moment, has_turned=True), ledgers=self._forked())

    def make_up(self, addresses: Sequence[str]) -> "Scene":
        """Compensations are through."""
        ledgers = self._forked()
        for ledger, address in product(ledgers, addresses):
            ledger.mark_compensated(address)
        return replace(
            self, moment=replace(self.moment, made_up=self.moment.made_up.union(addresses)), ledgers=ledgers
        )

    def _pass_pivot(self) -> "Scene":
        return replace(self, moment=replace(self.moment, is_past_pivot=True))

    def _forked(self) -> tuple[Ledger, ...]:
        return tuple(
            type(one)(one.scope, one.order, dict(one.entries), set(one.compensated), dict(one.address_counts))
            for one in self.ledgers
        )


def opening(kind_of_ledger: type[Ledger] = Ledger) -> Scene:
    """A saga of which nothing has happened yet."""
    return Scene(Moment(), tuple(kind_of_ledger(scope, order) for scope, order in POLICIES))


def check(scene: Scene) -> int:
    """Compares everything that the ledgers say with the promises; returns how many ledgers were asked.

    Raises:
        BrokenPromiseError: They do not agree.
    """
    moment = scene.moment
    asks = oracle.asks(moment)
    for ledger, (scope, order) in zip(scene.ledgers, POLICIES, strict=True):
        names, pairs = oracle.precedence(oracle.owed(moment, scope, order))
        if moment.made_up:
            names = [name for name in names if name not in moment.made_up]
            pairs = {pair for pair in pairs if moment.made_up.isdisjoint(pair)}
        plan = ledger.plan(is_past_pivot=moment.is_past_pivot)
        owed = ledger.pending(is_past_pivot=moment.is_past_pivot)
        found = (
            oracle.precedence(_shape(plan)),
            [one.address for one in owed],
            [one.arguments for one in owed],
            ledger.unresolved_children(),
            () if moment.is_past_pivot else ledger.steps_in_doubt(),
        )
        promised = (
            (names, pairs),
            names,
            [asks.get(name, ("message",)) for name in names],
            oracle.lost(moment),
            () if moment.is_past_pivot else oracle.in_doubt(moment, scope),
        )
        if found != promised or tuple(flatten(plan)) != owed:
            raise BrokenPromiseError(f"{scope}, {order}: {found} instead of {promised} in {moment}")
    return len(scene.ledgers)


def in_turn(scene: Scene, endings: Mapping[Kind, Sequence[Ending]], length: int) -> Iterator[Scene]:
    """Every saga of up to so many parts, each of which ends before the next begins, or is left under way.

    Nothing starts while the pivot is under way, and there is no second one once it is done.
    """
    yield scene
    if length == 0:
        return
    for kind, endings_of_kind in endings.items():
        if kind is Kind.PIVOT and scene.moment.is_past_pivot:
            continue
        begun = scene.start(NAMES[len(scene.names)], kind)
        address = begun.moment.parts[-1].address
        for ending in endings_of_kind:
            if ending is not UNDER_WAY:
                yield from in_turn(begun.end(address, ending), endings, length - 1)
            elif kind is Kind.PIVOT:
                yield begun
            else:
                yield from in_turn(begun, endings, length - 1)


Branch: TypeAlias = "tuple[Kind, ...]"


def interleaved(
    scene: Scene,
    branches: tuple[Branch, ...],
    endings: Mapping[Kind, Sequence[Ending]],
    *,
    under_way: Mapping[int, str] | None = None,
) -> Iterator[Scene]:
    """Every order in which the parts of branches can start and end, each moment of it, and a turn at each.

    The parts of a branch come one after the other. After the turn nothing starts, and what is under way ends.
    Nothing turns round after the pivot.
    """
    yield scene
    under_way = under_way or {}
    for number, branch in enumerate(branches):
        if number in under_way:
            address = under_way[number]
            kind = next(part.kind for part in scene.moment.parts if part.address == address)
            rest = {other: where for other, where in under_way.items() if other != number}
            for ending in endings[kind]:
                yield from interleaved(scene.end(address, ending), branches, endings, under_way=rest)
        elif branch and not scene.moment.has_turned:
            begun = scene.start(f"branch-{'zyx'[number]}", branch[0])
            now = {**under_way, number: begun.moment.parts[-1].address}
            rest_of_branch = (*branches[:number], branch[1:], *branches[number + 1 :])
            yield from interleaved(begun, rest_of_branch, endings, under_way=now)
    if not scene.moment.has_turned and not scene.moment.is_past_pivot:
        yield from interleaved(scene.turn(), branches, endings, under_way=under_way)


def partly_made_up(scene: Scene) -> Iterator[Scene]:
    """The same after every choice of compensations that are through: any of them, in any order."""
    every, _ = oracle.precedence(
        oracle.owed(scene.moment, CompensationScope.ATTEMPTED, CompensationOrder.REVERSE)
    )  # also what no other scope owes: that it is through must not matter
    for count in range(len(every) + 1):
        for through in combinations(every, count):
            yield scene.make_up(through)


def shapes(effects: tuple[str, ...]) -> list[Shape]:
    """Every way to make up for effects in this order: in turn and at once, nested as deep as they go."""
    if len(effects) < 2:
        return [effects]
    return [*_grouped(effects, in_turn=True), *_grouped(effects, in_turn=False)]


def _grouped(effects: tuple[str, ...], *, in_turn: bool) -> Iterator[Shape]:
    size = len(effects)
    cuts = (c for count in range(1, size) for c in combinations(range(1, size), count))
    for cut in cuts:
        blocks = [effects[a:b] for a, b in zip((0, *cut), (*cut, size), strict=True)]
        ways = [
            [block[0]] if len(block) == 1 else list(_grouped(block, in_turn=not in_turn)) for block in blocks
        ]
        for parts in product(*ways):
            yield parts if in_turn else list(parts)


def _compensation(address: str, kind: Kind) -> PendingCompensation | None:
    if kind not in (Kind.STEP, Kind.BEST_EFFORT):
        return None
    asks = kind is Kind.STEP
    return PendingCompensation(
        address=address,
        activity="compensate",
        arguments=("message", None) if asks else ("message",),
        takes_result=asks,
    )


def _owed(shape: Shape) -> tuple[PlanItem, ...]:
    """What a child tells its parent."""
    if isinstance(shape, str):
        return (PendingCompensation(address=shape, activity="compensate", arguments=("message",)),)
    if isinstance(shape, tuple):
        return tuple(one for part in shape for one in _owed(part))
    return (ParallelCompensations(lanes=tuple(_owed(lane) for lane in shape)),)


def _shape(plan: tuple[PlanItem, ...]) -> Shape:
    return tuple(
        part.address if isinstance(part, PendingCompensation) else [_shape(lane) for lane in part.lanes]
        for part in plan
    )


def _seen_from_parent(child: str, shape: Shape) -> Shape:
    if isinstance(shape, str):
        return in_parent(child, shape)
    parts = [_seen_from_parent(child, part) for part in shape]
    return tuple(parts) if isinstance(shape, tuple) else parts
