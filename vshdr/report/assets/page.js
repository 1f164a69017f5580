"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const clips = data.clips;
const PALETTE = ["#d1495b", "#2e86c8", "#3a9b5c", "#b8780f", "#8757c0", "#0f9aa0", "#c2569b", "#7c7f2c"];
const colours = clips.map((clip, index) =>
  clip.role === "clip" ? PALETTE[index % PALETTE.length] : `var(--${clip.role})`);
const rated = clips.filter((clip) => clip.role === "clip");

// ---- Small helpers ----

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "text", "rect", "title"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function number(value, digits) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, "0")}`;
}

function roleOf(clip) {
  return clip.role === "source" ? "the SDR source" : clip.role === "truth" ? "the truth" : "";
}

// Round numbers that divide 0..largest into three to six parts.
function ticks(largest) {
  if (!(largest > 0)) return [0];
  const rough = largest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const marks = [];
  for (let mark = 0; mark <= largest * 1.0001; mark += step) marks.push(Number(mark.toPrecision(6)));
  return marks;
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

// ---- Head ----

function fillHead() {
  const names = rated.map((clip) => clip.name).join(", ");
  const against = clips.filter((clip) => clip.role !== "clip").map((clip) => `${clip.name} (${roleOf(clip)})`);
  document.title = `Flicker: ${names}`;
  $("subtitle").textContent = `${names}${against.length ? ", compared with " + against.join(" and ") : ""} · ` +
    `${data.frames} frames, ${(data.frames / data.frame_rate).toFixed(1)} s at ${+data.frame_rate.toFixed(3)} per second` +
    `${data.shots.length > 1 ? `, ${data.shots.length} shots` : ""} · looked at in ${data.size.join(" × ")}`;
  const known = rated.filter((clip) => clip.total.excess !== null);
  if (!known.length) return;
  const sorted = [...known].sort((a, b) => a.total.excess - b.total.excess);
  const quiet = sorted[0], loud = sorted[sorted.length - 1];
  const per = (clip) => `${clip.total.excess.toFixed(4)} stops per frame`;
  const ratio = loud.total.excess / quiet.total.excess;
  if (sorted.length === 1) $("verdict").textContent = `${quiet.name} flickers by ${per(quiet)}.`;
  else if (quiet.total.excess < 0.0005 && ratio > 10) $("verdict").textContent = `${quiet.name} does not flicker; ` +
    `${loud.name} does by ${per(loud)}.`;
  else if (ratio < 1.05) $("verdict").textContent = `All clips flicker alike, by ${per(quiet)}.`;
  else $("verdict").textContent = `${quiet.name} is quietest with ${per(quiet)}; ` +
    `${loud.name} flickers ${ratio.toFixed(ratio < 10 ? 1 : 0)} times as much.`;
  $("footer").textContent = `Made by vshdr ${data.vshdr}. Everything is in this file; it loads nothing.`;
}

// ---- Plots ----

const SIZE = { width: 1080, height: 316, left: 62, right: 18, top: 52, bottom: 30 };
let compact = false;

function frameOf(plot) {
  // A narrow screen gets a plot of another shape, so that its text stays legible.
  compact = window.innerWidth < 700;
  const size = compact ? { ...SIZE, width: 440, height: 316, left: 54, right: 12 } : SIZE;
  const svg = make("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "img" });
  plot.replaceChildren(svg);
  return { svg, size };
}

function axes(svg, size, largest, marks, xOf, unit) {
  const bottom = size.height - size.bottom;
  const yOf = (value) => bottom - (value / (largest || 1)) * (bottom - size.top);
  for (const mark of ticks(largest)) {
    svg.append(make("line", { class: "grid", x1: size.left, x2: size.width - size.right, y1: yOf(mark), y2: yOf(mark) }),
      make("text", { x: size.left - 8, y: yOf(mark) + 4, "text-anchor": "end" }, String(mark)));
  }
  for (const mark of marks) {
    svg.append(make("text", { x: xOf(mark.value), y: bottom + 20, "text-anchor": "middle" }, mark.label));
  }
  svg.append(make("text", { x: 10, y: 18 }, unit));
  return yOf;
}

function curve(values, xOf, yOf) {
  let path = "", open = false;
  values.forEach((value, index) => {
    if (value === null) { open = false; return; }
    path += `${open ? "L" : "M"}${xOf(index).toFixed(1)} ${yOf(value).toFixed(1)}`;
    open = true;
  });
  return path;
}

// A clip's curve; what it is compared with is drawn thinner, the truth with dashes.
function draw(svg, clip, path) {
  const style = { class: "curve", d: path, stroke: colours[clips.indexOf(clip)], "data-clip": clip.name };
  if (clip.role !== "clip") style["stroke-width"] = 1.2;
  if (clip.role === "truth") style["stroke-dasharray"] = "5 4";
  svg.append(make("path", style));
}

function plotTime() {
  const key = $("metric").value, metric = data.metrics[key];
  $("metric-meaning").textContent = `${metric.meaning}, in ${metric.unit}.`.replace(/^./, (c) => c.toUpperCase());
  const { svg, size } = frameOf($("time-plot"));
  const shown = clips.filter((clip) => clip.series[key].some((value) => value !== null));
  const largest = Math.max(0, ...shown.flatMap((clip) => clip.series[key].filter((value) => value !== null))) * 1.06;
  const span = size.width - size.left - size.right;
  const last = Math.max(1, data.frames - 1);
  const xOf = (frame) => size.left + (frame / last) * span;
  const duration = last / data.frame_rate;
  const marks = ticks(duration).map((seconds) =>
    ({ value: seconds * data.frame_rate, label: seconds < 60 ? `${seconds} s` : clock(seconds).slice(0, -3) }));
  const yOf = axes(svg, size, largest, marks, xOf, metric.unit);
  for (const shot of data.shots.slice(1)) {
    svg.append(make("line", { class: "cut", x1: xOf(shot.start), x2: xOf(shot.start), y1: size.top,
      y2: size.height - size.bottom }, make("title", {}, `shot from frame ${shot.start}`)));
  }
  for (const clip of [...shown].reverse()) draw(svg, clip, curve(clip.series[key], (i) => xOf(i * data.step), yOf));
  data.worst_frames.forEach((worst, index) => {
    const x = xOf(worst.frame);
    const mark = make("g", { class: "mark", "data-worst": index }, make("title", {}, `frame ${worst.frame}`),
      make("line", { x1: x, x2: x, y1: 45, y2: size.height - size.bottom }),
      make("circle", { cx: x, cy: 35, r: 10 }), make("text", { x, y: 39.5 }, String(index + 1)));
    mark.addEventListener("click", () => choose(index, true));
    svg.append(mark);
  });
  follow(svg, size, shown, key, metric, xOf, span, last);
  markChosen();
}

// A line under the pointer, with what each clip has there.
function follow(svg, size, shown, key, metric, xOf, span, last) {
  const cursor = make("line", { class: "cursor", y1: size.top, y2: size.height - size.bottom, visibility: "hidden" });
  const reading = make("div", { class: "reading", hidden: "" });
  svg.append(cursor);
  svg.parentNode.append(reading);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * size.width;
    const index = Math.round((Math.min(1, Math.max(0, (place - size.left) / span)) * last) / data.step);
    const frame = Math.min(last, index * data.step), x = xOf(frame);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.setAttribute("visibility", "visible");
    reading.hidden = false;
    reading.replaceChildren(`${clock(frame / data.frame_rate)}, frame ${frame}`, ...shown.map((clip) =>
      make("div", {}, clip.name, make("b", {}, number(clip.series[key][index], metric.digits)))));
    const left = (x / size.width) * box.width;
    reading.style.left = left > box.width / 2 ? "" : `${left + 12}px`;
    reading.style.right = left > box.width / 2 ? `${box.width - left + 12}px` : "";
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    reading.hidden = true;
  });
}

function plotSpectrum() {
  const of = $("spectrum-of").value;
  const { svg, size } = frameOf($("spectrum-plot"));
  const largest = Math.max(0, ...clips.flatMap((clip) => clip.spectrum[of])) * 1.06;
  const frequencies = clips[0].spectrum.frequencies;
  const most = data.frame_rate / 2;
  const xAt = (hertz) => size.left + (hertz / most) * (size.width - size.left - size.right);
  const marks = ticks(most).map((hertz) => ({ value: hertz, label: `${hertz} Hz` }));
  const yOf = axes(svg, size, largest, marks, xAt, "stops");
  for (const clip of [...clips].reverse()) {
    draw(svg, clip, curve(clip.spectrum[of], (index) => xAt(frequencies[index]), yOf));
  }
}

function fillLegend() {
  $("legend").replaceChildren(...clips.map((clip, index) => {
    const swatch = make("i");
    swatch.style.background = colours[index];
    return make("li", {}, swatch, clip.name, make("small", {}, roleOf(clip) ? ` ${roleOf(clip)}` : ""));
  }));
}

// ---- Tables ----

function fillTotals() {
  const head = make("tr", {}, make("th"), ...clips.map((clip) => {
    const note = roleOf(clip) ? make("small", {}, make("br"), roleOf(clip)) : null;
    return make("th", { class: clip.role === "clip" ? "" : "aside", scope: "col" }, clip.name, note);
  }));
  const body = make("tbody");
  for (const [key, metric] of Object.entries(data.metrics)) {
    const values = clips.map((clip) => clip.total[key] ?? null);
    if (values.every((value) => value === null)) continue;
    const own = values.filter((value, index) => value !== null && clips[index].role === "clip");
    const best = own.length > 1 && metric.best ? Math[metric.best === "low" ? "min" : "max"](...own) : null;
    const largest = Math.max(...own, 0);
    const row = make("tr", {}, make("th", { scope: "row", title: metric.meaning }, metric.title, " ",
      make("small", {}, metric.unit)));
    values.forEach((value, index) => {
      const clip = clips[index], aside = clip.role !== "clip";
      const cell = make("td", { class: aside ? "aside" : value !== null && value === best ? "best" : "" },
        number(value, metric.digits));
      if (!aside && value !== null && metric.best && largest > 0) {
        const bar = make("span", { class: "bar" });
        bar.style.width = `${Math.max(2, (100 * value) / largest)}%`;
        bar.style.background = colours[index];
        cell.append(bar);
      }
      row.append(cell);
    });
    body.append(row);
  }
  $("totals").replaceChildren(make("thead", {}, head), body);
}

function fillShots() {
  if (data.shots.length < 2) return;
  $("shots").hidden = false;
  const head = make("tr", {}, make("th", {}, ""), ...clips.map((clip) => make("th", { scope: "col" }, clip.name)));
  const body = make("tbody", {}, ...data.shots.map((shot, index) => make("tr", {},
    make("th", { scope: "row" }, `${index + 1} `, make("small", {},
      `from ${clock(shot.start / data.frame_rate)}, ${shot.end - shot.start} frames`)),
    ...clips.map((clip) => make("td", {}, number(clip.shots[index], 4))))));
  $("shot-table").replaceChildren(make("thead", {}, head), body);
}

function fillGlossary() {
  const entries = Object.values(data.metrics).flatMap((metric) =>
    [make("dt", {}, metric.title.trim()), make("dd", {}, metric.meaning, metric.unit ? ` (${metric.unit})` : "")]);
  $("glossary").replaceChildren(...entries);
}

// ---- HDR pictures: codes of 12 bits, logarithmic; see vshdr/report/packed_pictures.py ----

const decoded = new Map();

async function picturesOf(worst, clip) {
  const key = `${worst}/${clip}`;
  if (!decoded.has(key)) decoded.set(key, unpack(data.worst_frames[worst], data.worst_frames[worst].pictures[clip]));
  return decoded.get(key);
}

async function unpack(worst, text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const { width, height } = worst, count = 3 * width * height;
  const now = new Uint16Array(count), before = new Uint16Array(count);
  for (let start = 0; start < count; start += width) {
    let code = 0;
    for (let index = start; index < start + width; index++) {
      code = (code + bytes[index] + (bytes[2 * count + index] << 8)) & 4095;
      now[index] = code;
      before[index] = (code + bytes[count + index] + (bytes[3 * count + index] << 8)) & 4095;
    }
  }
  return { width, height, now, before };
}

// Screen values for all 4096 codes at an exposure: light times 2^exposure, clipped, through sRGB's curve.
function screenTable(exposure) {
  return Uint8ClampedArray.from({ length: 4096 }, (_, code) => {
    const light = code ? 2 ** (code / data.code.per_stop + data.code.darkest + exposure) : 0;
    return 255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * Math.min(1, light) ** (1 / 2.4) - 0.055);
  });
}

function paint(canvas, pictures, which, table) {
  const { width, height } = pictures, codes = pictures[which], area = width * height;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height), pixels = image.data;
  for (let index = 0; index < area; index++) {
    pixels[4 * index] = table[codes[index]];
    pixels[4 * index + 1] = table[codes[area + index]];
    pixels[4 * index + 2] = table[codes[2 * area + index]];
    pixels[4 * index + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// ---- The worst frames, and the comparison ----

const view = { worst: 0, which: "now", split: 50, blinking: 0 };

async function fillWorstFrames() {
  if (!data.worst_frames.length) {
    $("worst-frames").replaceWith(make("p", {}, "Nothing changes: there is no worst frame."));
    $("compare").hidden = true;
    return;
  }
  const table = screenTable(-1);
  const buttons = data.worst_frames.map((worst, index) => {
    const canvas = make("canvas", { width: worst.width, height: worst.height });
    const button = make("button", { type: "button", "aria-pressed": "false" }, canvas, make("span", {},
      make("b", {}, `${index + 1} `), `${clips[worst.clip].name} changes by ${worst.score.toFixed(3)} stops`,
      make("br"), make("em", {}, `${clock(worst.frame / data.frame_rate)}, frame ${worst.frame}`)));
    button.addEventListener("click", () => choose(index, true));
    picturesOf(index, worst.clip).then((pictures) => paint(canvas, pictures, "now", table));
    return button;
  });
  $("worst-frames").replaceChildren(...buttons);
}

// What to show beside a clip: the quietest of the others, else what it is compared with, else itself.
function opposite(clip) {
  const others = clips.map((other, index) => index).filter((index) => index !== clip);
  const own = others.filter((index) => clips[index].role === "clip" && clips[index].total.excess !== null);
  own.sort((a, b) => clips[a].total.excess - clips[b].total.excess);
  return own[0] ?? others[0] ?? clip;
}

function choose(index, show) {
  view.worst = index;
  const worst = data.worst_frames[index];
  $("left").value = worst.clip;
  if ($("right").value === $("left").value || !show) $("right").value = opposite(worst.clip);
  markChosen();
  refresh();
  if (show) $("compare").scrollIntoView({ behavior: "smooth", block: "nearest" });
}

function markChosen() {
  document.querySelectorAll("#worst-frames button").forEach((button, index) =>
    button.setAttribute("aria-pressed", String(index === view.worst)));
  document.querySelectorAll("#time-plot .mark").forEach((mark) =>
    mark.classList.toggle("chosen", Number(mark.dataset.worst) === view.worst));
}

async function refresh() {
  const worst = data.worst_frames[view.worst];
  if (!worst) return;
  const frame = view.which === "now" ? worst.frame : worst.frame - 1;
  $("compare-when").textContent = `${clock(frame / data.frame_rate)}, frame ${frame}`;
  const exposure = Number($("exposure").value), table = screenTable(exposure);
  $("exposure-text").textContent = `${exposure > 0 ? "+" : ""}${exposure.toFixed(1)} stops: the screen's white shows ` +
    `${Math.round(data.white * 2 ** -exposure)} nits`;
  for (const side of ["left", "right"]) {
    const clip = Number($(side).value);
    $(`${side}-tag`).textContent = clips[clip].name;
    paint($(`${side}-picture`), await picturesOf(view.worst, clip), view.which, table);
  }
  $("now").setAttribute("aria-pressed", String(!view.blinking && view.which === "now"));
  $("before").setAttribute("aria-pressed", String(!view.blinking && view.which === "before"));
  $("blink").setAttribute("aria-pressed", String(Boolean(view.blinking)));
}

