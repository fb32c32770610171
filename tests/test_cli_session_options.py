"""Every option of `lmdm sketch` and `delay` that changes the music does so; a report counts compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from lmdm_adapter.cli.session_report import against_deadlines
from tests.cli import done, write_noise
from tests.mode_models import listening_live

DELAY_SECONDS = 0.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that listens, and 0.3 s of noise."""
    place = tmp_path_factory.mktemp("options")
    listening_live(steps=1).save(place / "live")
    write_noise(place / "in.wav", samples=2400, channels=1, sample_rate=8000)
    return place


def played(folder: Path, command: str, *more: object) -> np.ndarray:
    """What the command plays, `s`."""
    settings = ("--seconds", DELAY_SECONDS) if command == "delay" else ()
    done(command, folder / "in.wav", "house", "-m", folder / "live", "--out", folder / "out.wav", "--lead-seconds", 0.1,
         *settings, *more)  # fmt: skip
    return soundfile.read(folder / "out.wav", dtype="float32")[0]


@pytest.fixture(scope="module")
def plain(folder: Path) -> dict[str, np.ndarray]:
    """What each command plays without options."""
    return {command: played(folder, command) for command in ("sketch", "delay")}


@pytest.mark.parametrize(
    ("command", "option"),
    [("sketch", ("--tightness", 0)), ("sketch", ("--without", "loudness")), ("sketch", ("--without", "melody")),
     ("sketch", ("--gain", 0)), ("delay", ("--tightness", 0)), ("delay", ("--gain", 0))],
    ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value)),
)  # fmt: skip
def test_options_of_the_model_are_heard(
    folder: Path, plain: dict[str, np.ndarray], command: str, option: tuple[object, ...]
) -> None:
    other = played(folder, command, *option)
    assert other.shape == plain[command].shape and not np.array_equal(other, plain[command])


def test_the_mix_of_a_delay_is_between_the_sound_and_its_answer(folder: Path, plain: dict[str, np.ndarray]) -> None:
    heard = soundfile.read(folder / "in.wav", dtype="float32")[0]
    dry, wet = (played(folder, "delay", "--mix", mix) for mix in (0, 1))
    assert np.array_equal(dry, np.pad(heard, (0, len(dry) - len(heard))))
    assert np.abs(plain["delay"] - 0.5 * (dry + wet)).max() < 1e-6 < np.abs(dry - wet).max()


def test_feedback_of_a_delay_is_heard_once_the_first_answer_was(folder: Path, plain: dict[str, np.ndarray]) -> None:
    """What is played from the first sample on comes back one delay later, so not before."""
    back = played(folder, "delay", "--feedback", 0.9)
    first = np.flatnonzero(back != plain["delay"])[0]
    reach = 2400  # a sketch's windows, and the block and the decoder that hear as a whole
    assert round(DELAY_SECONDS * 8000) - reach < first < len(back)


def test_deadlines_count_compute() -> None:
    """By hand, blocks of 1 s, a lead of 2 s: playing begins with the second, and each is wanted when 2 s are left."""
    quick = [(1.0, compute) for compute in (0.25, 0.25, 0.5, 0.5)]
    assert [block.deadline_margin_seconds for block in against_deadlines(quick, lead_seconds=2.0)] == [
        None, None, 1.5, 1.5,
    ]  # fmt: skip
    slow = [(1.0, compute) for compute in (0.25, 0.25, 2.5, 0.5, 1.25)]
    # The third comes 0.5 s after the music ran out, which moves all that follows by as much.
    assert [block.deadline_margin_seconds for block in against_deadlines(slow, lead_seconds=2.0)] == [
        None, None, -0.5, 0.5, 0.25,
    ]  # fmt: skip
