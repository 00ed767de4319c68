"""Tests of sagas: scripted participants, inputs at named moments, a runner, and assertions."""

from ._errors import SagaTestError
from ._participants.effect_book import EffectState
from ._participants.scripted_participants import ParticipantCall
from ._run_saga import open_saga, run_saga
from ._saga_run import OpenSaga, SagaRun
from ._script.inputs import Input, Moment, after, approves, before, cancels, disapproves, sends, waiting_for
from ._script.plan import RunOptions
from ._script.responses import (
    Response,
    answers,
    answers_late,
    answers_with,
    blocks,
    crashes_worker,
    fails,
    hangs,
    loses_reply,
    rejects,
)
from ._script.step_keys import compensation_of, confirmation_of, probe_of

__all__ = [
    "EffectState",
    "Input",
    "Moment",
    "OpenSaga",
    "ParticipantCall",
    "Response",
    "RunOptions",
    "SagaRun",
    "SagaTestError",
    "after",
    "answers",
    "answers_late",
    "answers_with",
    "approves",
    "before",
    "blocks",
    "cancels",
    "compensation_of",
    "confirmation_of",
    "crashes_worker",
    "disapproves",
    "fails",
    "hangs",
    "loses_reply",
    "open_saga",
    "probe_of",
    "rejects",
    "run_saga",
    "sends",
    "waiting_for",
]