function stand(which) {
  clearInterval(view.blinking);
  view.blinking = 0;
  view.which = which;
  refresh();
}

function blink() {
  if (view.blinking) return stand("now");
  view.blinking = setInterval(() => {
    view.which = view.which === "now" ? "before" : "now";
    refresh();
  }, 250);
  refresh();
}

function split(percent) {
  view.split = Math.min(100, Math.max(0, percent));
  $("right-picture").style.clipPath = `inset(0 0 0 ${view.split}%)`;
  $("divider").style.left = `${view.split}%`;
  $("divider").setAttribute("aria-valuenow", String(Math.round(view.split)));
}

function wireCompare() {
  for (const side of ["left", "right"]) {
    $(side).replaceChildren(...clips.map((clip, index) => make("option", { value: index }, clip.name)));
    $(side).addEventListener("change", refresh);
  }
  $("exposure").addEventListener("input", refresh);
  $("before").addEventListener("click", () => stand("before"));
  $("now").addEventListener("click", () => stand("now"));
  $("blink").addEventListener("click", blink);
  const stage = $("stage");
  const drag = (event) => {
    const box = stage.getBoundingClientRect();
    split((100 * (event.clientX - box.left)) / box.width);
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    drag(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) drag(event);
  });
  $("divider").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2, Home: -100, End: 100 }[event.key];
    if (!step) return;
    event.preventDefault();
    split(view.split + step);
  });
  split(50);
}

