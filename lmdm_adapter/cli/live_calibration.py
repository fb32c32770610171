"""`lmdm live --calibrate`: the round trip of the devices, measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lmdm_adapter.cli.live_request import LiveRequest
from lmdm_adapter.cli.live_session import chosen_ports
from lmdm_adapter.cli.models import open_model
from lmdm_adapter.io.atomic import write_json
from lmdm_adapter.io.calibration import RoundTrip, round_trip
from lmdm_adapter.io.devices import planned, sound_library
from lmdm_adapter.session.maker import facts_of


def calibrated(request: LiveRequest, *, notice: Callable[[str], None]) -> RoundTrip:
    """Measure on the devices, at the rate and latency that a listening session of the model would open.

    `notice` gets what is to be read. Raises LmdmError for devices that cannot be opened, or a ping that is not heard.
    """
    library = sound_library()
    output, source = chosen_ports(replace(request, mode="jam"), library)
    facts = facts_of(open_model(request.model, device=request.device, dtype=request.dtype, threads=request.threads))
    plan = planned(library, output, source, sample_rate=facts.sample_rate, channels=facts.channels,
                   latency_seconds=request.latency_seconds)  # fmt: skip
    assert source is not None, "a mode that listens has an input"
    notice(f"Pings come from {output.name!r} and are listened for at {source.name!r}.")
    found = round_trip(library, plan)
    if request.json is not None:
        write_json(request.json, found.to_json())
    notice(
        f"Round trip {found.milliseconds:.3f} ms ({found.samples} samples at {found.sample_rate} Hz); the device "
        f"claims {1000.0 * found.claimed_seconds:.1f} ms. {found.agreeing} of {found.pings} pings agree, likeness "
        f"{found.likeness:.2f}, {found.elsewhere:.2f} elsewhere."
    )
    notice(f"For the modes that listen: --round-trip-ms {found.milliseconds:.3f}")
    return found
