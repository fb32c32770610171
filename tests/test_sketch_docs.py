"""What docs/controls.md shows of sketches runs, and its table is what the settings say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import soundfile

from lmdm_adapter.controls.sketch import Sketch, SketchConfig
from tests.sketches import noise

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "controls.md").read_text(encoding="utf-8")
CONFIG = SketchConfig()


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "groove.wav", noise(4, config=CONFIG).T, CONFIG.sample_rate)
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(re.search(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)[1], found)
    assert isinstance(found["sketch"], Sketch) and found["sketch"].frames == 4
    assert tuple((name, len(rows)) for name, rows in found["controls"].items()) == CONFIG.frame_controls


@pytest.mark.parametrize("config", [CONFIG, SketchConfig(frame_samples=1024, sample_rate=22_050)])
def test_the_table_is_right(config: SketchConfig) -> None:
    rows = re.findall(r"^\| `(sketch_(\w+))` \|.*\| 1 \+ (\d+) \| (\d+) \|", PAGE, flags=re.MULTILINE)
    said = [(name, 1 + int(channels), int(delay)) for name, _, channels, delay in rows]
    delays = [config.feature_delay_frames(feature) for feature in config.ordered_features]
    assert said == [(*control, delay) for control, delay in zip(config.frame_controls, delays, strict=True)]
