"""Sketch: loudness, brightness, melody and rhythm of a sound or a drawing, frame by frame, for a model to follow."""

from lmdm_adapter.controls.sketch.config import FEATURES, Feature, SketchConfig
from lmdm_adapter.controls.sketch.drawing import drawn
from lmdm_adapter.controls.sketch.hum import hummed
from lmdm_adapter.controls.sketch.melody import melody_late_frames
from lmdm_adapter.controls.sketch.stream import SketchState, finish, past_frames, push, sketched, start
from lmdm_adapter.controls.sketch.tightness import TightnessState, drawn_widths, finish_loosening, loosen, loosened
from lmdm_adapter.controls.sketch.values import Sketch

__all__ = ["FEATURES", "Feature", "Sketch", "SketchConfig", "SketchState", "TightnessState", "drawn",
           "drawn_widths", "finish", "finish_loosening", "hummed", "loosen", "loosened", "melody_late_frames",
           "past_frames", "push", "sketched", "start"]  # fmt: skip
