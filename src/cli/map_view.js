// map_view.js: the levels, where one is, what is told of it; mouse, keys, themes.
//
// Where one is stands in the page's fragment: nothing (the arena), #c3 (chunk 3), #r17 (run 17 of the list), #r17b5
// (its block or page 5 is chosen). So the browser's back button goes out again, and a place can be sent to others.

const element = (id) => document.getElementById(id);
let here = {level: "arena", chunk: -1, run: -1};
let chosen = 0; // a cell
let bits = null, changedBits = null; // of the run that is looked into

function make(tag, text, className) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}
function list(pairs) {
  const dl = make("dl");
  for (const [term, value] of pairs) dl.append(make("dt", term), make("dd", value));
  return dl;
}
function rootNames(from, to) {
  const found = rootsIn(from, to);
  if (found.length === 0) return [];
  const names = found.slice(0, 6).map((root) => root.name).join(", ");
  return [["roots", found.length > 6 ? names + " and " + (found.length - 6) + " more" : names]];
}
function changedPairs(pages, all) {
  return facts.compared ? [["changed", count(pages) + " of " + count(all) + " pages"]] : [];
}

// --- levels ----------------------------------------------------------------------------------------

function layArena() {
  lay(chunks.length, {
    most: 84,
    colour: (i) => colourOfChunk(chunks[i]),
    label: (i) => size(chunks[i].idx * CHUNK),
    cellOfOffset: (offset) => placeOfChunk.get(Math.floor(offset / CHUNK)) ?? -1,
    extent: (i) => [i, i + 1],
    tell: (i) => tellChunk(chunks[i]),
    enter: (i) => "c" + chunks[i].idx,
    name: "The arena, " + count(chunks.length) + " chunks of 4 MiB",
  });
}

function layChunk() {
  const first = here.chunk * CHUNK_PAGES;
  const runOfCell = new Int32Array(CHUNK_PAGES).fill(-1), changed = new Uint8Array(CHUNK_PAGES);
  for (let run = Math.max(0, runAt(first)); run < runs.count && runs.page[run] < first + CHUNK_PAGES; run++) {
    const from = Math.max(0, runs.page[run] - first);
    const to = Math.min(CHUNK_PAGES, runs.page[run] + runs.pages[run] - first);
    if (to <= from) continue;
    runOfCell.fill(run, from, to);
    if (runs.changes[run] === 1) changed.fill(1, from, to);
    else if (runs.changedAt[run] >= 0) {
      const begin = first - runs.page[run];
      changed.set(bitmap(runs.changedAt[run], runs.pages[run]).subarray(begin + from, begin + to), from);
    }
  }
  const extent = (i) => {
    let from = i, to = i + 1;
    while (from > 0 && runOfCell[from - 1] === runOfCell[i]) from--;
    while (to < CHUNK_PAGES && runOfCell[to] === runOfCell[i]) to++;
    return [from, to];
  };
  lay(CHUNK_PAGES, {
    columns: 32,
    joined: (i) => runOfCell[i] === runOfCell[i + 1] && (by !== CHANGES || changed[i] === changed[i + 1]),
    colour: (i) => by === CHANGES ? colours.level[changed[i] * 10]
      : runOfCell[i] < 0 ? colours.kind[FREE] : colourOfRun(runOfCell[i]),
    label: (i) => "+" + count(i * PAGE / 1024) + " KiB",
    cellOfOffset: (offset) => {
      const page = Math.floor(offset / PAGE) - first;
      return page >= 0 && page < CHUNK_PAGES ? page : -1;
    },
    extent, run: (i) => runOfCell[i],
    tell: (i) => tellRun(runOfCell[i], first + i),
    enter: (i) => runOfCell[i] < 0 ? null : "r" + runOfCell[i],
    name: "Chunk " + count(here.chunk) + ", 1,024 pages of 4 KiB",
  });
}

function layRun() {
  const run = here.run, slab = runs.kind[run] === SLAB;
  const begin = runs.page[run] * PAGE, things = slab ? runs.blocks[run] : runs.pages[run];
  const each = slab ? 1 : Math.ceil(things / PAGES_MAX); // pages of a cell
  const step = slab ? runs.size[run] : PAGE * each;
  bits = slab && runs.blocksAt[run] >= 0 ? bitmap(runs.blocksAt[run], runs.blocks[run]) : null;
  changedBits = runs.changedAt[run] >= 0 ? bitmap(runs.changedAt[run], runs.pages[run]) : null;
  lay(Math.ceil(things / each), {
    most: 40,
    colour: (i) => colourOfThing(run, i, step),
    label: (i) => "+" + count(i * step),
    cellOfOffset: (offset) => {
      const cell = Math.floor((offset - begin) / step);
      return offset >= begin && cell < Math.ceil(things / each) ? cell : -1;
    },
    extent: (i) => [i, i + 1],
    tell: (i) => slab ? tellBlock(run, i) : tellPages(run, i * each, each),
    enter: () => null,
    name: titleOfRun(run),
  });
}

