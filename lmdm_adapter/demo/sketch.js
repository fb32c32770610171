// Three curves to draw, with a pointer or the keyboard; their values go to Python when they have settled.
const SETTLE_MS = 60, STEP = 0.1, MOST_HUM_SECONDS = 30;
const curves = {};
let timer = null;

function paint(canvas) {
  const { values, at } = curves[canvas.dataset.curve];
  const pen = canvas.getContext("2d");
  const width = canvas.width / POINTS;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = "#9ca3af55";
  pen.fillRect(at * width, 0, width, canvas.height);
  pen.fillStyle = "#14b8a6";
  values.forEach((value, i) => pen.fillRect(i * width, (1 - value) * (canvas.height - 4), width, 4));
  describe(canvas);
}

// What is drawn where the arrow keys draw, for who hears the page instead of seeing it.
function describe(canvas) {
  const { values, at } = curves[canvas.dataset.curve];
  const percent = Math.round(100 * (values[at] ?? 0.5));
  canvas.setAttribute("aria-valuenow", percent);
  canvas.setAttribute("aria-valuetext", `place ${at + 1} of ${POINTS}: ${values.length ? `${percent} %` : "free"}`);
}

function changed(canvas) {
  paint(canvas);
  clearTimeout(timer);
  timer = setTimeout(() => {
    props.value = Object.fromEntries(Object.entries(curves).map(([name, { values }]) => [name, [...values]]));
    trigger("change");
  }, SETTLE_MS);
}

function set(canvas, index, value) {
  const curve = curves[canvas.dataset.curve];
  if (!curve.values.length) curve.values = Array(POINTS).fill(0.5);
  curve.at = Math.min(POINTS - 1, Math.max(0, index));
  curve.values[curve.at] = Math.min(1, Math.max(0, value));
}

function clear(canvas) {
  curves[canvas.dataset.curve].values = [];
}

function follow(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const index = Math.floor((POINTS * (event.clientX - box.left)) / box.width);
  const value = 1 - (event.clientY - box.top) / box.height;
  const before = curves[canvas.dataset.curve].at;
  const from = event.type === "pointermove" ? before : index;
  for (let i = Math.min(from, index); i <= Math.max(from, index); i++) set(canvas, i, value);
  curves[canvas.dataset.curve].at = Math.min(POINTS - 1, Math.max(0, index));
  changed(canvas);
}

function press(canvas, event) {
  const curve = curves[canvas.dataset.curve];
  const keys = {
    ArrowLeft: () => { curve.at = Math.max(0, curve.at - 1); },
    ArrowRight: () => { curve.at = Math.min(POINTS - 1, curve.at + 1); },
    ArrowUp: () => set(canvas, curve.at, (curve.values[curve.at] ?? 0.5) + STEP),
    ArrowDown: () => set(canvas, curve.at, (curve.values[curve.at] ?? 0.5) - STEP),
    Delete: () => clear(canvas),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
  changed(canvas);
}

element.querySelectorAll("canvas").forEach((canvas) => {
  curves[canvas.dataset.curve] = { values: [], at: 0 };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); follow(canvas, event); });
  canvas.addEventListener("pointermove", (event) => { if (canvas.hasPointerCapture(event.pointerId)) follow(canvas, event); });
  canvas.addEventListener("keydown", (event) => press(canvas, event));
  paint(canvas);
});
element.querySelectorAll("[data-clear]").forEach((button) => button.addEventListener("click", () => {
  const canvas = element.querySelector(`canvas[data-curve=${button.dataset.clear}]`);
  clear(canvas);
  changed(canvas);
}));

// The hum spans the bars, after one more that is counted in, and becomes the curve of the melody.
function beatsOfHum() {
  const number = (id) => Number(document.querySelector(`#${id} input[type=number]`)?.value);
  const beats = BEATS_PER_BAR * number("sketch-bars"), beatSeconds = 60 / number("sketch-tempo");
  if (!(beats > 0 && beatSeconds > 0 && beatSeconds < Infinity)) return { why: "A hum needs bars and a tempo; set them first." };
  if (beats * beatSeconds > MOST_HUM_SECONDS) return { why: `A hum takes ${MOST_HUM_SECONDS} s at the most; choose fewer bars.` };
  return { beats, beatSeconds };
}

function counted(beat, beats) {
  if (beat < 0) return `Count-in: ${Math.max(1, Math.min(BEATS_PER_BAR, BEATS_PER_BAR + beat + 1))}`;
  const bar = Math.floor(beat / BEATS_PER_BAR) + 1;
  return beat < beats ? `Hum now: bar ${bar}, beat ${(beat % BEATS_PER_BAR) + 1}` : "Listening to your hum";
}

async function hum(button) {
  const label = button.textContent, { beats, beatSeconds, why } = beatsOfHum();
  if (why) { window.lmdm.say(why); return; }
  button.disabled = true;
  try {
    const onbeat = (beat) => {
      const text = counted(beat, beats);
      if (button.textContent !== text) button.textContent = text;
    };
    const heard = await window.lmdm.record(beats * beatSeconds, { beatSeconds, beats: BEATS_PER_BAR, onbeat });
    onbeat(beats);
    const { curve, why } = await server.hum(heard);
    if (why) { window.lmdm.say(why); return; }
    curves.melody.values = curve;
    changed(element.querySelector("canvas[data-curve=melody]"));
  } catch (error) {
    window.lmdm.say(`No live input: ${error.message}.`);
  } finally {
    button.disabled = false;
    button.textContent = label;
  }
}

const button = element.querySelector("[data-hum]");
button.addEventListener("click", () => hum(button));