// ---- Heat maps ----

// From black over violet, red and yellow to white, brighter step by step.
const HEAT = [[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [250, 193, 39],
  [252, 255, 164]];

function heatColour(share) {
  const place = Math.min(0.9999, Math.max(0, share)) * (HEAT.length - 1), index = Math.floor(place);
  return [0, 1, 2].map((c) => HEAT[index][c] + (place - index) * (HEAT[index + 1][c] - HEAT[index][c]));
}

function fillMaps() {
  const maps = rated.map((clip) => {
    const { width, height } = clip.heat, values = bytesOf(clip.heat.values);
    const canvas = make("canvas", { width, height });
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    values.forEach((value, index) => image.data.set([...heatColour(value / 255), 255], 4 * index));
    context.putImageData(image, 0, 0);
    return make("figure", {}, canvas, make("figcaption", {}, make("em", {}, `mean ${number(clip.total.excess, 4)}`),
      clip.name));
  });
  $("maps").replaceChildren(...maps);
  const bar = $("scale-bar").getContext("2d");
  for (let x = 0; x < 256; x++) {
    bar.fillStyle = `rgb(${heatColour(x / 255).map(Math.round).join(" ")})`;
    bar.fillRect(x, 0, 1, 1);
  }
  $("scale-end").textContent = `${data.heat_end.toFixed(3)} stops and more`;
}

// ---- Put together ----

function fillMetrics() {
  const keys = Object.keys(clips[0].series).filter((key) =>
    clips.some((clip) => clip.series[key].some((value) => value !== null)));
  $("metric").replaceChildren(...keys.map((key) =>
    make("option", { value: key }, data.metrics[key].title)));
  $("metric").addEventListener("change", plotTime);
  $("spectrum-of").addEventListener("change", plotSpectrum);
}

fillHead();
fillMetrics();
fillLegend();
wireCompare();
fillWorstFrames();
plotTime();
plotSpectrum();
fillMaps();
fillTotals();
fillShots();
fillGlossary();
if (data.worst_frames.length) choose(0, false);
window.addEventListener("resize", () => {
  if (compact !== window.innerWidth < 700) {
    plotTime();
    plotSpectrum();
  }
});
