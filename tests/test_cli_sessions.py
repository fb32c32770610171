"""`lmdm sketch`, `jam`, `delay` and `replay` on files: what they write, report and refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.cli import done, edit_config, lmdm, names, save_live, sentence, write_noise
from tests.mode_models import RATE, listening_live

SAMPLES = round(0.6 * RATE)
QUICK = ("--lead-seconds", 0.1, "--steps", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that listens, and 0.6 s of noise at another rate, in stereo."""
    place = tmp_path_factory.mktemp("sessions")
    listening_live().save(place / "live")
    write_noise(place / "in.wav", samples=13_230, channels=2, sample_rate=22_050)
    return place


def sound(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def session(folder: Path, tmp_path: Path, command: str, *more: object) -> tuple[np.ndarray, dict[str, Any], str]:
    """What a session wrote, its report, and what it said."""
    out, report = tmp_path / "out.wav", tmp_path / "report.json"
    said = done(
        command, folder / "in.wav", "house", "-m", folder / "live", "--out", out, "--json", report, *QUICK, *more
    )
    return sound(out), json.loads(report.read_text()), said


@pytest.mark.parametrize(
    ("command", "more", "samples"),
    [("jam", ("--visibility-seconds", -0.4), SAMPLES), ("jam", ("--visibility-seconds", 0.5), SAMPLES),
     ("sketch", ("--without", "melody", "--tightness", 0.5), SAMPLES),
     ("delay", ("--beats", 1, "--bpm", 90, "--feedback", 0.3), SAMPLES + round(RATE * 60 / 90))],
    ids=["jam", "jam-ahead", "sketch", "delay"],
)  # fmt: skip
def test_a_session_is_written_reported_and_replayed_bit_for_bit(
    folder: Path, tmp_path: Path, command: str, more: tuple[object, ...], samples: int
) -> None:
    record = tmp_path / "take"
    played, report, said = session(folder, tmp_path, command, *more, "--record", record)
    assert played.shape == (samples, 1) and np.isfinite(played).all() and played.any()
    assert "22050 Hz, 2 ch was fitted to 8000 Hz, 1 ch" in said and report["mode"] == command
    assert report["latency_seconds"] == pytest.approx(
        60 / 90 if command == "delay" else report["budget"]["total_seconds"], abs=1 / RATE
    )
    timed = [block["deadline_margin_seconds"] for block in report["blocks"]]
    assert timed[0] is None and timed[-1] is not None and report["holds"] == 0
    assert report["underruns"] == sum(margin is not None and margin < 0 for margin in timed)
    done("replay", record, "--out", tmp_path / "again.wav")
    assert np.array_equal(sound(tmp_path / "again.wav"), played)
    assert np.array_equal(sound(record / "played.wav"), played)


def test_a_replay_may_be_finer_and_needs_its_model(folder: Path, tmp_path: Path) -> None:
    played, _, _ = session(folder, tmp_path, "jam", "--record", tmp_path / "take")
    log = tmp_path / "take" / "log.jsonl"
    done("replay", log, "--steps", 3, "--out", tmp_path / "finer.wav")
    finer = sound(tmp_path / "finer.wav")
    assert finer.shape == played.shape and not np.array_equal(finer, played)
    other = listening_live(1)
    other.save(tmp_path / "other")
    text = sentence("replay", log, "-m", tmp_path / "other", "--out", tmp_path / "no.wav")
    assert "played by another model (model differ)" in text and "no.wav" not in names(tmp_path)
    assert "holds a session already" in sentence(
        "jam", folder / "in.wav", "-m", folder / "live", "--out", tmp_path / "no.wav", "--record", tmp_path / "take"
    )
    assert "Cannot read the session log" in sentence("replay", tmp_path / "nowhere", "--out", tmp_path / "no.wav")


def test_what_comes_in_changes_what_goes_out(folder: Path, tmp_path: Path) -> None:
    first = session(folder, tmp_path, "jam")[0]
    assert np.array_equal(session(folder, tmp_path, "jam")[0], first)
    assert not np.array_equal(session(folder, tmp_path, "jam", "--gain", 0)[0], first)
    dry = session(folder, tmp_path, "jam", "--mix", 0)[0]
    assert np.abs(dry).max() <= 0.1 < np.abs(first).max()


@pytest.mark.parametrize("command", ["jam", "sketch", "delay"])
def test_guidance_leads_towards_the_controls_if_asked_or_if_the_model_does(
    folder: Path, tmp_path: Path, command: str
) -> None:
    more = ("--guidance", 3, *(("--seconds", 0.5) if command == "delay" else ()))
    (guided, report, _), (plain, _, _), (own, unsaid, _) = (
        session(folder, tmp_path, command, *more, *flag)
        for flag in (("--guided-controls",), ("--no-guided-controls",), ())
    )
    assert np.array_equal(own, plain) and not np.array_equal(guided, plain)
    assert report["values"]["guided_controls"] is True and "guided_controls" not in unsaid["values"]
    shutil.copytree(folder / "live", tmp_path / "live")
    shutil.copy(folder / "in.wav", tmp_path)
    edit_config(tmp_path / "live", lambda config: config["lmdm"]["sampling"].update(guided_controls=True))
    assert np.array_equal(session(tmp_path, tmp_path, command, *more)[0], guided)
    assert np.array_equal(session(tmp_path, tmp_path, command, *more, "--no-guided-controls")[0], plain)


ODD = {
    "silence": (np.zeros(9000), "in.wav is silent; the model hears silence."),
    "dc": (np.full(9000, 0.25), "has a DC offset of 0.25"),
    "clipped": (np.clip(3 * np.sin(np.arange(9000) / 9), -1, 1), "is clipped: "),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_input_is_played_and_told(folder: Path, tmp_path: Path, name: str) -> None:
    samples, line = ODD[name]
    soundfile.write(tmp_path / "in.wav", samples.astype(np.float32), 9000, subtype="FLOAT")
    said = done("delay", tmp_path / "in.wav", "-m", folder / "live", "--seconds", 0.5, "--out", tmp_path / "out.wav",
                *QUICK)  # fmt: skip
    assert line in said and sound(tmp_path / "out.wav").shape == (12_000, 1)


def refused(tmp_path: Path, *arguments: object) -> str:
    """The sentence of a session that is refused, and proof that it left nothing behind."""
    before = names(tmp_path)
    text = sentence(*arguments, "--out", tmp_path / "no.wav", "--json", tmp_path / "no.json")
    assert names(tmp_path) == before
    return text


@pytest.mark.parametrize("command", ["jam", "sketch", "delay"])
def test_bad_sound_is_refused(folder: Path, tmp_path: Path, command: str) -> None:
    more = ("-m", folder / "live", *(("--seconds", 1) if command == "delay" else ()))
    soundfile.write(tmp_path / "one.wav", np.zeros(1, np.float32), RATE)
    assert "too short to be heard: 1 samples are 0.12 ms" in refused(tmp_path, command, tmp_path / "one.wav", *more)
    soundfile.write(tmp_path / "nan.wav", np.full(9000, np.nan, np.float32), RATE, subtype="FLOAT")
    assert "holds NaN or infinity" in refused(tmp_path, command, tmp_path / "nan.wav", *more)
    assert "There is no sound file" in refused(tmp_path, command, tmp_path / "nowhere.wav", *more)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--beats", 4, "--bpm", 0), "A tempo lies between 20 and 400 BPM, got 0."),
        (("--beats", 4, "--bpm", 1000), "A tempo lies between 20 and 400 BPM, got 1000."),
        (("--beats", 4), "either as --beats 4 --bpm 120, or as --seconds 2."),
        (("--beats", 4, "--bpm", 120, "--seconds", 2), "either as --beats 4 --bpm 120"),
        ((), "either as --beats 4 --bpm 120"),
        (("--seconds", -1), "between 0 and 60 s, got -1 s."),
        (("--seconds", "nan"), "between 0 and 60 s, got nan s."),
        (("--seconds", 0.05), "A delay of 0.050 s is too short"),
        (("--beats", 0.25, "--bpm", 240), "beats at 240 BPM."),
    ],
)
def test_delays_that_cannot_be(folder: Path, tmp_path: Path, more: tuple[object, ...], message: str) -> None:
    assert message in refused(tmp_path, "delay", folder / "in.wav", "-m", folder / "live", *more)