function changedIn(run, from, to) { // pages of a run
  return changedBits ? sum(changedBits.subarray(from, to)) : runs.changes[run] === 1 ? to - from : 0;
}
function isLive(run, block) {
  return bits ? bits[block] === 1 : runs.live[run] === runs.blocks[run];
}
function colourOfThing(run, cell, step) {
  const from = Math.floor(cell * step / PAGE), to = Math.min(runs.pages[run], Math.ceil((cell + 1) * step / PAGE));
  if (by === CHANGES) return colours.level[level(changedIn(run, from, to), to - from)];
  if (runs.kind[run] !== SLAB) return colourOfRun(run);
  if (!bits && runs.live[run] > 0 && runs.live[run] < runs.blocks[run]) return colourOfRun(run);
  if (!isLive(run, cell)) return colours.dead;
  return by === CLASS ? colours.size[doubling(runs.size[run])] : colours.live;
}

// --- what is told -----------------------------------------------------------------------------------

function titleOfRun(run) {
  const kind = runs.kind[run];
  return kind === SLAB ? "Slab of " + count(runs.blocks[run]) + " blocks, " + count(runs.size[run]) + " bytes each"
    : KINDS[kind][0].toUpperCase() + KINDS[kind].slice(1) + ", " + size(runs.pages[run] * PAGE);
}

function tell(title, share, pairs, note) {
  const panel = element("detail");
  panel.replaceChildren(make("h3", title));
  if (share !== null) {
    const bar = make("div", undefined, "bar"), fill = make("i");
    fill.style.width = share * 100 + "%";
    bar.append(fill);
    panel.append(bar);
  }
  panel.append(list(pairs));
  if (note) panel.append(make("p", note, "note"));
}

function tellChunk(chunk) {
  const from = chunk.idx * CHUNK, whole = chunk.pages * PAGE;
  tell("Chunk " + count(chunk.idx), chunk.live / whole, [
    ["address", address(from)], ["offset", size(from)],
    ["live", size(chunk.live) + ", " + part(chunk.live, whole)],
    ["runs", count(chunk.runs)],
    ["most of it", chunk.kind === SLAB ? "slabs, most of " + count(chunk.size) + " B" : KINDS[chunk.kind]],
    ...changedPairs(chunk.changed, chunk.pages), ...rootNames(from, from + CHUNK),
  ]);
}

function tellRun(run, page) {
  if (run < 0) {
    tell("Nothing", null, [["address", address(page * PAGE)], ["offset", size(page * PAGE)]],
      "No part of the arena: a hole in the file.");
    return;
  }
  const from = runs.page[run] * PAGE, whole = runs.pages[run] * PAGE, slab = runs.kind[run] === SLAB;
  const live = runs.live[run] * runs.size[run];
  tell(titleOfRun(run), slab ? runs.live[run] / runs.blocks[run] : null, [
    ["address", address(from)], ["offset", count(from)], ["length", size(whole)],
    ...(slab ? [["live", count(runs.live[run]) + " of " + count(runs.blocks[run])],
      ["occupied", part(runs.live[run], runs.blocks[run])], ["live bytes", size(live)],
      ["class", count(runs.size[run]) + " bytes"]] : []),
    ...changedPairs(runs.changed[run], runs.pages[run]), ...rootNames(from, from + whole),
  ]);
}

function tellBlock(run, block) {
  const from = runs.page[run] * PAGE + block * runs.size[run], to = from + runs.size[run];
  const known = bits || runs.live[run] === 0 || runs.live[run] === runs.blocks[run];
  const first = Math.floor(block * runs.size[run] / PAGE), last = Math.ceil((block + 1) * runs.size[run] / PAGE);
  tell("Block " + count(block), null, [
    ["state", known ? (isLive(run, block) && runs.live[run] > 0 ? "live" : "free") : "not in this page"],
    ["address", address(from)], ["offset", count(from)], ["length", count(runs.size[run]) + " bytes"],
    ...changedPairs(changedIn(run, first, last), last - first), ...rootNames(from, to),
  ], known ? "" : "Single blocks of so many slabs would make the page too long.");
}

