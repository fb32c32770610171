// The socket's own thread: packets go straight to the ring's audio thread and come straight from the capture's, so a
// page that is busy drawing loses nothing. Loaded from a Blob. The packet format is that of packets.py.

const HEADER_BYTES = 24;
const MAGIC = 0x4d444d4c;
const PLAYED_MS = 50;
const MOST_UNSENT_BYTES = 1 << 18;
let socket, ring, capture, told = 0, begun = false, unsent = 0;

function unpacked(buffer) {
  const view = new DataView(buffer);
  if (view.getUint32(0, true) !== MAGIC) throw new Error("These bytes are no packet.");
  const first = Number(view.getBigInt64(16, true));
  return { kind: "packet", first, samples: new Float32Array(buffer.slice(HEADER_BYTES)) };
}

function packed(first, samples, channels) {
  const buffer = new ArrayBuffer(HEADER_BYTES + samples.byteLength);
  const view = new DataView(buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, 1, true);
  view.setUint16(6, channels, true);
  view.setUint32(8, samples.length / channels, true);
  view.setBigInt64(16, BigInt(first), true);
  new Float32Array(buffer, HEADER_BYTES).set(samples);
  return buffer;
}

function say(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function open({ url, hello, channels }) {
  socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => say(hello);
  socket.onclose = (event) => postMessage({ kind: "closed", code: event.code, why: event.reason, unsent });
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") { postMessage(JSON.parse(data)); return; }
    const packet = unpacked(data);
    ring.postMessage(packet, [packet.samples.buffer]);
  };
  capture.onmessage = ({ data }) => {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > MOST_UNSENT_BYTES) { unsent += 1; return; }
    socket.send(packed(data.first, data.samples, channels));
  };
  ring.onmessage = ({ data }) => {
    const now = performance.now(), begins = data.played > 0 && !begun;
    if (data.kind !== "status" || (now - told < PLAYED_MS && !begins)) return;
    told = now;
    begun = data.played > 0;
    say({ kind: "played", samples: data.played });
  };
}

onmessage = ({ data }) => {
  if (data.kind === "open") { ring = data.ring; capture = data.capture; open(data); }
  if (data.kind === "say") say(data.message);
  if (data.kind === "close") { if (socket) socket.close(1000); else close(); }
};
