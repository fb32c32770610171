// Feed 2 of the player: a socket in a Worker, and the capture of a microphone or a sound file.

const SOCKET = "socket";

class SocketFeed {
  // A sound that the server knows is not sent to it; everything else is captured here. Of what was begun and left, or
  // stopped while the microphone was asked for, nothing comes through: only the newest worker is listened to.
  async start({ token, source, ...wish }) {
    this.stop();
    const worker = (this.worker = new Worker(WORKER_URL));
    const ring = new MessageChannel(), sound = new MessageChannel();
    worker.onmessage = ({ data }) => this.heard(data, worker, ring.port2);
    const capture = wish.values.sound ? null : await this.captured(source, worker);
    if (this.worker !== worker) { capture?.close(); return; }
    Object.assign(this, { capture, mode: wish.mode, sound: sound.port2 });
    this.monitor(this.monitored);
    const url = new URL(element.querySelector("[data-socket]").dataset.socket, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (capture && wish.mode !== "echo") wish.values.device_seconds = player.loopbackSeconds;
    const from = capture ? [capture.rate, capture.channels] : null;
    const hello = { kind: "hello", token, wish: { ...wish, source: from } };
    worker.postMessage({ kind: "open", url: url.href, hello, channels: capture?.channels ?? 1, ring: ring.port1,
                         capture: sound.port1 }, [ring.port1, sound.port1]);
  }

  async captured(source, worker) {
    try {
      return await openCapture(source);
    } catch (error) {
      if (this.worker === worker) this.stop();
      throw error;
    }
  }

  async heard(message, worker, ringPort) {
    if (message.kind === "closed") worker.terminate();
    if (this.worker !== worker) return;
    if (message.kind === "opened") await this.opened(message, worker, ringPort);
    else if (message.kind === "closed") this.closed(message);
    else await told[message.kind]?.({ ...message, stream: SOCKET });
  }

  async opened(message, worker, ringPort) {
    player.onplayed = null;
    await player.open({ ...message, stream: SOCKET });
    if (this.worker !== worker) return;
    player.node.port.postMessage({ kind: "feed", port: ringPort }, [ringPort]);
    if (this.mode === "echo") this.capture?.attach(this.sound);
    else player.onbegan = (began) => this.capture?.attach(this.sound, frameAt(this.capture.context, began));
    say("Playing.");
  }

  closed({ code, why }) {
    if (player.stream === SOCKET) player.end();
    if (code !== 1000) say(why || `The line was closed (${code}).`);
    this.worker = null;
    this.stop();
  }

  monitor(on) {
    this.monitored = Boolean(on);
    this.capture?.monitor(this.monitored);
  }

  turn(name, value) {
    this.worker?.postMessage({ kind: "say", message: { kind: "turn", name, value } });
  }

  stop() {
    if (this.worker) {
      this.worker.postMessage({ kind: "close" });
      if (player.stream === SOCKET) player.end({ now: true });
      if (!player.stream) say("Stopped.");
    }
    this.capture?.close();
    this.worker = this.capture = null;
  }
}

// Voice processing is off: it takes steady tones for noise. The capture runs at the device's own rate.
async function openCapture(source) {
  requireSecure();
  const context = (player.captureContext = new AudioContext({ latencyHint: "interactive" }));
  try {
    return await captured(context, source);
  } catch (error) {
    context.close();
    throw error;
  }
}

async function captured(context, source) {
  await context.audioWorklet.addModule(WORKLETS_URL);
  const media = source ? null : await microphone();
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

async function microphone() {
  const media = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 } });
  // A track that the page itself stops tells nobody.
  for (const track of media.getTracks()) track.onended = () => say("The microphone is gone: plug it in and press Start.");
  return media;
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
