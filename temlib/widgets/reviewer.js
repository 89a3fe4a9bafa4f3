// The front end of temlib.ParticleReviewer: outlines on a micrograph, tools that change particles, filters, sizes.
// What is done goes to Python, which answers with what becomes of each particle. stage.js comes before this file.
//
// From Python, as traits:   _image, _labels (png files; a particle's number in 24 bits), _rows (what is measured),
//                           _state (what becomes of each; see reviewer.py), _colours, _brush (strokes.py).
// To Python, as messages:   {do: "turn" | "lasso" | "split" | "merge" | "remove" | "add" | "add seen" | "filter" |
//                            "undo" | "redo" | "go", ...}.

const FATES = ["counted", "cut", "filtered", "out"];
const WORDS = ["counted", "cut by the frame", "left out by a filter", "left out by hand"];
const STEPS = 400; // of a filter's slider
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
      <canvas class="over"></canvas>
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
  </div>
  <div class="side">
    <div class="legend"></div>
    <canvas class="sizes" role="img"></canvas>
    <div class="median" role="status"></div>
    <div class="hands quiet"></div>
    <div class="filters"></div>
    <table class="row-of"><tbody></tbody></table>
  </div>
</div>
<div class="quiet keys">Keys: C out or in, L lasso, B box, S split, M merge, X remove, A add, [ ] size, Z undo, Y redo,
  O outlines, N numbers, F fit, H move; wheel or + −: zoom. Without a mouse: Tab to the picture, &lt; &gt; from particle to
  particle, arrows move the cursor (Shift: further), Enter begins and ends, Esc leaves off. <span class="saved"></span></div>