def test_models_without_the_controls_are_refused_with_the_cure(folder: Path, tmp_path: Path) -> None:
    save_live(tmp_path / "plain")
    for command, controls in (("jam", "accompaniment"), ("sketch", "sketch"), ("delay", "sketch")):
        more = ("--seconds", 3) if command == "delay" else ()
        text = refused(tmp_path, command, folder / "in.wav", "-m", tmp_path / "plain", *more)
        assert f"The mode {command} needs a model with" in text and "plain lacks" in text
        assert f"`lmdm train finetune --controls {controls}` makes a model" in text
    assert "--without takes loudness" in refused(
        tmp_path, "sketch", folder / "in.wav", "-m", folder / "live", "--without", "colour"
    )
    assert "Visibility lies between -60 and 60 s" in refused(
        tmp_path, "jam", folder / "in.wav", "-m", folder / "live", "--visibility-seconds", 100
    )


def test_inspect_says_the_latency_of_every_mode(folder: Path, tmp_path: Path) -> None:
    text = done("inspect", folder / "live", "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["sketch"]["bins"] == 24
    assert set(report["latency"]) == {"stream", "sketch", "jam", "delay"}
    for mode, told in report["latency"].items():
        assert sum(told["parts_seconds"].values()) == pytest.approx(told["total_seconds"])
        assert f"latency of {mode}" in text and f"{told['total_seconds']:.3f} s (" in text
    save_live(tmp_path / "plain")
    plain = done("inspect", tmp_path / "plain")
    assert "latency of jam" in plain and "finetune --controls accompaniment" in plain
    edit_config(tmp_path / "plain", lambda config: config["lmdm"].update(sketch={"colour": 1}))
    assert "SketchConfig does not know 'colour'" in lmdm("inspect", tmp_path / "plain").stderr


@pytest.mark.parametrize("command", ["jam", "sketch", "delay"])
def test_nothing_is_written_over_what_is_read(folder: Path, tmp_path: Path, command: str) -> None:
    """Not the input, neither by the music nor by the report, nor what a replay hears."""
    heard = tmp_path / "in.wav"
    heard.write_bytes((folder / "in.wav").read_bytes())
    more = ("-m", folder / "live", *(("--seconds", 1) if command == "delay" else ()))
    for written in (("--out", heard), ("--out", tmp_path / "." / "in.wav"), ("--json", heard)):
        assert "would overwrite" in sentence(command, heard, *more, "--out", tmp_path / "no.wav", *written)
    done(command, heard, *more, "--out", tmp_path / "out.wav", "--record", tmp_path / "take", *QUICK)
    for name in ("input", "dry", "played"):
        assert "would overwrite" in sentence("replay", tmp_path / "take", "--out", tmp_path / "take" / f"{name}.wav")
    new = tmp_path / "new"
    new.mkdir()
    for written in (("--out", new / "input.wav"), ("--json", new / "log.jsonl")):
        said = sentence(command, heard, *more, "--out", tmp_path / "no.wav", "--record", new, *written)
        assert "would overwrite" in said
    assert heard.read_bytes() == (folder / "in.wav").read_bytes() and not names(new)
