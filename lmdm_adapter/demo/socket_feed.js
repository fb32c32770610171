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

// A ping goes out, and the capture of the same context hears it come back: both are counted in its samples. The server,
// which knows the ping, finds it.
const LOOPBACK_SECONDS = 1.8, PING_AFTER_SECONDS = 0.5;
async function calibrate() {
  const line = await openCapture(null), { context, rate } = line;
  say("Listening for a ping…");
  try {
    const text = await server.loopback_ping(rate);
    const ping = new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
    const buffer = new AudioBuffer({ length: ping.length, sampleRate: rate });
    buffer.copyToChannel(ping, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    const begin = Math.round((context.currentTime + COUNT_AHEAD_SECONDS) * rate), wait = Math.round(PING_AFTER_SECONDS * rate);
    source.start((begin + wait) / rate);
    const heard = await captured(line, begin, Math.round(LOOPBACK_SECONDS * rate), PATIENCE_SECONDS);
    const { seconds, why } = await server.loopback_found([rate, encoded(heard), wait]);
    if (why) { say(why); return; }
    player.loopbackSeconds = seconds;
    say(`Loopback: ${(1000 * seconds).toFixed(1)} ms, from now on allowed for.`);
  } finally {
    line.close();
  }
}
