// Feed 2 of the player: a socket in a Worker, and the capture of a microphone or a sound file.

class SocketFeed {
  // A sound that the server knows is not sent to it; everything else is captured here.
  async start({ token, source, ...wish }) {
    await this.stop();
    this.mode = wish.mode;
    this.capture = wish.values.sound ? null : await openCapture(source);
    this.monitor(this.monitored);
    const worker = (this.worker = new Worker(blobUrl(SOCKET_WORKER)));
    const ring = new MessageChannel(), sound = new MessageChannel();
    // A line that was left still says that it has closed: that must not end the one that was begun after it.
    worker.onmessage = ({ data }) => {
      if (this.worker === worker) this.heard(data, ring.port2);
      if (data.kind === "closed") worker.terminate();
    };
    const url = new URL(element.querySelector("[data-socket]").dataset.socket, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (this.capture && this.mode !== "echo") wish.values.device_seconds = player.loopbackSeconds;
    const from = this.capture ? [this.capture.rate, this.capture.channels] : null;
    const hello = { kind: "hello", token, wish: { ...wish, source: from } };
    const channels = this.capture?.channels ?? 1;
    this.worker.postMessage({ kind: "open", url: url.href, hello, channels, ring: ring.port1, capture: sound.port1 },
      [ring.port1, sound.port1]);
    this.sound = sound.port2;
  }

  async heard(message, ringPort) {
    if (message.kind === "opened") {
      player.onplayed = null;
      await player.open({ ...message, stream: "socket" });
      player.node.port.postMessage({ kind: "feed", port: ringPort }, [ringPort]);
      if (this.mode === "echo") this.capture?.attach(this.sound);
      else player.onbegan = (began) => this.capture?.attach(this.sound, frameAt(this.capture.context, began));
      this.worker.postMessage({ kind: "say", message: { kind: "ready" } });
      say("Playing.");
      return;
    }
    if (message.kind === "closed") {
      if (player.stream === "socket") player.end();
      if (message.code !== 1000) say(message.why || `The line was closed (${message.code}).`);
      this.stop();
      return;
    }
    await told[message.kind]?.(message);
  }

  monitor(on) {
    this.monitored = Boolean(on);
    this.capture?.monitor(this.monitored);
  }

  turn(name, value) {
    this.worker?.postMessage({ kind: "say", message: { kind: "turn", name, value } });
  }

  async stop() {
    this.worker?.postMessage({ kind: "close" });
    this.capture?.close();
    this.worker = this.capture = null;
    if (player.stream === "socket") { player.end(); say("Stopped."); }
  }
}

// Voice processing is off: it takes steady tones for noise. The capture runs at the device's own rate.
async function openCapture(source) {
  const context = (player.captureContext = new AudioContext({ latencyHint: "interactive" }));
  await context.audioWorklet.addModule(blobUrl(WORKLETS));
  const media = source ? null : await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 } });
  const from = media ? new MediaStreamAudioSourceNode(context, { mediaStream: media }) : await fileSource(context, source);
  const channels = 1;
  const node = new AudioWorkletNode(context, "lmdm-capture",
    { numberOfOutputs: 0, channelCount: channels, channelCountMode: "explicit", processorOptions: { channels } });
  from.connect(node);
  const gain = new GainNode(context, { gain: 0 });
  from.connect(gain).connect(context.destination);
  return {
    context, node, rate: context.sampleRate, channels,
    attach: (port, frame = null) => node.port.postMessage({ port, from: frame }, [port]),
    monitor: (on) => { gain.gain.value = media && on ? 1 : 0; },
    close: () => { media?.getTracks().forEach((track) => track.stop()); context.close(); },
  };
}

// The frame of another context at which the player's context was at `seconds`: both clocks are read at once.
function frameAt(context, seconds) {
  return Math.round((seconds + context.currentTime - player.context.currentTime) * context.sampleRate);
}

const COUNT_AHEAD_SECONDS = 0.3, PATIENCE_SECONDS = 10, CLICK_HZ = 1320, FIRST_CLICK_HZ = 1760, CLICK_SECONDS = 0.04;

// How late what is played is heard again, as measured, or as far as the browser knows.
function roundTripSeconds(context) {
  return player.loopbackSeconds || (context.baseLatency || 0) + (context.outputLatency || 0);
}