function tellPages(run, page, pages) {
  const from = (runs.page[run] + page) * PAGE, some = Math.min(pages, runs.pages[run] - page);
  const title = titleOfRun(run);
  tell(some === 1 ? "Page " + count(page) : "Pages " + count(page) + " to " + count(page + some - 1), null, [
    ["of", title[0].toLowerCase() + title.slice(1)], ["address", address(from)], ["offset", count(from)],
    ...changedPairs(changedIn(run, page, page + some), some), ...rootNames(from, from + some * PAGE),
  ]);
}

// --- around the map ---------------------------------------------------------------------------------

function drawLegend() {
  const legend = element("legend");
  const swatches = (pairs) => {
    const ul = make("ul", undefined, "swatches");
    for (const [colour, text] of pairs) {
      const li = make("li", text), swatch = make("i");
      swatch.style.background = colour;
      li.prepend(swatch);
      ul.append(li);
    }
    return ul;
  };
  const titles = ["Occupancy", "Size class", "Changed pages"];
  legend.replaceChildren(make("h2", titles[by]));
  const inSlab = here.level === "run" && runs.kind[here.run] === SLAB;
  if (by === CLASS) {
    const used = new Set(facts.classes.map(doubling));
    legend.append(swatches([...used].sort((a, b) => a - b).map((i) => [colours.size[i], "to " + size(16 * 2 ** i)])));
  } else if (by === CHANGES || !inSlab) {
    const ramp = make("div", undefined, "ramp"), ends = make("div", undefined, "ends");
    for (const colour of colours.level) {
      const step = make("i");
      step.style.background = colour;
      ramp.append(step);
    }
    ends.append(make("span", by === CHANGES ? "none" : "empty"), make("span", by === CHANGES ? "all" : "full"));
    legend.append(ramp, ends);
  }
  if (inSlab && by !== CHANGES) {
    legend.append(swatches([...(by === CLASS ? [] : [[colours.live, "live block"]]), [colours.dead, "free block"]]));
  } else if (by !== CHANGES) {
    legend.append(swatches([...(by === CLASS ? [[colours.kind[SPAN], "span"], [colours.kind[POOL], "pool"]] : []),
      [colours.kind[META], "metadata"], [colours.kind[JOURNAL], "journal"], [colours.kind[HEADER], "header"],
      [colours.kind[INTERNAL], "root table"], [colours.kind[FREE], "free"]]));
  }
}

function drawTrail() {
  const steps = [["Arena", ""]];
  if (here.chunk >= 0) steps.push(["Chunk " + count(here.chunk), "c" + here.chunk]);
  if (here.level === "run") steps.push([titleOfRun(here.run), "r" + here.run]);
  element("trail").replaceChildren(...steps.map(([text, place], i) => {
    const li = make("li"), last = i === steps.length - 1;
    const step = make(last ? "span" : "button", text);
    if (last) step.setAttribute("aria-current", "location");
    else step.onclick = () => go(place);
    li.append(step);
    return li;
  }));
}

function drawSwitch() {
  element("by").replaceChildren(...["Occupancy", "Class", "Changes"].map((text, i) => {
    const button = make("button", text);
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", String(i === by));
    button.disabled = i === CHANGES && !facts.compared;
    if (button.disabled) button.title = "loft map --against SNAPSHOT makes this one";
    button.onclick = () => recolour(i);
    return button;
  }));
}

function drawHead() {
  element("file").textContent = facts.file.split("/").pop();
  document.title = element("file").textContent + " – loft map";
  element("identity").textContent = "commit " + count(facts.sequence) + " · " + facts.uuid + " · at " + address(0);
  const figure = ([term, value]) => {
    const div = make("div");
    div.append(make("dt", term), make("dd", value));
    return div;
  };
  element("figures").append(...[["live blocks", count(facts.liveBlocks)], ["live", size(facts.liveBytes)],
    ["of the heap", part(facts.liveBytes, facts.heapBytes)], ["file", size(facts.fileBytes)],
    ["on the device", size(facts.storedBytes)]].map(figure));
  if (roots.length === 0) return;
  const ul = make("ul");
  for (const root of roots.slice(0, 500)) {
    const li = make("li"), button = make("button");
    button.append(make("b", root.name), make("span", address(root.offset)));
    button.onclick = () => goToRoot(root);
    li.append(button);
    ul.append(li);
  }
  element("roots").append(make("h2", roots.length === 1 ? "1 root" : count(roots.length) + " roots"), ul);
}

// --- moving -----------------------------------------------------------------------------------------

