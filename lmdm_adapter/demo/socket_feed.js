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

// What the microphone hears for so long: its rate, and 16-bit samples in base64.
async function recorded(seconds) {
  const line = await openCapture(null), channel = new MessageChannel(), heard = [];
  channel.port2.onmessage = ({ data }) => heard.push(data.samples);
  line.attach(channel.port1);
  await new Promise((done) => setTimeout(done, 1000 * seconds));
  line.close();
  const whole = Int16Array.from(heard.flatMap((part) => [...part]), (value) => 32767 * Math.max(-1, Math.min(1, value)));
  const bytes = new Uint8Array(whole.buffer), pieces = [];
  for (let i = 0; i < bytes.length; i += 8192) pieces.push(String.fromCharCode(...bytes.subarray(i, i + 8192)));
  return [line.rate, btoa(pieces.join(""))];
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