`;

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "temlib-painter temlib-reviewer";
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab keeps its own keys to itself
  root.innerHTML = PAGE;
  el.append(root);
  const find = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const scene = makeStage(root, () => draw());
  const { stage, picture, view, fit, pointOf } = scene;
  const over = find("canvas.over");
  const colours = model.get("_colours");
  const line = makeLine(model, root);
  const brush = model.get("_brush");
  const state = () => model.get("_state");
  const rows = () => model.get("_rows");

  let tool = "click";
  let size = Math.max(brush.size, 12);
  let numbers = new Int32Array(0); // of the particle at each pixel
  let edges = new Map(); // by particle: lines around it, x0 y0 x1 y1 each
  let rowOf = new Map(); // by particle: its row
  let paths = []; // by fate: all outlines
  let stroke = null; // points so far
  let cursor = null; // of the mouse or the keys
  let byKeys = false;
  let hovered = 0;
  let [outlines, names] = [true, false];
  let space = false;
  let [shownImage, shownLabels] = [null, null];
  let drag = 0; // number of the movement of a slider
  let waiting = null; // the last position of a slider, until Python has answered

  // ---- from Python

  const changed = onceFor(refresh);

  async function refresh() {
    const now = state();
    if (!now.name) return;
    const [image, labels] = [model.get("_image"), model.get("_labels")];
    const [grey, found] = await Promise.all([
      image === shownImage ? null : decode(image),
      labels === shownLabels ? null : decode(labels),
    ]);
    if (now !== state()) return; // overtaken
    if (grey) {
      shownImage = image;
      [picture.width, picture.height] = [now.width, now.height];
      picture.getContext("2d").drawImage(grey.bitmap, 0, 0);
      stroke = null;
      fit();
    }
    if (found) {
      shownLabels = labels;
      numbers = found.numbers();
      traceEdges(now.width, now.height);
      hovered = cursor ? numberAt(cursor) : 0;
    }
    rowOf = new Map(rows().numbers.map((number, row) => [number, row]));
    gatherPaths(now);
    showState(now);
    draw();
    if (waiting && line.upToDate()) sendFilter();
  }

  // Lines between pixels of different particles, joined where they go straight on.
  function traceEdges(width, height) {
    edges = new Map();
    const put = (number, ...ends) => {
      if (!edges.has(number)) edges.set(number, []);
      edges.get(number).push(...ends);
    };
    const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : numbers[y * width + x]);
    for (const side of [-1, 1]) {
      for (let y = 0; y < height; y++) {
        let [from, of] = [0, 0];
        for (let x = 0; x <= width; x++) {
          const here = x < width ? at(x, y) : 0;
          const owner = here && at(x, y + side) !== here ? here : 0;
          if (owner === of) continue;
          const level = side < 0 ? y : y + 1;
          if (of) put(of, from, level, x, level);
          [from, of] = [x, owner];
        }
      }
      for (let x = 0; x < width; x++) {
        let [from, of] = [0, 0];
        for (let y = 0; y <= height; y++) {
          const here = y < height ? at(x, y) : 0;
          const owner = here && at(x + side, y) !== here ? here : 0;
          if (owner === of) continue;
          const level = side < 0 ? x : x + 1;
          if (of) put(of, level, from, level, y);
          [from, of] = [y, owner];
        }
      }
    }
  }

  function outlineOf(number, path = new Path2D()) {
    const ends = edges.get(number) ?? [];
    for (let i = 0; i < ends.length; i += 4) {
      path.moveTo(ends[i], ends[i + 1]);
      path.lineTo(ends[i + 2], ends[i + 3]);
    }
    return path;
  }

  function gatherPaths({ fates }) {
    paths = FATES.map(() => new Path2D());
    rows().numbers.forEach((number, row) => outlineOf(number, paths[fates[row]]));
  }

  function showState(now) {
    find(".name").textContent = now.name;
    find(".place").textContent = now.count > 1 ? `${now.index + 1} of ${now.count}` : "";
    for (const name of ["previous", "next"]) find(`button[data-do=${name}]`).hidden = now.count < 2;
    find("button[data-do=undo]").disabled = !now.n_edits;
    find("button[data-do=redo]").disabled = !now.n_undone;
    find(".message").textContent = now.message;
    find(".message").classList.toggle("wrong", now.message !== "");
    find(".saved").textContent = `Saved in ${now.folder}.`;
    showLegend(now);
    showSizes(now);
    showFilters(now);
    showRow();
    stage.dataset.answered = now.answered[1];
    stage.dataset.counted = now.counts.counted;
    line.showBusy();
  }

  function showLegend({ counts }) {
    const of = [counts.counted, counts.cut_by_frame, counts.filtered, counts.taken_out];
    find(".legend").replaceChildren(
      ...FATES.map((fate, i) => {
        const entry = document.createElement("span");
        entry.className = "entry";
        entry.innerHTML = `<span class="swatch"></span><b></b> <span></span>`;
        entry.querySelector(".swatch").style.borderColor = colours[fate];
        entry.querySelector(".swatch").textContent = ["", "", "−", "×"][i];
        entry.querySelector(".swatch").style.color = colours[fate];
        entry.querySelector("b").textContent = of[i];
        entry.lastChild.textContent = WORDS[i];
        return entry;
      }),
    );
    const said = [`${counts.found} found`];
    for (const [name, words] of [
      ["added", "added"],
      ["split", "more by splitting"],
      ["merged", "fewer by merging"],
      ["removed", "removed"],
    ])
      if (counts[name]) said.push(`${counts[name]} ${words}`);
    find(".hands").textContent = said.join(", ");
  }

  const short = (value) => (value === null ? "?" : String(Number(value.toPrecision(3))));

  function sharp(canvas, width, height) {
    const ratio = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    return context;
  }

  function showSizes({ sizes }) {
    const canvas = find("canvas.sizes");
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    const context = sharp(canvas, width, height);
    const text = getComputedStyle(root).color;
    context.fillStyle = text;
    context.font = "11px system-ui, sans-serif";
    if (!sizes) {
      find(".median").textContent = "Fewer than two particles count.";
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
    find(".median").textContent = said;
    canvas.setAttribute("aria-label", said);
  }

  // ---- filters: two sliders over a histogram each

  const nameOf = (column) => {
    const unit = column.match(/_(nm2?|px2?)$/);
    return column.replace(/_(nm2?|px2?)$/, "").replaceAll("_", " ") + (unit ? ` [${unit[1]}]` : "");
  };

  function rangeOf(column) {
    const known = rows().columns[column].filter((value) => value !== null);
    const [low, high] = known.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    return known.length ? [low, high] : [0, 1];
  }

  function showFilters(now) {
    const columns = Object.keys(rows().columns);
    if (all(".filter").map((each) => each.dataset.column).join() !== columns.join())
      find(".filters").replaceChildren(...columns.map(makeFilter));
    for (const each of all(".filter")) {
      const { column } = each.dataset;
      const [low, high] = rangeOf(column);
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
      each.querySelector(".bounds").textContent = said;
      from.setAttribute("aria-valuetext", bounds[0] === null ? "no bound" : short(bounds[0]));
      to.setAttribute("aria-valuetext", bounds[1] === null ? "no bound" : short(bounds[1]));
      drawBars(each.querySelector("canvas"), column, now, bounds);
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
        const [low, high] = rangeOf(column);
        const valueAt = (step, side) => {
          const value = low + (step / STEPS) * (high - low); // rounded outwards: what lies on a bound counts
          return Number((value + side * 1e-5 * Math.abs(value)).toPrecision(7));
        };
        const bounds = [
          Number(from.value) === 0 ? null : valueAt(from.value, -1),
          Number(to.value) === STEPS ? null : valueAt(to.value, 1),
        ];
        waiting = { do: "filter", column, bounds, drag };
        if (line.upToDate()) sendFilter();
      });
    }
    each.addEventListener("dblclick", () => {
      drag += 1;
      line.send({ do: "filter", column, bounds: [null, null], drag });
    });
    return each;
  }

  function sendFilter() {
    const message = waiting;
    waiting = null;
    line.send(message);
  }

  function drawBars(canvas, column, now, bounds) {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    const context = sharp(canvas, width, height);
    const [low, high] = rangeOf(column);
    const bins = 40;
    const [every, counted] = [new Array(bins).fill(0), new Array(bins).fill(0)];
    rows().columns[column].forEach((value, row) => {
      if (value === null) return;
      const bin = Math.min(bins - 1, Math.floor(((value - low) / (high - low || 1)) * bins));
      every[bin] += 1;
      if (now.fates[row] === 0) counted[bin] += 1;
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
    const row = rowOf.get(hovered);
    const body = find(".row-of tbody");
    if (row === undefined) {
      body.innerHTML = `<tr><td class="quiet">Point at a particle to see its row.</td></tr>`;
      return;
    }
    const now = state();
    const cells = [["particle", hovered]];
    for (const [column, values] of Object.entries(rows().columns)) cells.push([nameOf(column), short(values[row])]);
    if (now.by_hand[row]) cells.push(["by hand", now.by_hand[row]]);
    cells.push(["counts", now.why[row] ? `no: ${now.why[row].replaceAll("_", " ")}` : "yes"]);
    body.replaceChildren(
      ...cells.map(([name, value]) => {
        const line = document.createElement("tr");
        for (const text of [name, value]) line.insertCell().textContent = text;
        return line;
      }),
    );
  }

  // ---- drawing over the picture

  function draw() {
    const { clientWidth: width, clientHeight: height } = stage;
    if (!width || !rows().numbers) return;
    const context = sharp(over, width, height);
    context.translate(view.x, view.y);
    context.scale(view.scale, view.scale);
    const pixel = 1 / view.scale; // of the screen
    context.lineJoin = context.lineCap = "round";
    if (outlines) {
      for (const [colour, wide] of [["#0008", 3], [null, 1.7]])
        paths.forEach((path, fate) => {
          context.strokeStyle = colour ?? colours[FATES[fate]];
          context.lineWidth = wide * pixel;
          context.stroke(path);
        });
      drawSigns(context, pixel);
    }
    if (hovered && rowOf.has(hovered)) {
      context.strokeStyle = "#fff";
      context.lineWidth = 3 * pixel;
      context.stroke(outlineOf(hovered));
      context.strokeStyle = colours[FATES[state().fates[rowOf.get(hovered)]]];
      context.lineWidth = 1.7 * pixel;
      context.stroke(outlineOf(hovered));
    }
    if (names) drawNames(context);
    drawTool(context, pixel);
  }

  // Colour is not all that tells what is left out: a bar by a filter, a cross by hand.
  function drawSigns(context, pixel) {
    const { fates } = state();
    const { x, y } = rows();
    const r = 4 * pixel;
    fates.forEach((fate, row) => {
      if (fate < 2) return;
      context.beginPath();
      if (fate === 2) {
        context.moveTo(x[row] - r, y[row]);
        context.lineTo(x[row] + r, y[row]);
      } else {
        context.moveTo(x[row] - r, y[row] - r);
        context.lineTo(x[row] + r, y[row] + r);
        context.moveTo(x[row] - r, y[row] + r);
        context.lineTo(x[row] + r, y[row] - r);
      }
      for (const [colour, wide] of [["#000a", 4], [colours[FATES[fate]], 2]]) {
        context.strokeStyle = colour;
        context.lineWidth = wide * pixel;
        context.stroke();
      }
    });
  }

  function drawNames(context) {
    const { numbers: of, x, y } = rows();
    context.font = `${11 / view.scale}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 3 / view.scale;
    context.strokeStyle = "#000b";
    context.fillStyle = "#fff";
    of.forEach((number, row) => {
      context.strokeText(number, x[row], y[row]);
      context.fillText(number, x[row], y[row]);
    });
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
      if (number) line.send({ do: "turn", particles: [number] });
    } else if (tool === "remove") {
      if (number) line.send({ do: "remove", particles: [number] });
    } else if (tool === "lasso" && points.length > 2) line.send({ do: "lasso", points });
    else if (tool === "box") {
      line.send({ do: "lasso", points: [first, [last[0], first[1]], last, [first[0], last[1]]] });
    } else if (tool === "split" && moved) line.send({ do: "split", points: [first, last] });
    else if (tool === "merge") line.send({ do: "merge", particles: touched(points) });
    else if (tool === "add" && !moved && state().sees) line.send({ do: "add seen", point: first });
    else if (tool === "add") line.send({ do: "add", points, size });
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

  stage.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    stage.focus({ preventScroll: true });
    if (event.button === 1 || tool === "pan" || space) scene.take(event);
    else if (event.button !== 0) return;
    else begin(pointOf(event));
    stage.setPointerCapture(event.pointerId);
    pointTo(pointOf(event));
  });
  stage.addEventListener("pointermove", (event) => {
    if (scene.held()) scene.move(event);
    else if (stroke) for (const each of event.getCoalescedEvents?.() ?? [event]) follow(pointOf(each));
    pointTo(pointOf(event));
  });
  for (const end of ["pointerup", "pointercancel"])
    stage.addEventListener(end, () => {
      scene.letGo();
      if (stroke) finish();
    });
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
    draw();
  }

  // The cursor of the keys: from particle to particle, or by pixels of the screen.
  function jump(step) {
    const { numbers: of, x, y } = rows();
    if (!of.length) return;
    const here = rowOf.get(hovered);
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
    const { clientWidth, clientHeight } = stage;
    if (x > 0 && y > 0 && x < clientWidth && y < clientHeight) return;
    view.x += clientWidth / 2 - x;
    view.y += clientHeight / 2 - y;
    scene.place();
  }

  function press() {
    if (!cursor) return;
    if (tool === "click" || tool === "remove") {
      if (hovered) line.send({ do: tool === "click" ? "turn" : "remove", particles: [hovered] });
    } else if (stroke) finish();
    else if (tool !== "pan") begin(cursor);
    draw();
  }

  const zoomBy = (factor) => scene.zoom(factor, stage.clientWidth / 2, stage.clientHeight / 2);
  const actions = {
    undo: () => line.send({ do: "undo" }),
    redo: () => line.send({ do: "redo" }),
    previous: () => line.send({ do: "go", step: -1 }),
    next: () => line.send({ do: "go", step: 1 }),
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

  const traits = ["_image", "_labels", "_rows", "_state"].map((name) => `change:${name}`);
  for (const trait of traits) model.on(trait, changed);
  const watcher = new ResizeObserver(() => state().name && rows().numbers && showState(state()));
  watcher.observe(find(".side"));
  choose("click");
  setSize(size);
  scene.look();
  refresh();

  return () => {
    scene.stop();
    watcher.disconnect();
    for (const trait of traits) model.off(trait, changed);
  };
}

export default { render };
