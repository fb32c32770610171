// A square that mixes four prompts: a pointer or the arrow keys move the dot, and the weights follow.
const pad = element.querySelector(".pad");
const dot = element.querySelector(".dot");
const STEP = 0.05, SETTLE_MS = 60;
let place = { x: 0, y: 0 }, timer = null;

function move(x, y) {
  place = { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
  dot.style.left = `${place.x * 100}%`;
  dot.style.top = `${place.y * 100}%`;
  pad.setAttribute("aria-valuenow", Math.round(place.x * 100));
  pad.setAttribute("aria-valuetext", `${Math.round(place.x * 100)} % right, ${Math.round(place.y * 100)} % down`);
  clearTimeout(timer);
  timer = setTimeout(() => { props.value = { ...place }; trigger("change"); }, SETTLE_MS);
}

function follow(event) {
  const box = pad.getBoundingClientRect();
  move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
}

pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); follow(event); });
pad.addEventListener("pointermove", (event) => { if (pad.hasPointerCapture(event.pointerId)) follow(event); });
pad.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
  if (!by) return;
  event.preventDefault();
  move(place.x + by[0], place.y + by[1]);
});
