// Feed 2 of the player: a socket in a Worker, and the capture of a microphone or a sound file.

class SocketFeed {
  async start({ token, source, ...wish }) {
    await this.stop();
    this.capture = await openCapture(source);
    this.worker = new Worker(blobUrl(SOCKET_WORKER));
    const ring = new MessageChannel(), sound = new MessageChannel();
    this.worker.onmessage = ({ data }) => this.heard(data, ring.port2);
    const url = new URL(element.querySelector("[data-socket]").dataset.socket, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const { rate, channels } = this.capture;
    const hello = { kind: "hello", token, wish: { ...wish, source: [rate, channels] } };
    const shift = source ? 0 : player.loopbackSamples;
    this.worker.postMessage({ kind: "open", url: url.href, hello, channels, shift, ring: ring.port1, capture: sound.port1 },
      [ring.port1, sound.port1]);
    this.sound = sound.port2;
  }

  async heard(message, ringPort) {
    if (message.kind === "opened") {
      player.onplayed = null;
      await player.open({ ...message, stream: "socket" });
      player.node.port.postMessage({ kind: "feed", port: ringPort }, [ringPort]);
      this.capture.node.port.postMessage({ port: this.sound }, [this.sound]);
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
  const close = () => { media?.getTracks().forEach((track) => track.stop()); context.close(); };
  return { context, node, close, rate: context.sampleRate, channels };
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
  line.node.port.postMessage({ port: channel.port1 }, [channel.port1]);
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
  player.loopbackSamples = back;
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
