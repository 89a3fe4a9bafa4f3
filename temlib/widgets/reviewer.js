// The front end of temlib.ParticleReviewer: outlines on a micrograph, tools that change particles, filters, sizes.
// What is done goes to Python, which answers with what becomes of each particle. stage.js comes before this file.
//
// From Python, as traits:   _image (png), _labels (version and png; a particle's number in 24 bits), _patch (what has changed
//                           of them since), _rows (what is measured), _state (what becomes of each; see answers.py),
//                           _colours, _brush (strokes.py).
// To Python, as messages:   {do: "turn" | "lasso" | "split" | "merge" | "remove" | "add" | "add seen" | "filter" |
//                            "undo" | "redo" | "go" | "all", ...}.

const FATES = ["counted", "cut", "filtered", "out"];
const WORDS = ["counted", "cut by the frame", "left out by a filter", "left out by hand"];
const STEPS = 400; // of a filter's slider
const WIDE = 1.6; // of an outline, in pixels of the screen
const TOOLS = {
  click: ["Out / in", "click a particle to take it out, or back (C)"],
  lasso: ["Lasso", "draw around particles to take them out, or back (L)"],
  box: ["Box", "drag a box around particles to take them out, or back (B)"],
  split: ["Split", "draw a line across a particle (S)"],
  merge: ["Merge", "draw a line over the particles that are one (M)"],
  remove: ["Remove", "click what is no particle at all (X)"],
  add: ["Add", "paint a particle, or click where the network saw one too faintly (A)"],
  pan: ["Move", "move the picture (H, or hold the space bar)"],
};
const FREE = ["lasso", "merge", "add"]; // tools that follow the hand

const LEGEND = (fate, words, sign) =>
  `<span class="entry"><span class="swatch" data-fate="${fate}">${sign}</span><b></b> <span>${words}</span></span>`;

const PAGE = `
<div class="row">
  <span class="group tools" role="group" aria-label="tool">${Object.entries(TOOLS)
    .map(([name, [words, title]]) => `<button data-tool="${name}" title="${title}">${words}</button>`)
    .join("")}</span>
  <label class="group brush" title="[ and ]">Size <input type="range" class="size" min="0" max="1" step="0.01">
    <span class="value"></span></label>
  <span class="group"><button data-do="undo" title="Z">Undo</button><button data-do="redo" title="Y">Redo</button></span>
</div>
<div class="both">
  <div class="main">
    <div class="stage" tabindex="0" aria-label="micrograph: arrow keys move the cursor, Enter uses the tool">
      <div class="layers"><canvas class="picture"></canvas></div>
      <canvas class="outlines"></canvas><canvas class="over"></canvas>
    </div>
    <div class="row">${LOOKS}
      <button data-do="fit" title="see all of it (F)">Fit</button>
      <button data-do="outlines" title="outlines (O)" aria-pressed="true">Outlines</button>
      <button data-do="names" title="numbers (N)" aria-pressed="false">Numbers</button>
    </div>
    <div class="row">
      <span class="group"><button data-do="previous" title="page up">◀</button><b class="name"></b>
        <button data-do="next" title="page down">▶</button></span>
      <span class="place"></span>
      <span class="right message" role="status"></span><span class="busy quiet" hidden>working …</span>
    </div>
    <table class="row-of"><tbody></tbody></table>
  </div>
  <div class="side">
    <div class="legend">${FATES.map((fate, i) => LEGEND(fate, WORDS[i], ["", "", "−", "×"][i])).join("")}</div>
    <canvas class="sizes" role="img"></canvas>
    <div class="median" role="status"></div>
    <div class="hands quiet"></div>
    <div class="filters"></div>
  </div>
</div>
<div class="quiet keys">Keys: C out or in, L lasso, B box, S split, M merge, X remove, A add, [ ] size, Z undo, Y redo,
  O outlines, N numbers, F fit, H move; wheel or + −: zoom. Without a mouse: Tab to the picture, &lt; &gt; from particle to
  particle, arrows move the cursor (Shift: further), Enter begins and ends, Esc leaves off. <span class="saved"></span></div>
`;

const typed = ({ buffer, byteOffset, byteLength }, Type) =>
  new Type(buffer.slice(byteOffset, byteOffset + byteLength));

// Make something of a value again only when it is another one.
function once(make, get) {
  let [of, made] = [null, null];
  return () => {
    const now = get();
    if (now !== of) [of, made] = [now, make(now)];
    return made;
  };
}

