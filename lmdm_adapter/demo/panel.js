// What the player looks like while it plays: waveform, mel bands, meters, and when each block was made against its
// deadline. Draws from AnalyserNodes and the reports; changes nothing.

const MEL_BANDS = 48;
const KEPT_BLOCKS = 48;

function melEdges(bins, rate) {
  const mel = (hz) => 2595 * Math.log10(1 + hz / 700);
  const hz = (value) => 700 * (10 ** (value / 2595) - 1);
  const top = mel(rate / 2);
  return Array.from({ length: MEL_BANDS + 1 }, (_, i) => Math.round((hz((top * i) / MEL_BANDS) / (rate / 2)) * bins));
}

class Panel {
  constructor(element) {
    this.element = element;
    this.canvases = Object.fromEntries([...element.querySelectorAll("canvas")].map((c) => [c.dataset.view, c]));
    this.blocks = [];
    this.draw = this.draw.bind(this);
    requestAnimationFrame(this.draw);
  }

  show(name, text) {
    const place = this.element.querySelector(`[data-show="${name}"]`);
    if (place && place.textContent !== text) place.textContent = text;
  }

  attach(left, right, rate) {
    this.analysers = [left, right];
    this.edges = melEdges(left.frequencyBinCount, rate);
    this.time = new Float32Array(left.fftSize);
    this.bins = new Float32Array(left.frequencyBinCount);
    this.blocks = [];
  }

  report(report, aheadSeconds) {
    if (!report.audio_seconds) return;
    this.blocks.push({ compute: report.compute_seconds, audio: report.audio_seconds, ahead: aheadSeconds });
    this.blocks = this.blocks.slice(-KEPT_BLOCKS);
    const recent = this.blocks.slice(-8).filter((b) => b.audio > 0);
    const audio = recent.reduce((sum, b) => sum + b.audio, 0);
    const factor = audio ? recent.reduce((sum, b) => sum + b.compute, 0) / audio : NaN;
    this.show("factor", Number.isFinite(factor) ? factor.toFixed(2) : "–");
    this.show("memory", report.memory_bytes ? `${(report.memory_bytes / 2 ** 20).toFixed(0)} MiB` : "–");
  }

  colours() {
    const style = getComputedStyle(this.element.querySelector(".lmdm"));
    return { ink: style.getPropertyValue("--lmdm-ink"), bad: style.getPropertyValue("--lmdm-bad"),
             dim: style.getPropertyValue("--lmdm-dim") };
  }

  draw() {
    if (this.element.isConnected) requestAnimationFrame(this.draw);
    if (!this.analysers || document.hidden) return;
    const colours = this.colours();
    this.drawMeters(this.canvases.meters, colours);
    this.drawBlocks(this.canvases.blocks, colours);
    if (!this.playing) return;
    this.drawWave(this.canvases.wave, colours);
    this.drawMel(this.canvases.mel);
  }

  scrolled(canvas) {
    const pen = canvas.getContext("2d");
    pen.globalCompositeOperation = "copy";
    pen.drawImage(canvas, -1, 0);
    pen.globalCompositeOperation = "source-over";
    pen.clearRect(canvas.width - 1, 0, 1, canvas.height);
    return pen;
  }

  drawWave(canvas, { ink }) {
    const pen = this.scrolled(canvas);
    this.analysers[0].getFloatTimeDomainData(this.time);
    let low = 0, high = 0;
    for (const value of this.time) { low = Math.min(low, value); high = Math.max(high, value); }
    pen.fillStyle = ink;
    const middle = canvas.height / 2;
    pen.fillRect(canvas.width - 1, middle * (1 - Math.min(1, high)), 1, Math.max(1, middle * Math.min(2, high - low)));
  }

  drawMel(canvas) {
    const pen = this.scrolled(canvas);
    this.analysers[0].getFloatFrequencyData(this.bins);
    const height = canvas.height / MEL_BANDS;
    for (let band = 0; band < MEL_BANDS; band++) {
      let peak = -120;
      for (let i = this.edges[band]; i <= this.edges[band + 1]; i++) peak = Math.max(peak, this.bins[i] ?? -120);
      const level = Math.max(0, Math.min(1, (peak + 100) / 80));
      pen.fillStyle = `hsl(${260 - 210 * level} 90% ${8 + 55 * level}%)`;
      pen.fillRect(canvas.width - 1, canvas.height - (band + 1) * height, 1, height + 1);
    }
  }

  drawMeters(canvas, { ink, bad, dim }) {
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    this.analysers.forEach((analyser, side) => {
      analyser.getFloatTimeDomainData(this.time);
      const peak = this.time.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const share = Math.max(0, Math.min(1, 1 + (20 * Math.log10(peak + 1e-6)) / 60));
      const y = side * (canvas.height / 2) + 1;
      pen.fillStyle = dim;
      pen.fillRect(0, y, canvas.width, canvas.height / 2 - 2);
      pen.fillStyle = peak >= 1 ? bad : ink;
      pen.fillRect(0, y, canvas.width * share, canvas.height / 2 - 2);
    });
  }

  // A bar is the time a block took; the line is the time it had. Above the line it came late.
  drawBlocks(canvas, { ink, bad, dim }) {
    const pen = canvas.getContext("2d");
    const width = canvas.width / KEPT_BLOCKS;
    const deadline = canvas.height / 2;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    this.blocks.forEach(({ compute, audio }, i) => {
      const share = audio ? compute / audio : 0;
      pen.fillStyle = share > 1 ? bad : ink;
      const height = Math.min(canvas.height, Math.max(1, share * deadline));
      pen.fillRect(i * width, canvas.height - height, width - 1, height);
    });
    pen.fillStyle = dim;
    pen.fillRect(0, deadline, canvas.width, 1);
  }
}