// A short tone that dies away, at a time of the context.
function click(context, at, hz) {
  const sampleRate = context.sampleRate, buffer = new AudioBuffer({ length: Math.ceil(CLICK_SECONDS * sampleRate), sampleRate });
  buffer.getChannelData(0).forEach((_, i, samples) => {
    const seconds = i / sampleRate;
    samples[i] = 0.5 * Math.sin(2 * Math.PI * hz * seconds) * (1 - seconds / CLICK_SECONDS) ** 2;
  });
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.start(at);
}

// So many seconds of the microphone from the beat after a count-in on, by the capture's own clock: its rate, and 16-bit
// samples in base64. `onbeat` hears each beat as it sounds, those of the count-in below 0. No click sounds meanwhile,
// since the microphone would hear it.
async function recorded(seconds, { beatSeconds, beats, onbeat }) {
  const line = await openCapture(null), { context } = line;
  const first = context.currentTime + COUNT_AHEAD_SECONDS, begin = first + beats * beatSeconds;
  for (let beat = 0; beat < beats; beat++) click(context, first + beat * beatSeconds, beat ? CLICK_HZ : FIRST_CLICK_HZ);
  const late = roundTripSeconds(context);
  const timer = setInterval(() => onbeat(Math.floor((context.currentTime - late - begin) / beatSeconds)), 20);
  const frame = Math.round((begin + late) * line.rate), patience = begin - context.currentTime + seconds + PATIENCE_SECONDS;
  try {
    return [line.rate, encoded(await captured(line, frame, Math.round(seconds * line.rate), patience))];
  } finally {
    clearInterval(timer);
    line.close();
  }
}

// So many samples of a capture from that frame on, or an error when they do not come in time.
function captured(line, frame, samples, mostSeconds) {
  const channel = new MessageChannel(), heard = [];
  line.attach(channel.port1, frame);
  return new Promise((done, failed) => {
    const timer = setTimeout(() => failed(new Error("the microphone fell silent")), 1000 * mostSeconds);
    channel.port2.onmessage = ({ data }) => {
      for (const value of data.samples) heard.push(value);
      if (heard.length < samples) return;
      clearTimeout(timer);
      done(heard.slice(0, samples));
    };
  });
}

function encoded(samples) {
  const whole = Int16Array.from(samples, (value) => 32767 * Math.max(-1, Math.min(1, value)));
  const bytes = new Uint8Array(whole.buffer), pieces = [];
  for (let i = 0; i < bytes.length; i += 8192) pieces.push(String.fromCharCode(...bytes.subarray(i, i + 8192)));
  return btoa(pieces.join(""));
}

async function fileSource(context, url) {
  const answer = await fetch(url);
  const buffer = await context.decodeAudioData(await answer.arrayBuffer());
  const source = new AudioBufferSourceNode(context, { buffer, loop: true });
  source.start();
  return source;
}

// A click goes out, and the capture of the same context tells when it comes back: both are counted in its samples.
async function calibrate() {
  const line = await openCapture(null);
  const { context } = line, channel = new MessageChannel(), heard = [];
  channel.port2.onmessage = ({ data }) => heard.push(data);
  line.attach(channel.port1);
  const buffer = new AudioBuffer({ length: 64, sampleRate: context.sampleRate });
  buffer.getChannelData(0).forEach((_, i, samples) => { samples[i] = i % 2 ? -0.9 : 0.9; });
  const click = new AudioBufferSourceNode(context, { buffer });
  click.connect(context.destination);
  const sent = Math.round((context.currentTime + 0.5) * context.sampleRate);
  click.start(sent / context.sampleRate);
  await new Promise((done) => setTimeout(done, 1500));
  line.close();
  const back = clickIn(heard, sent);
  if (back === null) { say("No click came back: turn the speaker up and hold the microphone to it."); return; }
  player.loopbackSeconds = back / context.sampleRate;
  say(`Loopback: ${((1000 * back) / context.sampleRate).toFixed(1)} ms, from now on allowed for.`);
}

// Samples from `sent` to the first one that is far above what was heard before it, or null.
function clickIn(heard, sent) {
  const quiet = heard.filter(({ frame }) => frame <= sent).flatMap(({ samples }) => Array.from(samples, Math.abs));
  const floor = Math.max(0.01, 4 * Math.max(0, ...quiet));
  for (const { frame, samples } of heard) {
    if (frame <= sent) continue;
    const index = samples.findIndex((value, i) => frame - samples.length + i >= sent && Math.abs(value) > floor);
    if (index >= 0) return frame - samples.length + index - sent;
  }
  return null;
}
