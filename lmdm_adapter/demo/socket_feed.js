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
    return await wired(context, source);
  } catch (error) {
    context.close();
    throw error;
  }
}

async function wired(context, source) {
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

// What a line hears for so long: its samples, and the frame of the context at which they begin.
async function heardFor(line, seconds) {
  const channel = new MessageChannel(), heard = [];
  channel.port2.onmessage = ({ data }) => heard.push(data);
  line.attach(channel.port1);
  await new Promise((done) => setTimeout(done, 1000 * seconds));
  line.close();
  if (!heard.length) throw new Error("nothing was heard");
  return { first: heard[0].frame - heard[0].samples.length, samples: heard.flatMap((part) => [...part.samples]) };
}

// 16-bit samples in base64.
function encoded(samples) {
  const whole = Int16Array.from(samples, (value) => 32767 * Math.max(-1, Math.min(1, value)));
  const bytes = new Uint8Array(whole.buffer), pieces = [];
  for (let i = 0; i < bytes.length; i += 8192) pieces.push(String.fromCharCode(...bytes.subarray(i, i + 8192)));
  return btoa(pieces.join(""));
}

// What the microphone hears for so long: its rate, and its samples.
async function recorded(seconds) {
  const line = await openCapture(null);
  return [line.rate, encoded((await heardFor(line, seconds)).samples)];
}

async function fileSource(context, url) {
  const answer = await fetch(url);
  const buffer = await context.decodeAudioData(await answer.arrayBuffer());
  const source = new AudioBufferSourceNode(context, { buffer, loop: true });
  source.start();
  return source;
}

// A ping goes out, and the capture of the same context hears it come back: both are counted in its samples. The server,
// which knows the ping, finds it.
const LOOPBACK_SECONDS = 1.8, PING_AFTER_SECONDS = 0.5;
async function calibrate() {
  const line = await openCapture(null), { context, rate } = line;
  say("Listening for a ping…");
  const ping = new Float32Array(Uint8Array.from(atob(await server.loopback_ping(rate)), (c) => c.charCodeAt(0)).buffer);
  const buffer = new AudioBuffer({ length: ping.length, sampleRate: rate });
  buffer.copyToChannel(ping, 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  const sent = Math.round((context.currentTime + PING_AFTER_SECONDS) * rate);
  source.start(sent / rate);
  const { first, samples } = await heardFor(line, LOOPBACK_SECONDS);
  const { seconds, why } = await server.loopback_found([rate, encoded(samples), sent - first]);
  if (why) { say(why); return; }
  player.loopbackSeconds = seconds;
  say(`Loopback: ${(1000 * seconds).toFixed(1)} ms, from now on allowed for.`);
}
