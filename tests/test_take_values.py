"""Takes replay bit for bit: what is turned where, and what is no take."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls import Controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.session.take import Event, Take, play
from lmdm_adapter.spec import Sampling
from tests.models import tiny_live
from tests.test_state_values import same

HOUSE, TECHNO = "house 120 bpm", "techno 140 bpm drums"
TAKE = Take(seed=5, events=(
    Event(0, Controls.of(HOUSE)),
    Event(13, Controls((("techno", 2.0), ("house", 1.0)), negative_prompt="bass"), Sampling(2, guidance=2.0)),
    Event(30, Controls.of(TECHNO), policy="recache", forget_blocks=1),
))  # fmt: skip


def performed(live: LiveModel) -> list[Audio]:
    """What TAKE says, done by hand: blocks are 6 frames, so frame 13 is turned at the border at 18."""
    state, out = live.start(5), []
    for block in range(9):
        event = TAKE.events[0 if block < 3 else 1 if block < 5 else 2]
        if block == 5:
            state = live.recache(live.forget(state, 1))
        audio, state = live.step(state, event.controls, sampling=event.sampling)
        out.append(audio)
    return out


def test_a_take_replays_bit_for_bit_also_from_its_text() -> None:
    live = tiny_live()
    by_hand = performed(live)
    for take in (TAKE, Take.from_json(TAKE.to_json())):
        assert same(by_hand, [audio for audio, _ in islice(play(live, take), 9)])
    later = replace(TAKE, events=(*TAKE.events[:2], replace(TAKE.events[2], frame=31)))
    assert not same(by_hand, [audio for audio, _ in islice(play(live, later), 9)])


def test_a_take_goes_on_from_a_saved_moment(tmp_path: Path) -> None:
    """Also after an event that changed the context, which is not applied a second time."""
    whole = list(islice(play(live := tiny_live(), TAKE), 12))
    for saved in (3, 4, 5, 6):
        live.save_state(whole[saved][1], tmp_path / "moment.safetensors")
        state = live.load_state(tmp_path / "moment.safetensors")
        going_on = [audio for audio, _ in islice(play(live, TAKE, state=state), 11 - saved)]
        assert same([audio for audio, _ in whole[saved + 1 :]], going_on), saved


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "not valid JSON"), ("[]", "JSON object"), ('{"seed": 1}', "misses 'events'"),
     ('{"seed": 1, "events": []}', "begin at frame 0"),
     ('{"seed": 1, "events": ["x"]}', "event is a JSON object"),
     ('{"seed": 1, "events": [{"frame": 3, "controls": {}}]}', "begin at frame 0"),
     ('{"seed": 1, "events": [{"frame": 0, "controls": {}, "policy": "hope"}]}', "'hope'|one of keep"),
     ('{"seed": 1, "events": [{"frame": 0, "controls": {"prompt": 1}}]}', "does not know 'prompt'")],
)  # fmt: skip
def test_what_is_no_take_is_refused(text: str, says: str) -> None:
    with pytest.raises(LmdmError, match=says):
        Take.from_json(text)


def test_a_take_of_another_model_is_refused() -> None:
    live = tiny_live()
    take = Take.from_json(replace(TAKE, model=live.digest).to_json())
    assert same([audio for audio, _ in islice(play(live, take), 6)], performed(live)[:6])
    for other in (tiny_live(seed=1), live.with_regime("encoder-decoder")):
        with pytest.raises(LmdmError, match="another model"):
            play(other, take)


def test_take_events_can_be_added() -> None:
    assert TAKE.with_event(Event(50, Controls.of(HOUSE))).events[-1].frame == 50
    with pytest.raises(LmdmError, match="in order"):
        TAKE.with_event(Event(3, Controls.of(HOUSE)))
