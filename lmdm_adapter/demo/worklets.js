// Audio threads: a ring that plays numbered packets, and a capture that makes them. Loaded from a Blob.
// A sample is one value per channel; rings and packets are interleaved, so that channels can never drift apart.

const STATUS_SAMPLES = 1024;
const CAPTURE_SAMPLES = 512 * Math.ceil(sampleRate / 48000);  // some 11 ms at any rate, so that no line gets too many

class LmdmRing extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.open(processorOptions);
    this.port.onmessage = (event) => this.told(event.data);
  }

  open({ channels, capacitySamples, startSamples, serial }) {
    this.serial = serial;
    this.began = null;
    this.channels = channels;
    this.capacity = capacitySamples;
    this.start = Math.min(startSamples, capacitySamples);
    this.ring = new Float32Array(capacitySamples * channels);
    this.read = this.written = this.told_at = 0;
    this.underruns = this.lost = this.dropped = 0;
    this.playing = this.ended = this.stopped = this.tap = false;
    this.last = new Float32Array(channels);
    this.tail = 0;
    this.rise = 1;
  }

  told(message) {
    const kinds = {
      packet: () => this.take(message.first, message.samples),
      feed: () => { this.feed = message.port; this.feed.onmessage = (event) => this.told(event.data); },
      open: () => this.open(message),
      end: () => { this.ended = true; },
      stop: () => { this.ended = this.stopped = true; this.read = this.written; },
      lead: () => { this.start = Math.min(message.startSamples, this.capacity); },
      tap: () => { this.tap = message.on; },
    };
    kinds[message.kind]?.();
  }

  // What was played already or is there already is left out, a hole in the numbers is silence, and what does not fit
  // is dropped: the buffer never grows.
  take(first, samples) {
    const { channels, capacity } = this;
    if (this.stopped) return;
    const skip = Math.max(0, this.written - first);
    const count = samples.length / channels - skip;
    if (count <= 0) return;
    const hole = Math.max(0, first - this.written);
    if (this.written + hole + count - this.read > capacity) { this.dropped += count; return; }
    this.lost += hole;
    for (let i = 0; i < hole * channels; i++) this.ring[(this.written * channels + i) % this.ring.length] = 0;
    this.written += hole;
    const at = (this.written % capacity) * channels;
    const source = samples.subarray(skip * channels);
    const head = Math.min(source.length, this.ring.length - at);
    this.ring.set(source.subarray(0, head), at);
    this.ring.set(source.subarray(head), 0);
    this.written += count;
  }

  process(inputs, [output]) {
    const wanted = output[0].length;
    const ready = this.written - this.read;
    if (!this.playing && ready >= this.start && ready > 0) this.begin();
    const count = this.playing ? Math.min(ready, wanted) : 0;
    if (count) this.play(output, count);
    if (count < wanted) this.fade(output, count, wanted);
    if (this.playing && count < wanted) this.run_dry();
    if (this.read - this.told_at >= STATUS_SAMPLES || currentFrame % STATUS_SAMPLES < wanted) this.tell();
    return true;
  }

  // Told at once: the server makes no more than a lead before it knows that the music plays.
  begin() {
    this.playing = true;
    this.told_at = -Infinity;
    this.began ??= currentTime;
    this.rise = this.underruns ? 0 : 1;
  }

  play(output, count) {
    const { channels, ring } = this;
    const first = this.read;
    const at = (this.read % this.capacity) * channels;
    for (let i = 0; i < count; i++) {
      const gain = this.rise >= 1 ? 1 : (this.rise += 1 / 256);
      for (let c = 0; c < channels; c++) {
        const value = ring[(at + i * channels + c) % ring.length];
        this.last[c] = output[Math.min(c, output.length - 1)][i] = gain >= 1 ? value : value * gain;
      }
      if (channels === 1) for (let c = 1; c < output.length; c++) output[c][i] = output[0][i];
    }
    this.tail = 1;
    this.read += count;
    if (this.tap) this.tapped(output, first, count);
  }

  // The last value dies away within a quantum, so that running dry does not click.
  fade(output, from, wanted) {
    for (let i = from; i < wanted; i++) {
      this.tail = Math.max(0, this.tail - 1 / 128);
      for (let c = 0; c < output.length; c++) output[c][i] = this.last[Math.min(c, this.channels - 1)] * this.tail;
    }
  }

  run_dry() {
    this.playing = false;
    if (!this.ended) this.underruns += 1;
  }

  // `at` is when they were put out, in ms of the time of day: the only clock that audio threads and pages share.
  tapped(output, first, count) {
    const at = Date.now();
    const samples = new Float32Array(count * this.channels);
    for (let i = 0; i < count; i++)
      for (let c = 0; c < this.channels; c++) samples[i * this.channels + c] = output[c][i];
    this.port.postMessage({ kind: "tapped", first, at, samples }, [samples.buffer]);
  }

  tell() {
    this.told_at = this.read;
    const { read, written, underruns, lost, dropped, playing, began, serial } = this;
    const status = { kind: "status", played: read, ready: written - read, underruns, lost, dropped, playing, began, serial };
    this.port.postMessage(status);
    this.feed?.postMessage(status);
  }
}

class LmdmCapture extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.channels = processorOptions.channels;
    this.first = this.filled = 0;
    this.samples = new Float32Array(CAPTURE_SAMPLES * this.channels);
    this.target = null;
    this.port.onmessage = ({ data }) => this.attach(data);
  }

  // Samples are counted from `from` on, a frame of this context, or else from now on.
  attach({ port, from = null }) {
    this.target = port ?? null;
    this.from = from;
    this.first = from === null ? 0 : null;
    this.filled = 0;
  }

  process([input]) {
    if (!this.target) return true;
    const wanted = input[0]?.length ?? 128;
    for (let i = 0; i < wanted; i++) {
      if (this.first === null && currentFrame + i < this.from) continue;
      this.first ??= currentFrame + i - this.from;
      for (let c = 0; c < this.channels; c++) {
        const channel = input[Math.min(c, input.length - 1)];
        this.samples[this.filled * this.channels + c] = channel ? channel[i] : 0;
      }
      if (++this.filled === CAPTURE_SAMPLES) this.send();
    }
    return true;
  }

  send() {
    const frame = currentFrame + 128;
    this.target.postMessage({ first: this.first, frame, samples: this.samples }, [this.samples.buffer]);
    this.first += CAPTURE_SAMPLES;
    this.filled = 0;
    this.samples = new Float32Array(CAPTURE_SAMPLES * this.channels);
  }
}

registerProcessor("lmdm-ring", LmdmRing);
registerProcessor("lmdm-capture", LmdmCapture);