// What is measured, by row: numbers, places, boxes, and each column with its range.
function unpacked(raw) {
  if (!raw.numbers) return {};
  const numbers = typed(raw.numbers, Int32Array);
  const [places, values] = [typed(raw.places, Float32Array), typed(raw.values, Float32Array)];
  const of = (name) => values.subarray(raw.columns.indexOf(name) * numbers.length).subarray(0, numbers.length);
  const ranges = new Map();
  const range = (name) => {
    if (!ranges.has(name)) {
      let [low, high] = [Infinity, -Infinity];
      for (const value of of(name)) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
      ranges.set(name, low <= high ? [low, high] : [0, 1]);
    }
    return ranges.get(name);
  };
  return {
    numbers,
    range,
    rowOf: new Map(Array.from(numbers, (number, row) => [number, row])),
    boxes: typed(raw.boxes, Int32Array),
    x: places.filter((_, i) => i % 2 === 0),
    y: places.filter((_, i) => i % 2 === 1),
    columns: new Map(raw.columns.map((name) => [name, of(name)])),
  };
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "temlib-painter temlib-reviewer";
  root.innerHTML = PAGE;
  el.append(root);
  const find = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const scene = makeStage(root, () => {
    draw();
    drawSoon();
  });
  const { stage, picture, view, room, fit, pointOf } = scene;
  const [rings, over] = ["outlines", "over"].map((name) => find(`canvas.${name}`));
  const colours = model.get("_colours");
  const line = makeLine(model, root);
  const send = (message) => {
    if (waiting) sendFilter(); // nothing overtakes it
    line.send(message);
  };
  const brush = model.get("_brush");
  const state = () => model.get("_state");
  const [rows, fates] = [once(unpacked, () => model.get("_rows")), once(({ fates }) => typed(fates, Uint8Array), state)];

  let tool = "click";
  let size = Math.max(brush.size, 12);
  let numbers = new Int32Array(0); // of the particle at each pixel
  let version = 0; // of these numbers
  let inks = new Uint32Array(1); // by particle: the colour of its outline
  const patches = []; // of the numbers, not yet put in
  let stroke = null; // points so far
  let cursor = null; // of the mouse or the keys
  let byKeys = false;
  let hovered = 0;
  let [outlines, names] = [true, false];
  let space = false;
  let [shownImage, shownLabels] = [null, null];
  let working = Promise.resolve(); // one after the other
  let soon = 0; // outlines are drawn before the next frame
  let rim = null; // points of outlines as they were drawn last
  let drag = 0; // number of the movement of a slider
  let waiting = null; // the last position of a slider, until Python has answered

  // ---- from Python

  const changed = onceFor(() => (working = working.then(refresh).catch(console.error)));
  const patched = () => patches.push(model.get("_patch"));

  async function refresh() {
    const now = state();
    if (!now.name) return;
    const image = model.get("_image");
    if (image !== shownImage) {
      shownImage = image;
      const { bitmap } = await decode(image);
      [picture.width, picture.height] = [bitmap.width, bitmap.height];
      picture.getContext("2d").drawImage(bitmap, 0, 0);
      stroke = null;
      fit();
    }
    await takeLabels();
    if (now !== state()) return; // overtaken: another one follows
    if (waiting && line.upToDate()) sendFilter(); // Python answers while this one is drawn
    hovered = cursor ? numberAt(cursor) : 0;
    mixInks();
    showState(now);
    draw();
    drawOutlines();
    stage.dataset.answered = now.answered[1];
  }

  async function takeLabels() {
    const labels = model.get("_labels");
    if (labels !== shownLabels) {
      shownLabels = labels;
      numbers = (await decode(labels.png)).numbers();
      version = labels.version; // not before: a frame drawn meanwhile would keep the old outlines as the new ones
    }
    while (patches.length) {
      const patch = patches.shift();
      if (!(patch.to > version)) continue;
      if (patch.from !== version) {
        line.send({ do: "all" }); // one was missed, as where a second view opens
        patches.length = 0;
        return;
      }
      const found = await decode(patch.png);
      const [part, { width, height }] = [found.numbers(), found.bitmap];
      const [top, left] = patch.place;
      for (let y = 0; y < height; y++)
        numbers.set(part.subarray(y * width, (y + 1) * width), (top + y) * picture.width + left);
      version = patch.to;
    }
  }

  function mixInks() {
    const ink = FATES.map((fate) => parseInt(colours[fate].slice(1).replace(/(..)(..)(..)/, "ff$3$2$1"), 16));
    inks = new Uint32Array(rows().numbers.reduce((a, b) => Math.max(a, b), 0) + 1);
    rows().numbers.forEach((number, row) => (inks[number] = ink[fates()[row]]));
  }

  // Lines between the pixels of a particle and others, joined where they go straight on.
  function outlineOf(number) {
    const path = new Path2D();
    const [top, left, bottom, right] = rows().boxes.subarray(4 * rows().rowOf.get(number));
    const { width, height } = picture;
    const has = (x, y) => x >= 0 && y >= 0 && x < width && y < height && numbers[y * width + x] === number;
    const trace = (first, end, from, to, isEdge, draw) => {
      for (let level = first; level <= end; level++)
        for (let at = from, start = null; at <= to; at++) {
          const edge = at < to && isEdge(at, level);
          if (edge && start === null) start = at;
          if (edge || start === null) continue;
          draw(start, at, level);
          start = null;
        }
    };
    const across = (x0, x1, y) => (path.moveTo(x0, y), path.lineTo(x1, y));
    const along = (y0, y1, x) => (path.moveTo(x, y0), path.lineTo(x, y1));
    trace(top, bottom, left, right, (x, y) => has(x, y) !== has(x, y - 1), across);
    trace(left, right, top, bottom, (y, x) => has(x, y) !== has(x - 1, y), along);
    return path;
  }

  function showState(now) {
    say(find(".name"), now.name);
    say(find(".place"), now.count > 1 ? `${now.index + 1} of ${now.count}` : "");
    for (const name of ["previous", "next"]) find(`button[data-do=${name}]`).hidden = now.count < 2;
    find("button[data-do=undo]").disabled = !now.n_edits;
    find("button[data-do=redo]").disabled = !now.n_undone;
    say(find(".message"), now.message);
    find(".message").classList.toggle("wrong", now.message !== "");
    say(find(".saved"), `Saved in ${now.folder}.`);
    showLegend(now);
    showSizes(now);
    showFilters(now);
    showRow();
    stage.dataset.counted = now.counts.counted;
    line.showBusy();
  }

  // What is said as before stays: a changed text costs a layout of the page.
  function say(element, text) {
    if (element.textContent !== String(text)) element.textContent = text;
  }

  function showLegend({ counts }) {
    const of = [counts.counted, counts.cut_by_frame, counts.filtered, counts.taken_out];
    all(".legend b").forEach((each, i) => say(each, of[i]));
    const said = [`${counts.found} found`];
    for (const [name, words] of [
      ["added", "added"],
      ["split", "more by splitting"],
      ["merged", "fewer by merging"],
      ["removed", "removed"],
    ])
      if (counts[name]) said.push(`${counts[name]} ${words}`);
    say(find(".hands"), said.join(", "));
  }

  const short = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "?");

  // Canvases beside the picture, with their room, which the watcher knows without asking for a layout.
  const rooms = new Map();
  const watcher = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) rooms.set(target, contentRect);
    if (state().name && rows().numbers) showState(state());
  });

  function sharp(canvas) {
    const { width, height } = rooms.get(canvas) ?? { width: 0, height: 0 };
    const ratio = window.devicePixelRatio || 1;
    const context = cleared(canvas, width * ratio, height * ratio);
    context.scale(ratio, ratio);
    return [context, width, height];
  }

  function cleared(canvas, width, height) {
    const [across, down] = [Math.round(width), Math.round(height)];
    const context = canvas.getContext("2d");
    context.resetTransform();
    if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
    else context.clearRect(0, 0, across, down);
    return context;
  }

  function showSizes({ sizes }) {
    const canvas = find("canvas.sizes");
    const [context, width, height] = sharp(canvas);
    if (!width) return;
    const text = getComputedStyle(root).color;
    context.fillStyle = text;
    context.font = "11px system-ui, sans-serif";
    if (!sizes) {
      say(find(".median"), "Fewer than two particles count.");
      return;
    }
    const { edges: bounds, counts, median, unit } = sizes;
    const [left, right, top, bottom] = [6, width - 6, 14, height - 30];
    const [low, high] = [bounds[0], bounds[bounds.length - 1]];
    const x = (value) => left + ((value - low) / (high - low || 1)) * (right - left);
    const tallest = Math.max(...counts, 1e-9);
    context.fillStyle = colours.counted;
    counts.forEach((count, i) => {
      const tall = (count / tallest) * (bottom - top);
      context.fillRect(x(bounds[i]) + 0.5, bottom - tall, Math.max(x(bounds[i + 1]) - x(bounds[i]) - 1, 1), tall);
    });
    context.strokeStyle = context.fillStyle = text;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(left, bottom + 0.5);
    context.lineTo(right, bottom + 0.5);
    context.stroke();
    context.beginPath(); // the median with its interval
    if (median[1] !== null) {
      context.moveTo(x(median[1]), 7);
      context.lineTo(x(median[2]), 7);
    }
    context.stroke();
    context.beginPath();
    context.arc(x(median[0]), 7, 3, 0, 7);
    context.fill();
    context.textAlign = "left";
    context.fillText(short(low), left, bottom + 13);
    context.textAlign = "right";
    context.fillText(short(high), right, bottom + 13);
    context.textAlign = "center";
    context.fillText(`${sizes.what} [${unit}]`, width / 2, bottom + 26);
    const interval = median[1] === null ? "" : ` (${100 * sizes.confidence} %: ${short(median[1])} to ${short(median[2])})`;
    const said = `${sizes.n} counted, median ${short(median[0])}${interval}, mean ${short(sizes.mean)} ${unit}`;
    say(find(".median"), said);
    canvas.setAttribute("aria-label", said);
  }

  // ---- filters: two sliders over a histogram each

  const nameOf = (column) => {
    const unit = column.match(/_(nm2?|px2?)$/);
    return column.replace(/_(nm2?|px2?)$/, "").replaceAll("_", " ") + (unit ? ` [${unit[1]}]` : "");
  };

  function showFilters(now) {
    const columns = [...rows().columns.keys()];
    if (all(".filter").map((each) => each.dataset.column).join() !== columns.join()) {
      for (const canvas of all(".filter canvas")) watcher.unobserve(canvas);
      find(".filters").replaceChildren(...columns.map(makeFilter));
      for (const canvas of all(".filter canvas")) watcher.observe(canvas);
    }
    for (const each of all(".filter")) {
      const { column } = each.dataset;
      const [low, high] = rows().range(column);
      const bounds = now.filters[column] ?? [null, null];
      const step = (value) => Math.round((STEPS * (value - low)) / (high - low || 1));
      const [from, to] = each.querySelectorAll("input");
      if (!waiting && document.activeElement?.dataset?.moving !== "true") {
        from.value = bounds[0] === null ? 0 : step(bounds[0]);
        to.value = bounds[1] === null ? STEPS : step(bounds[1]);
      }
      each.classList.toggle("set", column in now.filters);
      const outside = now.counts.filters[column]?.outside;
      const said = column in now.filters ? `${short(bounds[0] ?? low)}–${short(bounds[1] ?? high)}: ${outside} outside` : "";
      say(each.querySelector(".bounds"), said);
      from.setAttribute("aria-valuetext", bounds[0] === null ? "no bound" : short(bounds[0]));
      to.setAttribute("aria-valuetext", bounds[1] === null ? "no bound" : short(bounds[1]));
      drawBars(each.querySelector("canvas"), column, bounds);
    }
  }

  function makeFilter(column) {
    const each = document.createElement("div");
    each.className = "filter";
    each.dataset.column = column;
    each.innerHTML = `<div class="head"><span class="what"></span><span class="bounds quiet"></span></div>
      <div class="slider"><canvas></canvas><input type="range" min="0" max="${STEPS}" value="0">
      <input type="range" min="0" max="${STEPS}" value="${STEPS}"></div>`;
    each.querySelector(".what").textContent = nameOf(column);
    const [from, to] = each.querySelectorAll("input");
    from.setAttribute("aria-label", `least ${nameOf(column)}`);
    to.setAttribute("aria-label", `greatest ${nameOf(column)}`);
    for (const input of [from, to]) {
      input.addEventListener("pointerdown", () => {
        drag += 1;
        input.dataset.moving = "true";
      });
      input.addEventListener("keydown", () => {
        if (waiting === null && document.activeElement === input && input.dataset.keys !== "true") drag += 1;
        input.dataset.keys = "true";
      });
      for (const end of ["blur", "change"])
        input.addEventListener(end, () => {
          input.dataset.moving = "false";
          if (end === "blur") input.dataset.keys = "false";
        });
      input.addEventListener("input", () => {
        if (input === from) from.value = Math.min(from.value, to.value);
        else to.value = Math.max(from.value, to.value);
        const [low, high] = rows().range(column);
        const valueAt = (step, side) => {
          const value = low + (step / STEPS) * (high - low); // rounded outwards: what lies on a bound counts
          return Number((value + side * 1e-5 * Math.abs(value)).toPrecision(7));
        };
        const bounds = [
          Number(from.value) === 0 ? null : valueAt(from.value, -1),
          Number(to.value) === STEPS ? null : valueAt(to.value, 1),
        ];
        waiting = { do: "filter", column, bounds, drag, index: state().index };
        if (line.upToDate()) sendFilter();
      });
    }
    each.addEventListener("dblclick", () => {
      drag += 1;
      waiting = null;
      send({ do: "filter", column, bounds: [null, null], drag, index: state().index });
    });
    return each;
  }

  function sendFilter() {
    const message = waiting;
    waiting = null;
    line.send(message);
  }

  function drawBars(canvas, column, bounds) {
    const [context, width, height] = sharp(canvas);
    if (!width) return;
    const [low, high] = rows().range(column);
    const bins = 40;
    const [every, counted] = [new Array(bins).fill(0), new Array(bins).fill(0)];
    rows().columns.get(column).forEach((value, row) => {
      if (Number.isNaN(value)) return;
      const bin = Math.min(bins - 1, Math.floor(((value - low) / (high - low || 1)) * bins));
      every[bin] += 1;
      if (fates()[row] === 0) counted[bin] += 1;
    });
    const tallest = Math.max(...every, 1);
    const [start, span] = [7, width - 14]; // the sliders' thumbs reach so far
    for (const [values, colour] of [
      [every, "#9998"],
      [counted, colours.counted],
    ]) {
      context.fillStyle = colour;
      values.forEach((value, bin) => {
        const tall = value ? Math.max((value / tallest) * (height - 2), 1.5) : 0;
        context.fillRect(start + (bin / bins) * span, height - tall, span / bins - 0.5, tall);
      });
    }
    context.fillStyle = "#8884";
    const x = (value) => start + ((value - low) / (high - low || 1)) * span;
    if (bounds[0] !== null) context.fillRect(0, 0, x(bounds[0]), height);
    if (bounds[1] !== null) context.fillRect(x(bounds[1]), 0, width - x(bounds[1]), height);
  }

  // ---- the row of the particle under the cursor

  function numberAt([x, y]) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= picture.width || row >= picture.height) return 0;
    return numbers[row * picture.width + column] ?? 0;
  }

  function showRow() {
    const [row, of] = [rows().rowOf.get(hovered), (name) => state()[name].words[state()[name].of.getUint8(row)]];
    const there = row !== undefined;
    const why = there ? of("why").replaceAll("_", " ") : "";
    const cells = [["particle", there ? hovered : "point at one"]];
    for (const [column, values] of rows().columns) cells.push([nameOf(column), there ? short(values[row]) : "–"]);
    cells.push(["by hand", (there && of("by_hand")) || "–"], ["counts", there ? (why ? `no: ${why}` : "yes") : "–"]);
    const table = find(".row-of");
    while (table.rows.length > cells.length) table.deleteRow(-1);
    cells.forEach((texts, i) => {
      const line = table.rows[i] ?? table.insertRow();
      texts.forEach((text, j) => say(line.cells[j] ?? line.insertCell(), text));
    });
  }

  // ---- drawing over the picture

  function onPicture(canvas, ratio) {
    if (!room.width || !rows().numbers) return null;
    const context = cleared(canvas, room.width * ratio, room.height * ratio);
    context.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, ratio * view.x, ratio * view.y);
    context.lineJoin = context.lineCap = "round";
    return context;
  }

  function draw() {
    const context = onPicture(over, window.devicePixelRatio || 1);
    if (!context) return;
    const pixel = 1 / view.scale; // of the screen
    if (hovered && rows().rowOf.has(hovered)) {
      const outline = outlineOf(hovered);
      for (const [colour, wide] of [["#fff", 3], [colours[FATES[fates()[rows().rowOf.get(hovered)]]], 1.7]]) {
        context.strokeStyle = colour;
        context.lineWidth = wide * pixel;
        context.stroke(outline);
      }
    }
    drawTool(context, pixel);
  }

  function drawSoon() {
    soon ||= requestAnimationFrame(drawOutlines);
  }

  // At each point of the screen the particle there is looked up, however many there are.
  function drawOutlines() {
    cancelAnimationFrame(soon);
    soon = 0;
    const ratio = window.devicePixelRatio || 1;
    const fine = ratio * (ratio < 1.5 ? 2 : 1); // two points for each pixel, which smooths
    const context = onPicture(rings, fine);
    if (!context || !numbers.length) return;
    if (outlines) {
      context.putImageData(new ImageData(ringed(rings.width, rings.height, fine), rings.width), 0, 0);
      drawSigns(context, 1 / view.scale);
    }
    if (names) drawNames(context);
  }

  // Which points of the screen are whose rim stays while neither labels nor view change; colours do.
  function ringed(width, height, fine) {
    const key = [version, width, height, fine, view.x, view.y, view.scale].join();
    if (rim?.key !== key) rim = { key, ...rimOf(width, height, fine) };
    const { points, owners, colour } = rim;
    for (let i = 0; i < points.length; i++) colour[points[i]] = inks[owners[i]];
    return new Uint8ClampedArray(colour.buffer);
  }

  function rimOf(width, height, fine) {
    const [wide, halo] = [Math.round(WIDE * fine), Math.round(0.4 * fine)];
    const across = picture.width;
    const source = (at, start, edge) => {
      const pixel = Math.floor(((at + 0.5) / fine - start) / view.scale);
      return pixel >= 0 && pixel < edge ? pixel : -1;
    };
    const columns = Int32Array.from({ length: width + 2 * wide }, (_, at) => source(at - wide, view.x, across));
    const lines = Array.from({ length: 2 * wide + 1 }, () => new Int32Array(columns.length));
    const lineAt = (y) => lines[(y + lines.length) % lines.length];
    const read = (y) => {
      const [into, row] = [lineAt(y), source(y, view.y, picture.height) * across];
      if (row < 0) into.fill(0);
      else for (let at = 0; at < into.length; at++) into[at] = columns[at] < 0 ? 0 : numbers[row + columns[at]];
    };
    const colour = new Uint32Array(width * height);
    const points = new Uint32Array(colour.length);
    const owners = new Uint32Array(colour.length);
    let count = 0;
    for (let y = -wide; y < wide; y++) read(y);
    for (let y = 0; y < height; y++) {
      read(y + wide);
      const [here, above, below] = [0, -wide, wide].map((far) => lineAt(y + far));
      const [over, under] = [-halo, halo].map((far) => lineAt(y + far));
      for (let at = wide, put = y * width; put < (y + 1) * width; at++, put++) {
        const number = here[at];
        if (number === 0) {
          if (over[at] || under[at] || here[at - halo] || here[at + halo]) colour[put] = 0x90000000;
        } else if (
          above[at] !== number ||
          below[at] !== number ||
          here[at - wide] !== number ||
          here[at + wide] !== number
        ) {
          points[count] = put;
          owners[count++] = number;
        }
      }
    }
    return { points: points.slice(0, count), owners: owners.slice(0, count), colour };
  }

  // Colour is not all that tells what is left out: a bar by a filter, a cross by hand.
  function drawSigns(context, pixel) {
    const { x, y } = rows();
    const r = 4 * pixel;
    for (const fate of [2, 3]) {
      const sign = new Path2D();
      inSight().forEach((row) => {
        if (fates()[row] !== fate) return;
        const ends = fate === 2 ? [[-r, 0, r, 0]] : [[-r, -r, r, r], [-r, r, r, -r]];
        for (const [x0, y0, x1, y1] of ends) {
          sign.moveTo(x[row] + x0, y[row] + y0);
          sign.lineTo(x[row] + x1, y[row] + y1);
        }
      });
      for (const [colour, wide] of [["#000a", 4], [colours[FATES[fate]], 2]]) {
        context.strokeStyle = colour;
        context.lineWidth = wide * pixel;
        context.stroke(sign);
      }
    }
  }

  // The rows of the particles whose centre is on the screen.
  function inSight() {
    const { x, y } = rows();
    const within = (at, start, length) => at * view.scale + start > -9 && at * view.scale + start < length + 9;
    return [...x.keys()].filter((row) => within(x[row], view.x, room.width) && within(y[row], view.y, room.height));
  }

  function drawNames(context) {
    const { numbers: of, x, y } = rows();
    context.font = `${11 / view.scale}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 3 / view.scale;
    context.strokeStyle = "#000b";
    context.fillStyle = "#fff";
    for (const row of inSight()) {
      context.strokeText(of[row], x[row], y[row]);
      context.fillText(of[row], x[row], y[row]);
    }
  }

  function drawTool(context, pixel) {
    context.strokeStyle = colours.tool;
    context.lineWidth = (tool === "add" ? Math.max(size, 1.5) : 2 * pixel) || 1;
    if (stroke) {
      context.globalAlpha = tool === "add" ? 0.5 : 1;
      context.beginPath();
      if (tool === "box") context.rect(...stroke[0], ...stroke.at(-1).map((value, i) => value - stroke[0][i]));
      else if (tool === "split") [stroke[0], stroke.at(-1)].forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      else {
        stroke.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
        if (stroke.length === 1) context.lineTo(...stroke[0]);
      }
      context.stroke();
      context.globalAlpha = 1;
    }
    if (!cursor || tool === "pan" || (tool !== "add" && !byKeys)) return;
    context.lineWidth = 1.5 * pixel;
    context.beginPath();
    if (tool === "add") context.arc(...cursor, Math.max(size / 2, 1), 0, 7);
    if (byKeys) {
      const [[x, y], r] = [cursor, 9 * pixel];
      context.moveTo(x - r, y);
      context.lineTo(x + r, y);
      context.moveTo(x, y - r);
      context.lineTo(x, y + r);
    }
    context.stroke();
  }

  // ---- tools

  function pointTo(point, keys = false) {
    [cursor, byKeys] = [point, keys];
    const number = point ? numberAt(point) : 0;
    if (number !== hovered) {
      hovered = number;
      showRow();
    }
    draw();
  }

  function begin(point) {
    stroke = [point];
  }

  function follow(point) {
    if (FREE.includes(tool) || stroke.length === 1) stroke.push(point);
    else stroke[1] = point;
  }

  function finish() {
    const points = stroke;
    stroke = null;
    const [first, last] = [points[0], points.at(-1)];
    const moved = Math.hypot(last[0] - first[0], last[1] - first[1]) * view.scale > 3 || points.length > 6;
    const number = numberAt(first);
    if (tool === "click" || (!moved && ["lasso", "box"].includes(tool))) {
      if (number) send({ do: "turn", particles: [number] });
    } else if (tool === "remove") {
      if (number) send({ do: "remove", particles: [number] });
    } else if (tool === "lasso" && points.length > 2) send({ do: "lasso", points });
    else if (tool === "box") {
      send({ do: "lasso", points: [first, [last[0], first[1]], last, [first[0], last[1]]] });
    } else if (tool === "split" && moved) send({ do: "split", points: [first, last] });
    else if (tool === "merge") send({ do: "merge", particles: touched(points) });
    else if (tool === "add" && !moved && state().sees) send({ do: "add seen", point: first });
    else if (tool === "add") send({ do: "add", points, size });
    draw();
  }

  function touched(points) {
    const found = new Set();
    points.forEach(([x, y], i) => {
      const [u, v] = points[Math.max(i - 1, 0)];
      const steps = Math.ceil(Math.hypot(x - u, y - v)) || 1;
      for (let step = 0; step <= steps; step++) found.add(numberAt([u + ((x - u) * step) / steps, v + ((y - v) * step) / steps]));
    });
    found.delete(0);
    return [...found];
  }

  function down(event) {
    const takes = event.button === 1 || tool === "pan" || space;
    if (!takes && event.button !== 0) return false;
    if (takes) scene.take(event);
    else begin(pointOf(event));
    pointTo(pointOf(event));
    return true;
  }

  function move(event) {
    if (scene.held()) scene.move(event);
    else if (stroke) for (const each of event.getCoalescedEvents?.() ?? [event]) follow(pointOf(each));
    pointTo(pointOf(event));
  }

  function up() {
    scene.letGo();
    if (stroke) finish();
  }

  listenToPointer(stage, down, move, up);
  stage.addEventListener("pointerleave", () => {
    if (!stroke && !byKeys) pointTo(null);
  });

  // ---- buttons and keys

  function choose(name) {
    tool = name;
    stroke = null;
    stage.dataset.tool = name;
    stage.classList.toggle("pan", tool === "pan");
    find(".brush").hidden = tool !== "add";
    for (const button of all("button[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === tool);
    draw();
  }

  function setSize(value) {
    size = Math.min(Math.max(Math.round(value), 1), brush.largest);
    find(".size").value = Math.sqrt(size / brush.largest);
    find(".size + .value").textContent = `${size} px`;
    draw();
  }

  function toggle(name) {
    if (name === "outlines") outlines = !outlines;
    else names = !names;
    find(`button[data-do=${name}]`).setAttribute("aria-pressed", name === "outlines" ? outlines : names);
    drawOutlines();
  }

  // The cursor of the keys: from particle to particle, or by pixels of the screen.
  function jump(step) {
    const { numbers: of, x, y } = rows();
    if (!of.length) return;
    const here = rows().rowOf.get(hovered);
    const row = here === undefined ? (step > 0 ? 0 : of.length - 1) : (here + step + of.length) % of.length;
    cursor = [x[row], y[row]];
    keepInSight();
    pointTo(cursor, true);
    hovered = of[row];
    showRow();
    draw();
  }

  function go(dx, dy, far) {
    const way = (far ? 12 : 2) / Math.min(view.scale, 2);
    const [x, y] = cursor ?? [picture.width / 2, picture.height / 2];
    const within = (value, most) => Math.min(Math.max(value, 0.5), most - 0.5);
    cursor = [within(x + dx * way, picture.width), within(y + dy * way, picture.height)];
    if (stroke) follow(cursor);
    keepInSight();
    pointTo(cursor, true);
  }

  function keepInSight() {
    const [x, y] = [view.x + cursor[0] * view.scale, view.y + cursor[1] * view.scale];
    if (x > 0 && y > 0 && x < room.width && y < room.height) return;
    view.x += room.width / 2 - x;
    view.y += room.height / 2 - y;
    scene.place();
  }

  function press() {
    if (!cursor) return;
    if (tool === "click" || tool === "remove") {
      if (hovered) send({ do: tool === "click" ? "turn" : "remove", particles: [hovered] });
    } else if (stroke) finish();
    else if (tool !== "pan") begin(cursor);
    draw();
  }

  const zoomBy = (factor) => scene.zoom(factor, room.width / 2, room.height / 2);
  const actions = {
    undo: () => send({ do: "undo" }),
    redo: () => send({ do: "redo" }),
    previous: () => send({ do: "go", step: -1 }),
    next: () => send({ do: "go", step: 1 }),
    outlines: () => toggle("outlines"),
    names: () => toggle("names"),
    fit,
  };
  const toTool = (name) => () => choose(name);
  const keys = {
    c: toTool("click"),
    l: toTool("lasso"),
    b: toTool("box"),
    s: toTool("split"),
    m: toTool("merge"),
    x: toTool("remove"),
    a: toTool("add"),
    h: toTool("pan"),
    "[": () => setSize(Math.min(size / 1.25, size - 1)),
    "]": () => setSize(Math.max(size * 1.25, size + 1)),
    z: actions.undo,
    y: actions.redo,
    Z: actions.redo,
    o: actions.outlines,
    n: actions.names,
    f: fit,
    "+": () => zoomBy(1.25),
    "-": () => zoomBy(0.8),
    "<": () => jump(-1),
    ">": () => jump(1),
    ",": () => jump(-1),
    ".": () => jump(1),
    ArrowLeft: (event) => go(-1, 0, event.shiftKey),
    ArrowRight: (event) => go(1, 0, event.shiftKey),
    ArrowUp: (event) => go(0, -1, event.shiftKey),
    ArrowDown: (event) => go(0, 1, event.shiftKey),
    Enter: press,
    Escape() {
      stroke = null;
      draw();
    },
    PageUp: actions.previous,
    PageDown: actions.next,
  };
  const ofControls = ["Arrow", "Enter", "Page", "Home", "End", " "];
  listenToKeys(
    root,
    keys,
    (down) => (space = down),
    ({ target, key }) => target.matches("input, button") && ofControls.some((name) => key.startsWith(name)),
  );
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.tool) choose(button.dataset.tool);
    else actions[button.dataset.do]();
    if (event.detail) stage.focus({ preventScroll: true }); // of a mouse; the keys stay where they are
  });
  find(".size").addEventListener("input", (event) => setSize(event.target.value ** 2 * brush.largest));

  const traits = ["_image", "_labels", "_patch", "_rows", "_state"].map((name) => `change:${name}`);
  model.on("change:_patch", patched);
  for (const trait of traits) model.on(trait, changed);
  watcher.observe(find("canvas.sizes"));
  for (const swatch of all(".swatch")) swatch.style.borderColor = swatch.style.color = colours[swatch.dataset.fate];
  choose("click");
  setSize(size);
  scene.look();
  patched();
  changed();

  return () => {
    model.off("change:_patch", patched);
    scene.stop();
    watcher.disconnect();
    for (const trait of traits) model.off(trait, changed);
  };
}

export default { render };
