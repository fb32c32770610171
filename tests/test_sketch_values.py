"""A sketch as a value, and its settings as JSON and as frame controls."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lmdm_adapter.controls.sketch import FEATURES, Sketch, SketchConfig
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.training.control_drops import require_known_controls
from lmdm_adapter.training.drops import DropConfig
from tests.sketches import CONFIG, random_sketch, same


def test_settings_survive_their_json() -> None:
    config = SketchConfig(features=("melody", "loudness"), lowest_midi=24, bins=36, bins_per_octave=24, top_k=2)
    assert from_json(SketchConfig, json.loads(json.dumps(config.to_json()))) == config


def test_the_model_is_told_what_the_settings_declare() -> None:
    """Names, order and channels; `present` is the first channel of each."""
    sketch = random_sketch(5, seed=3)
    controls = sketch.controls()
    assert tuple((name, len(rows)) for name, rows in controls.items()) == CONFIG.frame_controls
    assert same(Sketch.from_controls({"accompaniment_lag": torch.zeros(1, 5), **controls}), sketch)
    assert CONFIG.frame_controls == (("sketch_loudness", 2), ("sketch_brightness", 2), ("sketch_melody", 89),
                                     ("sketch_rhythm", 2))  # fmt: skip
    for feature in FEATURES:
        rows = controls[f"sketch_{feature}"]
        assert rows.shape[1] == 5 and rows.dtype == torch.float32
        assert set(rows[0].tolist()) == {0.0, 1.0}
        assert torch.equal(rows, torch.from_numpy(sketch.values[feature].copy()))


def test_features_keep_their_order_however_they_are_listed() -> None:
    config = SketchConfig(features=("rhythm", "loudness"))
    assert config.frame_controls == (("sketch_loudness", 2), ("sketch_rhythm", 2))


def test_one_name_drops_all_of_it() -> None:
    for group in ("sketch", "sketch_melody"):
        require_known_controls(CONFIG.frame_controls, DropConfig(controls=((group, 0.1),)))
    with pytest.raises(LmdmError):
        require_known_controls(CONFIG.frame_controls, DropConfig(controls=(("melody", 0.1),)))


def test_not_drawn_is_another_thing_than_zero() -> None:
    sketch = Sketch.told({"loudness": np.array([[0.0, np.nan, 0.5]])})
    assert sketch.values["loudness"].tolist() == [[1.0, 0.0, 1.0], [0.0, 0.0, 0.5]]
    assert np.array_equal(sketch.of("loudness"), [[0.0, np.nan, 0.5]], equal_nan=True)


def test_slices_join_to_the_whole() -> None:
    whole = random_sketch(11)
    pieces = [whole[:4], whole[4:4], whole[4:9], whole[9:]]
    assert [piece.frames for piece in pieces] == [4, 0, 5, 2] and same(Sketch.joined(pieces), whole)
    assert not same(Sketch.joined(pieces[::-1]), whole)
    with pytest.raises(LmdmError, match="same features"):
        Sketch.joined((whole, Sketch({"rhythm": whole.values["rhythm"]})))
    with pytest.raises(LmdmError, match="at least one"):
        Sketch.joined(())


def test_without_a_feature_its_channels_are_zero() -> None:
    whole = random_sketch(6)
    less = whole.without("melody", "rhythm")
    assert not less.values["melody"].any() and not less.values["rhythm"].any()
    assert less.values["melody"].shape == whole.values["melody"].shape
    assert np.array_equal(less.values["loudness"], whole.values["loudness"])
    with pytest.raises(LmdmError, match="no 'timbre'"):
        whole.without("timbre")


def test_held_and_looped() -> None:
    whole = Sketch.told({"loudness": np.arange(8.0)[None], "rhythm": np.arange(8.0)[None]})
    assert whole.held("loudness", 3).of("loudness")[0].tolist() == [0, 1, 2, 3, 3, 3, 3, 3]
    looped = whole.looped("loudness", 1, 4)
    assert looped.of("loudness")[0].tolist() == [0, 1, 2, 3, 1, 2, 3, 1]
    assert np.array_equal(looped.of("rhythm"), whole.of("rhythm"))
    for first, last in ((-1, 2), (3, 3), (2, 9)):
        with pytest.raises(LmdmError, match="loop lies within the 8 frames"):
            whole.looped("loudness", first, last)


def test_nobody_can_write_into_a_sketch() -> None:
    mine = np.zeros((2, 3), dtype=np.float32)
    sketch = Sketch({"loudness": mine})
    mine[:] = 9.0
    assert not sketch.values["loudness"].any()
    with pytest.raises(ValueError, match="read-only"):
        sketch.values["loudness"][0, 0] = 1.0
    with pytest.raises(TypeError):
        sketch.values["rhythm"] = mine  # type: ignore[index]
    sketch.controls()["sketch_loudness"][:] = 5.0
    assert not sketch.values["loudness"].any()
