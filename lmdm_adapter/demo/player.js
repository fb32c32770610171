// The one player of the page. Two feeds reach it: values of its gr.HTML (Play, Sketch), and a socket in a Worker
// (Jam, Delay). Runs as the component's `js_on_load`, with WORKLETS and SOCKET_WORKER as strings before it.

const ROOM_SECONDS = 3;
const MOST_LEAD_SECONDS = 10; // As in voice.py; the lead can be turned while the music plays.
const PLAYED_MS = 250;
const blobUrl = (code) => URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
const WORKLETS_URL = blobUrl(WORKLETS), WORKER_URL = blobUrl(SOCKET_WORKER);
const panel = new Panel(element);

class Player {
  constructor() {
    this.latencyFrom = null;
    this.lastTold = 0;
    this.stream = null;
    this.loopbackSeconds = 0;
    this.serial = 0;
  }

  // Browsers let a page sound only after its visitor did something; every context is made or woken then.
  wake() {
    for (const context of [this.context, this.captureContext]) if (context?.state === "suspended") context.resume();
  }

  async open({ stream, sample_rate, channels, block_seconds, lead_seconds, budget }) {
    this.stream = stream;
    this.onbegan = null;
    showBudget(budget);
    this.rate = sample_rate;
    const seconds = ROOM_SECONDS + MOST_LEAD_SECONDS + 2 * block_seconds;
    const ring = { channels, capacitySamples: Math.ceil(seconds * sample_rate),
                   startSamples: Math.ceil(lead_seconds * sample_rate), serial: ++this.serial };
    this.pending = [];
    if (this.context?.sampleRate === sample_rate) this.node.port.postMessage({ kind: "open", ...ring });
    else await this.build(sample_rate, ring);
    this.node.port.postMessage({ kind: "tap", on: Boolean(window.lmdmTap) });
    this.pending.forEach((packet) => this.node.port.postMessage(packet, [packet.samples.buffer]));
    this.pending = null;
    this.wake();
  }

  async build(rate, ring) {
    await this.context?.close();
    const context = (this.context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" }));
    await context.audioWorklet.addModule(WORKLETS_URL);
    this.node = new AudioWorkletNode(context, "lmdm-ring",
      { numberOfInputs: 0, outputChannelCount: [2], processorOptions: ring });
    this.node.port.onmessage = ({ data }) => this.heard(data);
    this.gain = new GainNode(context, { gain: this.volume() });
    const split = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
    const sides = [0, 1].map((side) => {
      const analyser = new AnalyserNode(context, { fftSize: 2048, smoothingTimeConstant: 0.3 });
      split.connect(analyser, side);
      return analyser;
    });
    this.node.connect(this.gain).connect(context.destination);
    this.gain.connect(split);
    panel.attach(...sides, rate);
  }

  volume() {
    return Number(element.querySelector("[data-volume]").value) / 100;
  }

  push(packet) {
    if (this.pending) this.pending.push(packet);
    else this.node?.port.postMessage(packet, [packet.samples.buffer]);
  }

  // Less is made ahead from now on, or more: what waits for it before it plays must know.
  lead(seconds) {
    this.node?.port.postMessage({ kind: "lead", startSamples: Math.ceil(seconds * this.rate) });
  }

  // What was made is played out; for who asked for silence it fades at once.
  end({ now = false } = {}) {
    this.node?.port.postMessage({ kind: now ? "stop" : "end" });
    panel.playing = false;
    this.stream = null;
  }

  heard(message) {
    if (message.kind === "tapped") { window.lmdmTap?.(message); return; }
    if (message.serial !== this.serial) return;
    if (message.began !== null) { this.onbegan?.(message.began); this.onbegan = null; }
    panel.playing = message.playing;
    this.status = message;
    panel.show("buffer", `${(message.ready / this.rate).toFixed(2)} s`);
    panel.show("underruns", String(message.underruns));
    panel.show("lost", String(message.lost + message.dropped));
    const device = (this.context.baseLatency || 0) + (this.context.outputLatency || 0);
    panel.show("latency", `${((message.ready / this.rate + device) * 1000).toFixed(0)} ms`);
    this.onplayed?.(message.played);
  }
}

const player = new Player();
const say = (text) => panel.show("status", text);

function showBudget(budget) {
  const parts = Object.entries(budget ?? {}).filter(([, seconds]) => seconds > 0);
  const total = parts.reduce((sum, [, seconds]) => sum + seconds, 0);
  const named = parts.map(([name, seconds]) => `${name} ${seconds.toFixed(2)}`).join(", ");
  panel.show("budget", parts.length ? `Answers after ${total.toFixed(2)} s: ${named}.` : "");
}

// ---- what both feeds tell

const told = {
  waiting: ({ place }) => say(place === 1 ? "All seats are taken; you are next." :
    `All seats are taken; ${place - 1} are before you.`),
  opened: async (message) => { await player.open(message); say("Playing."); },
  report: ({ report, ahead_seconds }) => {
    panel.report(report, ahead_seconds);
    if (report.notice) say(report.notice);
  },
  notice: ({ sentence }) => say(sentence),
  lead: ({ lead_seconds, stream }) => { if (stream === player.stream) player.lead(lead_seconds); },
  // That a stream ended which another one follows is no news; why one could not begin is. What is refused has no
  // latency; that of what played before is not its own.
  ended: ({ why, stream }) => {
    if (stream && player.stream && stream !== player.stream) { if (why) say(why); return; }
    if (why && !player.stream) showBudget(null);
    player.end({ now: !why });
    say(why || "Stopped.");
  },
};

// ---- feed 1: values of this component

function decoded(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return { kind: "packet", first: Number(view.getBigInt64(16, true)), samples: new Float32Array(bytes.buffer.slice(24)) };
}

// One word at a time: a server that is busy is not asked again before it has answered. The first word is that the music
// has begun to play, for the server waits for it.
let telling = false;
async function playedByValue(samples) {
  const now = performance.now();
  if (!player.stream || !samples || telling || now - player.lastTold < PLAYED_MS) return;
  player.lastTold = now;
  telling = true;
  await server.played([player.stream, samples]).catch(() => {});
  telling = false;
}

let order = Promise.resolve();
async function received(text) {
  const message = JSON.parse(text);
  if (message.kind === "opened") player.onplayed = playedByValue;
  if (message.packet && message.stream === player.stream) player.push(decoded(message.packet));
  await told[message.kind]?.(message);
}
watch("value", () => {
  const text = props.value;
  if (text) order = order.then(() => received(text)).catch((error) => say(`The player failed: ${error.message}`));
});

// ---- the page's own buttons

const feed = new SocketFeed();
element.querySelector("[data-volume]").addEventListener("input", () => {
  if (player.gain) player.gain.gain.value = player.volume();
});
for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, () => player.wake(), { capture: true });
window.lmdm = {
  player,
  // What comes from Gradio is wrapped, and cannot go to a Worker as it is.
  start: (wish) => feed.start(JSON.parse(JSON.stringify(wish))).catch((error) => say(`No live input: ${error.message}.`)),
  stop: () => feed.stop(),
  record: (seconds, count) => recorded(seconds, count),
  say,
  calibrate: () => calibrate().catch((error) => say(`No live input: ${error.message}.`)),
  turn: (name, value) => feed.turn(name, value),
};
