// What temlib's painter and reviewer share: a micrograph on a stage to zoom and move, messages with serial numbers,
// pictures sent as png, keys. Python puts this file before each of theirs: nothing is loaded from elsewhere.
// A point is (x, y) in pixels of the micrograph; the centre of its first pixel is (0.5, 0.5).

const LOOKS = `
  <label class="group">Contrast <input type="range" class="contrast" min="0.3" max="4" step="0.05" value="1"></label>
  <label class="group">Brightness <input type="range" class="brightness" min="0.3" max="2.5" step="0.05" value="1"></label>`;

function colouredBy(model) {
  const bytes = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return Object.fromEntries(Object.entries(model.get("_colours")).map(([name, hex]) => [name, bytes(hex)]));
}

async function decode(view) {
  const bitmap = await createImageBitmap(new Blob([view], { type: "image/png" }), { colorSpaceConversion: "none" });
  const rgba = () => {
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  };
  const values = () => {
    const data = rgba();
    return Uint8Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]);
  };
  const numbers = () => {
    const words = new Uint32Array(rgba().buffer); // 24 bits, the lowest in red, below those of opacity
    const found = new Int32Array(words.length);
    for (let i = 0; i < words.length; i++) found[i] = words[i] & 0xffffff;
    return found;
  };
  return { bitmap, values, numbers };
}

// Messages to Python, each with a serial number that comes back in _state.answered.
function makeLine(model, root) {
  const id = Math.random().toString(36).slice(2);
  const line = {
    serial: 0, // of the last message
    send(message) {
      line.serial += 1;
      model.send({ ...message, view: id, serial: line.serial });
      setTimeout(line.showBusy, 250);
    },
    upToDate() {
      const [of, last] = model.get("_state").answered;
      return line.serial === 0 || (of === id && last >= line.serial);
    },
    fromHere: () => model.get("_state").answered[0] === id,
    showBusy: () => (root.querySelector(".busy").hidden = line.upToDate()),
  };
  return line;
}

// Several traits change at once: refresh when all have.
function onceFor(refresh) {
  let queued = false;
  return () => {
    if (queued) return;
    queued = true;
    queueMicrotask(() => {
      queued = false;
      refresh();
    });
  };
}

// The micrograph: where it lies, zoom, move, contrast. `placed` is called when it lies elsewhere.
function makeStage(root, placed) {
  const stage = root.querySelector(".stage");
  const layers = root.querySelector(".layers");
  const picture = root.querySelector("canvas.picture");
  const view = { x: 0, y: 0, scale: 1 };
  const room = { width: 0, height: 0 }; // of the stage, known without asking for a layout
  let grip = null; // where the picture was taken hold of

  function place() {
    layers.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    layers.classList.toggle("small", view.scale < 1);
    placed();
  }

  function fit() {
    view.scale = Math.min(room.width / picture.width, room.height / picture.height) || 1;
    view.x = (room.width - picture.width * view.scale) / 2;
    view.y = (room.height - picture.height * view.scale) / 2;
    place();
  }

  function zoom(factor, x, y) {
    const scale = Math.min(Math.max(view.scale * factor, 0.05), 40);
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    place();
  }

  function pointOf(event) {
    const box = stage.getBoundingClientRect();
    const round = (value) => Math.round(value * 100) / 100;
    return [
      round((event.clientX - box.left - view.x) / view.scale),
      round((event.clientY - box.top - view.y) / view.scale),
    ];
  }

  function look() {
    const value = (name) => root.querySelector(`.${name}`).value;
    picture.style.filter = `contrast(${value("contrast")}) brightness(${value("brightness")})`;
  }

  stage.addEventListener(
    "wheel",
    (event) => {
      if (!root.contains(document.activeElement) && !event.ctrlKey) return; // the page scrolls until one works here
      event.preventDefault();
      const box = stage.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
    },
    { passive: false },
  );
  for (const name of ["contrast", "brightness"]) root.querySelector(`.${name}`).addEventListener("input", look);
  const watcher = new ResizeObserver(() => {
    [room.width, room.height] = [stage.clientWidth, stage.clientHeight]; // none until the stage is in the page
    fit();
  });
  watcher.observe(stage);
  return {
    stage,
    picture,
    view,
    room,
    fit,
    zoom,
    pointOf,
    look,
    place,
    take: (event) => (grip = [event.clientX - view.x, event.clientY - view.y]),
    held: () => grip !== null,
    move(event) {
      [view.x, view.y] = [event.clientX - grip[0], event.clientY - grip[1]];
      place();
    },
    letGo: () => (grip = null),
    stop: () => watcher.disconnect(),
  };
}

// One pointer at a time works on the stage: while it is down, a palm or a second finger does nothing.
// `down` says whether the pointer is to be followed until it goes up.
function listenToPointer(stage, down, move, up) {
  let held = null;
  stage.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    stage.focus({ preventScroll: true });
    if (held !== null || !down(event)) return;
    held = event.pointerId;
    stage.setPointerCapture(held);
  });
  stage.addEventListener("pointermove", (event) => {
    if (held === null || held === event.pointerId) move(event);
  });
  for (const end of ["pointerup", "pointercancel"])
    stage.addEventListener(end, (event) => {
      if (event.pointerId !== held) return;
      held = null;
      up();
    });
}

// Keys that do something, but not while somebody types or moves a slider; `hold(down)` is told of the space bar.
// Jupyter, whose command mode would insert and cut cells, keeps its keys to itself where what has the focus says so.
function listenToKeys(root, keys, hold, isTyping) {
  root.addEventListener("focusin", ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true"));
  root.addEventListener("keydown", (event) => {
    if (isTyping(event)) {
      event.stopPropagation(); // JupyterLab takes arrow keys from sliders
      return;
    }
    if (event.key === " ") hold(true);
    else if (event.altKey || ((event.ctrlKey || event.metaKey) && !"zyZ".includes(event.key)) || !keys[event.key]) return;
    else keys[event.key](event);
    event.preventDefault();
    event.stopPropagation();
  });
  root.addEventListener("keyup", (event) => {
    if (event.key === " ") hold(false);
  });
  root.addEventListener("focusout", ({ relatedTarget }) => {
    if (!root.contains(relatedTarget)) hold(false); // whoever has the focus now hears of the key's end
  });
}
