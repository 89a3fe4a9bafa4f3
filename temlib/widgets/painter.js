// The front end of temlib.LabelPainter: shows a micrograph, draws strokes as they are painted, and sends their
// coordinates to Python, which answers with the label. stage.js comes before it; nothing has to be built.
//
// From Python, as traits:   _image, _marks, _label (png files), _state (see painter.py), _colours, _brush (strokes.py).
// To Python, as messages:   {do: "stroke" | "undo" | "redo" | "learn" | "correct" | "accept" | "withdraw" | "go" |
//                            "scale bar", ...}, each with a serial number that comes back in _state.answered.

const VALUES = { particle: 2, background: 1, erase: 0 }; // in a scribble image

const CONTROLS = `
<div class="row">
  <span class="group" role="group" aria-label="tool">
    <button data-tool="brush" title="paint freely (B)">Brush</button>
    <button data-tool="line" title="draw a straight line (L)">Line</button>
    <button data-tool="pan" title="move the picture (H, or hold the space bar)">Move</button>
  </span>
  <span class="group" role="group" aria-label="class">
    <button data-kind="particle" title="particle (1)"><span class="swatch"></span>Particle</button>
    <button data-kind="background" title="background (2)"><span class="swatch"></span>Background</button>
    <button data-kind="erase" title="take strokes away (3)">Erase</button>
  </span>
  <label class="group" title="[ and ]">Size <input type="range" class="size" min="0" max="1" step="0.01">
    <span class="value"></span></label>
  <span class="group"><button data-do="undo" title="Z">Undo</button><button data-do="redo" title="Y">Redo</button></span>
  <span class="group right" role="group" aria-label="what strokes do">
    <button data-do="learn" title="a classifier learns from your strokes (M)">Learn</button>
    <button data-do="correct" title="your strokes correct the mask as it is (M)">Correct</button>
  </span>
</div>
<div class="stage" tabindex="0" aria-label="micrograph">
  <div class="layers"><canvas class="picture"></canvas><canvas class="label"></canvas><canvas class="marks"></canvas>
    <svg><polyline fill="none" stroke-linecap="round"/><g></g><circle fill="none"/></svg></div>
</div>
<div class="row">
  ${LOOKS}
  <label class="group" title="O hides and shows">Label <input type="range" class="opacity" min="0" max="1" step="0.05"
    value="0.8"></label>
  <button data-do="fit" title="see all of it (F)">Fit</button>
  <span class="group"><button data-tool="diameter" title="drag a line over one particle: masks to correct are of that size">
    Diameter</button> <span class="sought"></span></span>
  <span class="group"><button data-tool="scale bar" title="reads a burnt-in scale bar, where it can; or click both ends of it">Scale bar</button>
    <span class="ask" hidden><input type="number" min="0" step="any" aria-label="length of the scale bar">
      <select aria-label="unit"><option value="1">nm</option><option value="1000">µm</option></select>
      <button data-do="scale">Set</button></span>
    <span class="pixel"></span></span>
</div>
<div class="row">
  <span class="group"><button data-do="previous" title="←">◀</button><b class="name"></b>
    <button data-do="next" title="→">▶</button></span>
  <span class="count"></span>
  <button data-do="accept" title="write this label as done, and go to the next (A)"></button>
  <span class="right message" role="status"></span><span class="busy quiet" hidden>learning …</span>
</div>
<div class="quiet keys">Keys: B brush, L line, H move, 1 particle, 2 background, 3 erase, [ ] size, Z undo, Y redo,
  O label, F fit, M learn or correct, A accept, ← → micrograph; wheel: zoom. <span class="saved"></span></div>
`;

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "temlib-painter";
  root.innerHTML = CONTROLS;
  el.append(root);
  const find = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const scene = makeStage(root, placed);
  const { stage, picture, view, fit, pointOf } = scene;
  const [label, marks] = ["label", "marks"].map((name) => find(`canvas.${name}`));
  const [path, ends, cursor] = ["polyline", "g", "circle"].map((name) => find(`svg ${name}`));
  const colours = colouredBy(model);

  const line = makeLine(model, root);
  let tool = "brush";
  let kind = "particle";
  const brush = model.get("_brush"); // px: size at first, largest, thinnest
  let { size } = brush;
  let values = new Uint8Array(0); // the strokes drawn, as marks in Python
  let pixels = null; // the same as colours
  let stroke = null; // points so far
  let bar = []; // ends of the scale bar
  let space = false;
  let shown = null; // the bytes of the picture on the stage
  const state = () => model.get("_state");

  // ---- from Python

  const changed = onceFor(refresh);

  async function refresh() {
    const now = state();
    if (!now.name) return;
    const image = model.get("_image");
    const { width, height } = now;
    const [grey, drawn, found] = await Promise.all([
      image === shown ? null : decode(image),
      decode(model.get("_marks")),
      decode(model.get("_label")),
    ]);
    if (now !== state()) return; // overtaken
    if (grey) {
      shown = image;
      for (const canvas of [picture, label, marks]) [canvas.width, canvas.height] = [width, height];
      picture.getContext("2d").drawImage(grey.bitmap, 0, 0);
      pixels = marks.getContext("2d").createImageData(width, height);
      [stroke, bar] = [null, []];
      markBar();
      fit();
    }
    if ((!line.fromHere() || line.upToDate() || grey) && !stroke) {
      // else strokes are on the way that this answer does not know
      values = drawn.values();
      colourMarks(0, 0, width, height);
    }
    drawLabel(found.values(), width, height, colours[now.mode]);
    if (now.scale_bar && tool === "scale bar" && !bar.length) proposeBar(now.scale_bar);
    showState(now);
  }

  function drawLabel(mask, width, height, [r, g, b]) {
    const context = label.getContext("2d");
    const image = context.createImageData(width, height);
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (!mask[i]) continue;
        const inside = x && y && x < width - 1 && y < height - 1;
        const edge = inside && !(mask[i - 1] && mask[i + 1] && mask[i - width] && mask[i + width]);
        image.data.set([r, g, b, edge ? 255 : 85], 4 * i);
      }
    }
    context.putImageData(image, 0, 0);
  }

  function showState(now) {
    find(".name").textContent = now.name;
    find(".count").textContent = `${now.index + 1} of ${now.count}, ${now.n_accepted} accepted`;
    const accept = find("button[data-do=accept]");
    accept.textContent = now.accepted ? "✓ Accepted" : "Accept";
    accept.setAttribute("aria-pressed", now.accepted);
    find("button[data-do=undo]").disabled = !now.n_strokes;
    find("button[data-do=redo]").disabled = !now.n_undone;
    for (const name of ["learn", "correct"]) find(`button[data-do=${name}]`).setAttribute("aria-pressed", now.mode === name);
    for (const name of ["previous", "next"]) find(`button[data-do=${name}]`).hidden = now.count < 2;
    const length = now.pixel_size_nm;
    find(".pixel").textContent =
      length === null ? "pixel size unknown" : `${Number(length.toPrecision(4))} nm per pixel (${now.pixel_size_source})`;
    find(".sought").textContent = now.diameter;
    find(".message").textContent = now.message || hint(now);
    find(".message").classList.toggle("wrong", now.message !== "" && !now.scale_bar);
    find(".saved").textContent = `Saved in ${now.folder}.`;
    stage.dataset.answered = now.answered[1];
    line.showBusy();
  }

  function hint(now) {
    if (now.mode === "correct" || now.teaches || now.coverage > 0) return "";
    return "Paint a stroke on a particle and one on the background.";
  }

  // ---- drawing

  function colourMarks(left, top, right, bottom) {
    const { width } = marks;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        const i = y * width + x;
        const colour = [[0, 0, 0], colours.background, colours.particle][values[i]];
        pixels.data.set([...colour, values[i] ? 255 : 0], 4 * i);
      }
    }
    marks.getContext("2d").putImageData(pixels, 0, 0, left, top, right - left, bottom - top);
  }

  // The rule of draw() in strokes.py: centres of pixels no farther from the path than half the brush.
  function drawSegment([x0, y0], [x1, y1]) {
    const { width, height } = marks;
    const radius = Math.max(size / 2, brush.thinnest);
    const within = (value, most) => Math.min(Math.max(value, 0), most);
    const top = within(Math.floor(Math.min(y0, y1) - radius), height);
    const bottom = within(Math.ceil(Math.max(y0, y1) + radius), height);
    const left = within(Math.floor(Math.min(x0, x1) - radius), width);
    const right = within(Math.ceil(Math.max(x0, x1) + radius), width);
    const [dx, dy] = [x1 - x0, y1 - y0];
    const squared = dx * dx + dy * dy;
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) {
        const [x, y] = [column + 0.5 - x0, row + 0.5 - y0];
        const along = squared ? within((x * dx + y * dy) / squared, 1) : 0;
        if ((x - along * dx) ** 2 + (y - along * dy) ** 2 <= radius * radius) values[row * width + column] = VALUES[kind];
      }
    }
    if (right > left && bottom > top) colourMarks(left, top, right, bottom);
  }

  function finish() {
    if (tool === "line") drawSegment(stroke[0], stroke[stroke.length - 1]);
    const points = tool === "line" ? [stroke[0], stroke[stroke.length - 1]] : stroke;
    const drawn = tool === "diameter" ? [stroke[0], stroke[stroke.length - 1]] : null;
    stroke = null;
    path.setAttribute("points", "");
    if (!drawn) return line.send({ do: "stroke", kind, size, points });
    line.send({ do: "diameter", points: drawn });
    choose("tool", "brush");
  }

  // ---- the stage

  function placed() {
    for (const line of ends.children) line.setAttribute("stroke-width", 2 / view.scale);
    cursor.setAttribute("stroke-width", 1.5 / view.scale);
  }

  function showCursor([x, y]) {
    const colour = kind === "erase" ? "#fff" : `rgb(${colours[kind]})`;
    const paints = tool === "brush" || tool === "line";
    cursor.setAttribute("r", paints ? Math.max(size / 2, brush.thinnest) : 3 / view.scale);
    cursor.setAttribute("stroke", paints ? colour : "#fff");
    cursor.setAttribute("cx", x);
    cursor.setAttribute("cy", y);
    cursor.style.display = tool === "pan" ? "none" : "";
  }

  function proposeBar({ points, length_nm: length }) {
    const unit = length < 1000 ? 1 : 1000;
    bar = points;
    find(".ask select").value = String(unit);
    find(".ask input").value = String(length / unit);
    markBar();
  }

  function markBar() {
    ends.replaceChildren(
      ...bar.map(([x, y]) => {
        const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
        const r = 7 / view.scale;
        line.setAttribute("d", `M${x - r} ${y}h${2 * r}M${x} ${y - r}v${2 * r}`);
        line.setAttribute("stroke", "#ff0");
        line.setAttribute("stroke-width", 2 / view.scale);
        return line;
      }),
    );
    find(".ask").hidden = bar.length < 2;
    if (bar.length === 2) find(".ask input").focus();
  }

  function down(event) {
    const point = pointOf(event);
    if (event.button === 1 || tool === "pan" || space) {
      scene.take(event);
      return true;
    }
    if (event.button !== 0) return false;
    if (tool === "scale bar") {
      bar = bar.length === 2 ? [point] : [...bar, point];
      markBar();
      return false;
    }
    stroke = [point];
    if (tool === "brush") drawSegment(point, point);
    return true;
  }

  function move(event) {
    const point = pointOf(event);
    showCursor(point);
    if (scene.held()) scene.move(event);
    else if (stroke && (tool === "line" || tool === "diameter")) {
      const measures = tool === "diameter";
      stroke.push(point);
      path.setAttribute("points", [stroke[0], point].join(" "));
      path.setAttribute("stroke-width", measures ? 2 / view.scale : size);
      path.setAttribute("stroke", measures ? "#ff0" : kind === "erase" ? "#fff8" : `rgb(${colours[kind]} / 0.6)`);
    } else if (stroke) {
      for (const each of event.getCoalescedEvents?.() ?? [event]) {
        const next = pointOf(each);
        drawSegment(stroke[stroke.length - 1], next);
        stroke.push(next);
      }
    }
  }

  function up() {
    scene.letGo();
    if (stroke) finish();
  }

  listenToPointer(stage, down, move, up);
  stage.addEventListener("pointerleave", () => (cursor.style.display = "none"));

  // ---- buttons, sliders and keys

  function choose(what, value) {
    if (what === "tool") tool = value;
    else kind = value;
    if (what === "kind" && tool !== "line") tool = "brush";
    if (tool !== "scale bar") bar = [];
    else if (what === "tool") line.send({ do: "read scale bar" });
    markBar();
    stage.classList.toggle("pan", tool === "pan");
    for (const button of all("button[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === tool);
    for (const button of all("button[data-kind]")) button.setAttribute("aria-pressed", button.dataset.kind === kind);
  }

  function setSize(value) {
    size = Math.min(Math.max(Math.round(value), 1), brush.largest);
    find(".size").value = Math.sqrt(size / brush.largest); // fine where brushes are small
    find(".size + .value").textContent = `${size} px`;
    if (cursor.hasAttribute("cx")) showCursor([cursor.getAttribute("cx"), cursor.getAttribute("cy")]);
  }

  function look() {
    scene.look();
    label.style.opacity = find(".opacity").value;
  }

  const actions = {
    undo: () => line.send({ do: "undo" }),
    redo: () => line.send({ do: "redo" }),
    learn: () => line.send({ do: "learn" }),
    correct: () => line.send({ do: "correct" }),
    accept: () => line.send({ do: state().accepted ? "withdraw" : "accept" }),
    previous: () => line.send({ do: "go", step: -1 }),
    next: () => line.send({ do: "go", step: 1 }),
    fit,
    scale() {
      const length = Number(find(".ask input").value) * Number(find(".ask select").value);
      line.send({ do: "scale bar", points: bar, length_nm: length });
      choose("tool", "brush");
    },
  };

  const keys = {
    b: () => choose("tool", "brush"),
    l: () => choose("tool", "line"),
    h: () => choose("tool", "pan"),
    1: () => choose("kind", "particle"),
    2: () => choose("kind", "background"),
    3: () => choose("kind", "erase"),
    "[": () => setSize(Math.min(size / 1.25, size - 1)),
    "]": () => setSize(Math.max(size * 1.25, size + 1)),
    z: actions.undo,
    y: actions.redo,
    Z: actions.redo,
    o: () => (label.hidden = !label.hidden),
    f: fit,
    m: () => line.send({ do: state().mode === "learn" ? "correct" : "learn" }),
    a: actions.accept,
    ArrowLeft: actions.previous,
    ArrowRight: actions.next,
  };

  listenToKeys(root, keys, (down) => (space = down), (event) => {
    const { target, key } = event;
    const typing = target.matches("input[type=number], select") || (target.matches("input") && key.startsWith("Arrow"));
    if (typing && key === "Enter" && bar.length === 2) actions.scale();
    return typing;
  });
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { tool: aTool, kind: aKind, do: action } = button.dataset;
    if (aTool) choose("tool", aTool);
    else if (aKind) choose("kind", aKind);
    else actions[action]();
    stage.focus({ preventScroll: true });
  });
  find(".size").addEventListener("input", (event) => setSize(event.target.value ** 2 * brush.largest));
  find(".opacity").addEventListener("input", look);

  for (const button of all("button[data-kind]")) {
    const swatch = button.querySelector(".swatch");
    if (swatch) swatch.style.background = `rgb(${colours[button.dataset.kind]})`;
  }
  const traits = ["_image", "_marks", "_label", "_state"].map((name) => `change:${name}`);
  for (const trait of traits) model.on(trait, changed);
  choose("tool", "brush");
  setSize(size);
  look();
  refresh();

  return () => {
    scene.stop();
    for (const trait of traits) model.off(trait, changed);
  };
}

export default { render };