function go(place) { location.hash = place; }
function goToRoot(root) {
  const run = runOf(Math.floor(root.offset / PAGE));
  if (run < 0) return;
  const step = runs.kind[run] === SLAB ? runs.size[run] : PAGE * Math.ceil(runs.pages[run] / PAGES_MAX);
  go("r" + run + "b" + Math.floor((root.offset - runs.page[run] * PAGE) / step));
}

function show(cell, hovered) {
  markInk.clearRect(0, 0, grid.width, grid.height);
  if (hovered >= 0) outline(...grid.extent(hovered), colours.soft, 1.5);
  if (cell >= 0) outline(...grid.extent(cell), colours.ink, 2);
  grid.tell(hovered >= 0 ? hovered : cell);
}

function look() {
  const found = /^#(?:c(\d+)|r(\d+)(?:b(\d+))?)$/.exec(location.hash) || [];
  const chunk = Number(found[1] ?? -1), run = Number(found[2] ?? -1), was = here;
  here = {level: "arena", chunk: -1, run: -1};
  if (run >= 0 && run < runs.count) here = {level: "run", chunk: Math.floor(runs.page[run] / CHUNK_PAGES), run};
  else if (placeOfChunk.has(chunk)) here = {level: "chunk", chunk, run: -1};
  ({arena: layArena, chunk: layChunk, run: layRun})[here.level]();
  chosen = Math.min(Number(found[3] ?? 0), grid.cells - 1);
  if (here.level === "arena") {
    chosen = Math.max(0, was.chunk >= 0 ? placeOfChunk.get(was.chunk) ?? 0 : chunks.findIndex((chunk) => chunk.live > 0));
  }
  if (here.level === "chunk" && was.run >= 0) chosen = Math.max(0, runs.page[was.run] - here.chunk * CHUNK_PAGES);
  canvas.setAttribute("aria-label", grid.name);
  drawTrail();
  paint();
}
function paint() {
  if (grid.cells === 0) return;
  draw();
  drawLegend();
  show(chosen, -1);
}
function recolour(mode) {
  if (mode === CHANGES && !facts.compared) return;
  by = mode;
  drawSwitch();
  paint();
}
function turnTheme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  readColours();
  paint();
}
function leave() {
  if (here.level === "run") go("c" + here.chunk);
  else if (here.level === "chunk") go("");
}
function enter(cell) {
  const place = grid.enter(cell);
  if (place !== null) go(place);
}
function choose(cell) {
  chosen = Math.max(0, Math.min(grid.cells - 1, cell));
  show(chosen, -1);
  const top = box(chosen)[1] + canvas.getBoundingClientRect().top;
  if (top < 0 || top > window.innerHeight - 40) window.scrollBy({top: top - window.innerHeight / 2});
}
// The next thing: a cell, or in a chunk the run behind or before.
function next(way) {
  const [from, to] = grid.extent(chosen);
  return way > 0 ? to : grid.extent(Math.max(0, from - 1))[0];
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const onButton = event.target instanceof HTMLButtonElement;
  const actions = {
    ArrowRight: () => choose(next(1)), ArrowLeft: () => choose(next(-1)),
    ArrowDown: () => choose(chosen + grid.columns), ArrowUp: () => choose(chosen - grid.columns),
    Home: () => choose(0), End: () => choose(grid.cells - 1),
    Escape: leave, Backspace: leave, t: turnTheme, T: turnTheme,
    1: () => recolour(OCCUPANCY), 2: () => recolour(CLASS), 3: () => recolour(CHANGES),
    ...(onButton ? {} : {Enter: () => enter(chosen)}),
  };
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

const cellOf = (event) => cellAt(event.offsetX, event.offsetY);
canvas.onmousemove = (event) => show(chosen, cellOf(event));
canvas.onmouseleave = () => show(chosen, -1);
canvas.onclick = (event) => {
  const cell = cellOf(event);
  if (cell < 0) return;
  choose(cell);
  enter(cell);
};
window.addEventListener("keydown", onKey);
window.addEventListener("hashchange", look);
let asked = 0;
window.addEventListener("resize", () => {
  cancelAnimationFrame(asked);
  asked = requestAnimationFrame(look);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
  document.documentElement.dataset.theme = event.matches ? "dark" : "light";
  readColours();
  paint();
});
element("theme").onclick = turnTheme;
document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
readColours();
drawHead();
drawSwitch();
look();

// For scripts and tests: where a cell's middle is on the screen, and what the present level is.
globalThis.loftMap = {
  middle: (cell) => {
    const [x, y, w, h] = box(cell), at = canvas.getBoundingClientRect();
    return [at.left + x + w / 2, at.top + y + h / 2];
  },
  cells: () => grid.cells, level: () => here.level, runs, chunks,
};
