"""The lead of a mode that listens: its latency is made of it, so it never grows, and a delay counts the device too."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.simulation import ComputeTimes
from tests import mode_models
from tests.session_makers import noise_simulation

DEVICE_SAMPLES = 700


def test_the_lead_of_a_listening_mode_never_grows() -> None:
    """On a machine that is too slow at any number of steps, steps go and bars are held; the lead stays."""
    times = ComputeTimes(share=5.0, stall_every_blocks=3, stall_seconds=0.4)
    decided: list[str] = []
    simulation = noise_simulation(
        plan=SessionPlan.listening(0.2), times=times,
        hear=lambda samples, records: decided.extend(r["what"] for r in records if r["kind"] == "governor"),
    )  # fmt: skip
    begun = simulation.engine.budget().total_seconds
    simulation.run(10.0)
    assert simulation.engine.player.holds and set(decided) == {"steps"}
    assert simulation.engine.governed.lead_seconds == 0.2 and simulation.engine.budget().total_seconds == begun
    grown = noise_simulation(times=times)
    grown.run(10.0)
    assert grown.engine.governed.lead_seconds > 0.2, "as it does where nothing listens"


def test_the_shortest_delay_counts_the_device() -> None:
    """To the sample: what is heard later by the device's round trip leaves that much less time for the answer."""
    facts = Facts(mode_models.RATE, 2, mode_models.FRAME, block_frames=6)

    def delay(samples: float, device_samples: int) -> DelayMode:
        return DelayMode.of(mode_models.CONFIG, facts, mode_models.PLAN, delay_seconds=samples / facts.sample_rate,
                            device_samples=device_samples, ears=mode_models.RawEars())  # fmt: skip

    shortest = delay(8000, 0).least_samples
    assert delay(8000, DEVICE_SAMPLES).least_samples == shortest + DEVICE_SAMPLES
    assert delay(shortest + DEVICE_SAMPLES, DEVICE_SAMPLES).late_samples == shortest + DEVICE_SAMPLES
    for samples, device_samples in ((shortest - 1, 0), (shortest + DEVICE_SAMPLES - 1, DEVICE_SAMPLES)):
        with pytest.raises(LmdmError, match="is too short"):
            delay(samples, device_samples)
    turned = delay(8000, DEVICE_SAMPLES)
    with pytest.raises(LmdmError, match="is too short here"):
        turned.turn("answer_seconds", (shortest + DEVICE_SAMPLES - 1) / facts.sample_rate)
    assert np.isclose(turned.budget(facts.timing(device_seconds=DEVICE_SAMPLES / facts.sample_rate),
                                    lead_seconds=0.1).total_seconds * facts.sample_rate,
                      shortest + DEVICE_SAMPLES, atol=1.0)  # fmt: skip
