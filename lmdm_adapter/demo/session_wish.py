"""From a visitor's wish to a session: which mode, how far ahead, and how late the page hears and is heard."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmdm_adapter.codec_stream import low_latency_frames
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.demo.memory import memory_bytes
from lmdm_adapter.demo.overheard import Overheard
from lmdm_adapter.demo.session_settings import LONGEST_LEAD_SECONDS, OWN, decibels, narrowed
from lmdm_adapter.demo.session_voice import Played, SessionVoice
from lmdm_adapter.demo.voice import SessionOrigin, Wish
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.resampling import fitted, resampling_seconds
from lmdm_adapter.session.curves import Curves
from lmdm_adapter.session.delay_mode import DelayMode, delay_seconds_of
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.governor import GovernorPlan
from lmdm_adapter.session.jam_mode import JamMode, JamTiming, late_frames, visible_frames
from lmdm_adapter.session.known_ahead import AheadJam, AheadSketch, DrawnMode, SketchAhead
from lmdm_adapter.session.looped_sound import LoopedSound
from lmdm_adapter.session.maker import Facts, facts_of
from lmdm_adapter.session.modes import Mode
from lmdm_adapter.session.needs import require_needs, sketch_settings
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.played_on import versions
from lmdm_adapter.session.session_log import header_of
from lmdm_adapter.session.sketch_mode import SketchMode
from lmdm_adapter.sound_file import read_audio

CHUNKS_OF_A_LEAD = 4
LINE_SECONDS = 0.1
"""What the way from a microphone to the session may take: a packet, the network."""


@dataclass(frozen=True)
class Stage:
    """All that a mode is made for. `late_seconds` is the page's round trip without what its devices add to it.

    What comes from the page is resampled, and known `resampling_seconds` later.
    """

    live: LiveModel
    facts: Facts
    plan: SessionPlan
    own: Mapping[str, Any]
    late_seconds: float = 0.0
    sound: LoopedSound | None = None
    curves: Any = None
    path: Path | None = None
    resampling_seconds: float = 0.0

    @property
    def microphone(self) -> bool:
        """Whether what is heard comes from the page."""
        return self.late_seconds > 0.0

    @property
    def device_samples(self) -> int:
        """The round trip from what is played to what is heard; a sound that is a file is there at once."""
        return round(self.device_seconds * self.facts.sample_rate)

    @property
    def late(self) -> dict[str, int]:
        """What the modes that listen must know of the way to them."""
        held = math.ceil(self.resampling_seconds * self.facts.sample_rate)
        return {"device_samples": self.device_samples, "resampling_samples": held}

    @property
    def device_seconds(self) -> float:
        """The round trip in seconds."""
        return self.late_seconds + self.own["device_seconds"] if self.microphone else 0.0


def session_voice(
    live: LiveModel, wish: Wish, *, name: str, computing: threading.Lock, origin: Mapping[str, Any] | None = None
) -> SessionVoice:
    """A voice for the modes sketch, jam and delay; `origin` is what its recordings say of the model.

    Raises LmdmError for a model without the controls of the mode, a delay shorter than its budget, and values that do
    not fit.
    """
    require_needs(live.section, wish.mode, model=name)
    values = dict(wish.values)
    own = {name: one.checked(values.pop(name, one.default)) for name, one in OWN.items()}
    drawing, path = values.pop("sketch", None), values.pop("sound", None)
    stage = _stage(live, wish, own, drawing, path)
    # Outside of the lock: the first sketch loads packages, for seconds in which others' music is made.
    mode, notice = MODES[wish.mode](stage)
    overheard = Overheard() if stage.microphone else None
    with computing:
        engine = _engine(stage, wish, mode, _session_values(values, microphone=stage.microphone), overheard)
    header = header_of(engine, seed=own["seed"], versions=versions(), model=name)
    session = SessionOrigin(header, stage.path, hears=stage.microphone, replays=True)
    origin = {**(origin or {}), "look_ahead_frames": stage.facts.hold_back_frames}
    return SessionVoice(
        engine, _played(stage, wish, notice), budget=_answers(stage, wish, engine), computing=computing,
        memory=lambda: memory_bytes(stage.live.device), origin=origin, session=session, overheard=overheard,
    )  # fmt: skip


def sound_in(path: Path, facts: Facts) -> LoopedSound:
    """A file as the input of a session. Raises LmdmError for one that is no sound."""
    audio = fitted(read_audio(path), sample_rate=facts.sample_rate, channels=facts.channels)
    return LoopedSound(audio.samples.T)


def page_seconds(lead_seconds: float) -> float:
    """How late what is sent to a page comes back from its microphone, but for what its devices add.

    That is its lead, a chunk more, and the line.
    """
    return lead_seconds * (1.0 + 1.0 / CHUNKS_OF_A_LEAD) + LINE_SECONDS


def _stage(live: LiveModel, wish: Wish, own: Mapping[str, Any], drawing: Any, path: str | None) -> Stage:
    facts = facts_of(live, look_ahead_frames=low_latency_frames(live.codec))
    ahead_seconds = own["ahead_seconds"]
    if drawing is not None:
        plan = SessionPlan(GovernorPlan(ahead_seconds, most_lead_seconds=LONGEST_LEAD_SECONDS))
        return Stage(live, facts, plan, own, curves=Curves.from_json(drawing))
    plan = SessionPlan.listening(ahead_seconds)
    if path is not None:
        return Stage(live, facts, plan, own, sound=sound_in(Path(path), facts), path=Path(path))
    if wish.source is None:
        raise LmdmError(f"{wish.mode} needs a sound to hear: start the microphone, or choose a file.")
    held = resampling_seconds(wish.source[0], facts.sample_rate)
    return Stage(live, facts, plan, own, page_seconds(wish.lead_seconds), resampling_seconds=held)


def _engine(stage: Stage, wish: Wish, mode: Mode, values: Mapping[str, Any], overheard: Overheard | None) -> Engine:
    live, facts = stage.live, stage.facts
    source = (facts.sample_rate, facts.channels) if stage.sound is not None else wish.source
    return Engine(
        live, facts, mode, state=live.start(stage.own["seed"], look_ahead_frames=facts.hold_back_frames),
        plan=stage.plan, values=values, source=None if stage.curves is not None else source,
        tap=None if overheard is None else overheard.tap, keeps_told=overheard is not None,
    )  # fmt: skip


def _played(stage: Stage, wish: Wish, notice: str | None) -> Played:
    rate = stage.facts.sample_rate
    chunk_samples = max(1, round(wish.lead_seconds / CHUNKS_OF_A_LEAD * rate))
    source_rate = wish.source[0] if wish.source is not None else rate
    return Played(chunk_samples, stage.sound, stage.microphone, round(stage.late_seconds * source_rate), notice)


def _answers(stage: Stage, wish: Wish, engine: Engine) -> dict[str, float]:
    """The seconds to the answer, part by part: of a delay, what it takes at the least, and what is spare."""
    budget, mode = engine.budget(device_seconds=stage.device_seconds), engine.mode
    parts = dict(budget.parts)
    if isinstance(mode, (SketchAhead, AheadJam)):
        parts["device"] = wish.lead_seconds
    if isinstance(mode, DelayMode):
        parts["spare"] = max(0.0, mode.late_samples / stage.facts.sample_rate - budget.total_seconds)
    return parts


def _session_values(values: Mapping[str, Any], *, microphone: bool) -> dict[str, Any]:
    told = {name: narrowed(name, value) for name, value in values.items()}
    if microphone and "mix" in told:
        told["gain_db"] = decibels(told.pop("mix"))
    return told


def _sketch_mode(stage: Stage) -> tuple[Mode, str | None]:
    config = sketch_settings(stage.live.section, "sketch")
    if stage.curves is not None:
        lacking = [name for name in stage.curves.drawn_names if name not in config.features]
        notice = f"This model follows no {' and no '.join(lacking)}." if lacking else None
        return DrawnMode(config, stage.curves), notice
    if stage.sound is not None:
        return AheadSketch(config, stage.sound.samples), None
    return SketchMode.following(config, stage.facts, stage.plan, **stage.late), None


def _jam_mode(stage: Stage) -> tuple[Mode, str | None]:
    """A sound that is a file is known ahead where a live one would not be; a live one shows what it can."""
    facts, wanted = stage.facts, stage.own["visibility_seconds"]
    listening = Listening.of(stage.live.codec, stage.live.section.frame_controls)
    most = -late_frames(facts, stage.plan, look_ahead_frames=listening.delay_frames, **stage.late)
    notice = None
    if wanted is not None and visible_frames(wanted, facts) > most:
        if stage.sound is not None:
            return AheadJam.seeing(listening, facts, stage.sound.samples, visibility_seconds=wanted), None
        wanted, notice = None, f"At most {most / facts.frame_rate_hz:.2f} s of a live sound can be known."
    timing = JamTiming.live(listening, facts, stage.plan, visibility_seconds=wanted, **stage.late)
    if notice:
        notice += f" It is played with {timing.visibility_frames / facts.frame_rate_hz:.2f} s."
    return JamMode(listening, timing), notice


def _delay_mode(stage: Stage) -> tuple[Mode, str | None]:
    config, beats, bpm = sketch_settings(stage.live.section, "delay"), stage.own["beats"], stage.own["bpm"]
    mode = DelayMode.of(
        config, stage.facts, stage.plan, delay_seconds=delay_seconds_of(beats, bpm), bpm=bpm, **stage.late
    )  # fmt: skip
    return mode, None


MODES = {"sketch": _sketch_mode, "jam": _jam_mode, "delay": _delay_mode}
