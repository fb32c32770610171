"""Ears in the page, for measuring: when controls were turned, and when a chirp came in and went out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tests.demo_lags import OutputTimes

QUIET_SECONDS, LOUD = 0.2, 0.05
"""A chirp begins with the first sample so loud after so long a silence."""
ONSETS = f"""
class Onsets extends AudioWorkletProcessor {{
  constructor() {{ super(); this.quiet = 0; }}
  process([input]) {{
    const at = Date.now();
    for (const [i, value] of (input[0] ?? []).entries()) {{
      if (Math.abs(value) < {LOUD}) {{ this.quiet += 1; continue; }}
      if (this.quiet > {QUIET_SECONDS} * sampleRate) this.port.postMessage((at + (1000 * i) / sampleRate) / 1000);
      this.quiet = 0;
    }}
    return true;
  }}
}}
registerProcessor("onsets", Onsets);"""
EARS = """(code) => {
  window.turned = []; window.came = []; window.went = [];
  document.addEventListener("input", () => window.turned.push(Date.now() / 1000), { capture: true });
  const connect = AudioNode.prototype.connect, eared = new WeakSet();
  const listen = async (node, onsets) => {
    if (eared.has(node)) return;
    eared.add(node);
    await node.context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
    const ear = new AudioWorkletNode(node.context, "onsets", { numberOfOutputs: 0 });
    ear.port.onmessage = ({ data }) => onsets.push(data);
    connect.call(node, ear);
  };
  AudioNode.prototype.connect = function (to, ...rest) {
    if (this instanceof MediaStreamAudioSourceNode) listen(this, window.came);
    if (this instanceof AudioWorkletNode) listen(this, window.went);
    return connect.call(this, to, ...rest);
  };
  window.deviceSeconds = () => {
    const { baseLatency, outputLatency } = window.lmdm.player.context;
    return (baseLatency || 0) + (outputLatency || 0);
  };
}"""
"""Whoever is connected is heard from before it sounds: what listens later would disturb the audio thread."""


def add_ears(page: Any) -> None:
    """Give a page ears; before it is opened."""
    page.add_init_script(f"({EARS})({json.dumps(ONSETS)})")


class Tapped:
    """What a page plays, taken from it piece by piece."""

    def __init__(self, page: Any, *, channels: int) -> None:
        self._page, self._channels = page, channels
        self._pieces: list[tuple[int, int, float]] = []
        self._samples: list[np.ndarray] = []

    def take(self) -> None:
        """Take what has been played since the last time."""
        for first, samples, at in self._page.evaluate("window.tapped.splice(0)"):
            samples = np.array(samples, np.float32).reshape(-1, self._channels)
            self._pieces.append((first, len(samples), at))
            self._samples.append(samples)

    def sound(self) -> np.ndarray:
        """All that was played from sample 0 on, `s ch`."""
        lengths = [0, *(count for _, count, _ in self._pieces)]
        assert [first for first, _, _ in self._pieces] == np.cumsum(lengths)[:-1].tolist(), "no hole in the numbers"
        return np.concatenate(self._samples)

    def times(self, *, sample_rate: int) -> OutputTimes:
        """When it was."""
        return OutputTimes(self._pieces, sample_rate=sample_rate)
