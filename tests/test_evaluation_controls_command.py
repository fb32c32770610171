"""`lmdm evaluate jam` and `lmdm evaluate sketch`: outputs whole, and bad input as a sentence before any work."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lmdm_adapter.cli.evaluation_controls import numbers
from lmdm_adapter.controls.declared import accompaniment_controls
from lmdm_adapter.conversion import with_controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation import control_rollouts, jam, sketch_following
from tests.cli import done, names, sentence
from tests.test_evaluation_music import model

CONTROLS = (*accompaniment_controls(4), ("sketch_loudness", 2), ("sketch_rhythm", 2))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A place with a model of 8000 Hz that can be given everything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "240")
    with_controls(model(), CONTROLS).save(tmp_path / "model")
    return tmp_path


def test_jam_gives_tables_a_verdict_a_page_and_json(folder):
    text = done(
        "evaluate", "jam", "model", "--songs", 2, "--seconds", 10, "--visibility", "1, -1", "--warm-up-seconds", 1,
        "--steps", 1, "--json", "jam.json", "--html", "jam.html",
    )  # fmt: skip
    assert "Notes that belong to the song's chord" in text and "minus shuffled" in text
    assert "2 songs are too few to tell" in text
    read = json.loads((folder / "jam.json").read_text())
    assert read["plan"]["visibility_seconds"] == [1.0, -1.0] and read["sampling"]["steps"] == 1
    assert read["model"] == "model" and read["other"] is None
    assert (folder / "jam.html").read_text().startswith("<!doctype html>")
    assert names(folder) == ["jam.html", "jam.json", "model"]


def test_sketch_compares_two_models(folder):
    text = done(
        "evaluate", "sketch", "model", "--baseline", "model", "--songs", 2, "--seconds", 2, "--tightness", "0 1",
        "--json", "sketch.json",
    )  # fmt: skip
    assert "minus other" in text and "alone" in text and "Rhythm" in text and "Melody" not in text
    read = json.loads((folder / "sketch.json").read_text())
    assert read["other"] == "model" and read["tightness"] == [0.0, 1.0]
    margin = read["measures"]["rhythm_correlation"]["played_minus"]["other"]["overall"]
    assert margin["value"] == 0.0 and not margin["beats"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("jam", "model", "--songs", 1), "2 to 64 songs"),
        (("jam", "model", "--seconds", 5), "10 to 600 s, got 5"),
        (("jam", "model", "--visibility", "1 s"), "--visibility takes numbers"),
        (("jam", "model", "--visibility", "100"), "visibilities from -60 to 60 s"),
        (("jam", "model", "--stem", "harp"), "not 'harp'"),
        (("jam", "model", "--stem", "drums+bass+chords+lead"), "leave one to accompany"),
        (("jam", "plain"), "plain has no accompaniment"),
        (("sketch", "plain"), "plain has no sketch"),
        (("sketch", "model", "--tightness", "1 0"), "rising order"),
        (("sketch", "model", "--tightness", "2"), "between 0 (loose) and 1 (exact)"),
        (("sketch", "model", "--baseline", "nowhere"), "no model 'nowhere'"),
        (("sketch", "model", "--json", "no/where.json"), "does not exist"),
        (("sketch", "model", "--html", "x", "--json", "x"), "both name x"),
        (("sketch", "model", "--baseline", "plain"), "plain has no sketch"),
    ],
)
def test_bad_input_is_a_sentence_before_any_playing(arguments, words, folder, monkeypatch):
    model().save(folder / "plain")
    monkeypatch.setattr(jam, "jam_material", None)
    monkeypatch.setattr(sketch_following, "sketch_material", None)
    assert words in sentence("evaluate", *arguments)
    assert names(folder) == ["model", "plain"]


def test_models_of_two_codecs_are_not_compared(folder, monkeypatch):
    digests = iter(("one", "two"))
    monkeypatch.setattr(control_rollouts, "codec_digest", lambda codec: next(digests))
    assert "another codec" in sentence("evaluate", "jam", "model", "--baseline", "model")


def test_lists_of_numbers():
    assert numbers("2 1,0 , -1.5", "--visibility") == (2.0, 1.0, 0.0, -1.5) and numbers("", "--visibility") == ()
    with pytest.raises(LmdmError, match="--tightness takes numbers"):
        numbers("0..1", "--tightness")


def test_help_loads_no_torch_and_says_how_long_it_takes(root):
    code = (
        "import sys\nfrom lmdm_adapter.cli import app\n"
        "app(['evaluate', sys.argv[1], '--help'], standalone_mode=False)\n"
        "sys.exit(1 if {'torch', 'numpy'} & set(sys.modules) else 0)\n"
    )
    for command in ("jam", "sketch"):
        result = subprocess.run([sys.executable, "-c", code, command], cwd=root, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert "minutes" in " ".join(result.stdout.split())
