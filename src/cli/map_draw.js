// map_draw.js: where the cells of a level lie on the canvas, and what colour they have.
//
// Every level is a grid of equal cells: chunks of the arena, pages of a chunk, blocks of a slab, pages of a span.
// A row may have its offset before it. The second canvas has what moves: the choice and what the mouse is on.

const canvas = document.getElementById("map"), marks = document.getElementById("marks");
const stage = document.getElementById("stage");
const ink = canvas.getContext("2d"), markInk = marks.getContext("2d");
const OCCUPANCY = 0, CLASS = 1, CHANGES = 2;
const PAGES_MAX = 4096; // cells of a long span; each then stands for several pages

let by = facts.by;
let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue("--" + name).trim();
  colours = {level: [], size: [], kind: []};
  for (let i = 0; i <= 10; i++) colours.level.push(get("v" + i));
  for (let i = 0; i <= 12; i++) colours.size.push(get("c" + i));
  colours.kind[FREE] = get("v0");
  for (const [kind, name] of [[META, "meta"], [SPAN, "span"], [POOL, "pool"], [INTERNAL, "internal"],
    [HEADER, "header"], [JOURNAL, "journal"]]) colours.kind[kind] = get("k" + name);
  for (const name of ["ground", "ink", "soft", "mark", "accent", "live", "dead"]) colours[name] = get(name);
}

function level(some, all) {
  return some <= 0 || all <= 0 ? 0 : Math.min(10, Math.floor(some * 10 / all) + 1);
}
function doubling(bytes) {
  return Math.max(0, Math.min(12, Math.ceil(Math.log2(bytes / 16))));
}

function colourOfChunk(chunk) {
  if (by === CHANGES) return colours.level[level(chunk.changed, chunk.pages)];
  if (chunk.kind === JOURNAL || chunk.kind === HEADER) return colours.kind[chunk.kind];
  if (by === CLASS && chunk.kind === SLAB) return colours.size[doubling(chunk.size)];
  if (by === CLASS) return colours.kind[chunk.kind];
  return colours.level[level(chunk.live, chunk.pages * PAGE)];
}
function colourOfRun(run) {
  const kind = runs.kind[run];
  if (by === CHANGES) return colours.level[level(runs.changed[run], runs.pages[run])];
  if (kind === SLAB) {
    return by === CLASS ? colours.size[doubling(runs.size[run])]
      : colours.level[level(runs.live[run], runs.blocks[run])];
  }
  return by === OCCUPANCY && (kind === SPAN || kind === POOL) ? colours.level[10] : colours.kind[kind];
}

// What the present level shows; made by look().
let grid = null;

function fit(cells, width, gutter, least, most, height, shape) {
  const room = width - gutter;
  let side = most;
  while (side > least && Math.ceil(cells / Math.max(1, Math.floor(room / side))) * side * shape > height) side--;
  return {side, columns: Math.max(1, Math.floor(room / side))};
}

// Lays out `cells`; colour(i) and the bounds joined(i) (cells i and i + 1 are one thing) say how they look.
function lay(cells, options) {
  // While it is not shown, or for a moment while a window is made, the stage has no width at all.
  const width = Math.max(stage.clientWidth, 64), gutter = width > 620 ? 92 : 2;
  const height = Math.max(320, Math.min(760, window.innerHeight - 250));
  let columns = options.columns, across, down;
  if (columns) {
    across = (width - gutter) / columns;
    down = Math.min(across, Math.max(8, height / Math.ceil(cells / columns)));
  } else {
    const most = Math.min(options.most, Math.floor((width - gutter) / 8));
    const fitted = fit(cells, width, gutter, 7, most, height, 1);
    columns = Math.min(cells, fitted.columns);
    across = fitted.columns >= cells ? fitted.side : (width - gutter) / columns;
    down = fitted.side;
    // Rows of round offsets read better, where little room is lost by it.
    const round = 2 ** Math.floor(Math.log2(columns));
    if (cells > columns && round >= columns * 0.8) { columns = round; across = (width - gutter) / columns; }
  }
  const rows = Math.ceil(cells / columns);
  grid = {cells, columns, rows, across, down, gutter, width, height: Math.max(40, rows * down + 2), ...options};
}

function box(cell) {
  const row = Math.floor(cell / grid.columns), column = cell % grid.columns;
  return [grid.gutter + column * grid.across, row * grid.down + 1, grid.across, grid.down];
}
function cellAt(x, y) {
  const column = Math.floor((x - grid.gutter) / grid.across), row = Math.floor((y - 1) / grid.down);
  const cell = row * grid.columns + column;
  return column >= 0 && column < grid.columns && row >= 0 && cell < grid.cells ? cell : -1;
}

function size2d(target, context) {
  const scale = window.devicePixelRatio || 1;
  target.style.height = grid.height + "px";
  target.style.width = grid.width + "px";
  target.width = Math.round(grid.width * scale);
  target.height = Math.round(grid.height * scale);
  context.setTransform(scale, 0, 0, scale, 0, 0);
}

function draw() {
  size2d(canvas, ink);
  size2d(marks, markInk);
  const gap = grid.down >= 14 ? 2 : grid.down >= 6 ? 1 : 0;
  for (let begin = 0; begin < grid.cells;) {
    let end = begin + 1; // cells of one row that are one thing
    while (end < grid.cells && end % grid.columns !== 0 && grid.joined && grid.joined(end - 1)) end++;
    const [x, y] = box(begin);
    ink.fillStyle = grid.colour(begin);
    ink.beginPath();
    ink.roundRect(x, y, grid.across * (end - begin) - gap, grid.down - gap, Math.min(3, grid.down / 5));
    ink.fill();
    begin = end;
  }
  if (grid.gutter > 0 && grid.label) {
    ink.fillStyle = colours.soft;
    ink.font = "11px " + getComputedStyle(document.body).fontFamily;
    ink.textAlign = "right";
    ink.textBaseline = "middle";
    const step = Math.max(1, Math.ceil(15 / grid.down));
    for (let row = 0; row < grid.rows; row += step) {
      ink.fillText(grid.label(row * grid.columns), grid.gutter - 12, row * grid.down + grid.down / 2);
    }
  }
  drawRoots();
}

function drawRoots() {
  const radius = Math.max(2, Math.min(4, grid.down / 4));
  const told = new Set();
  for (const root of roots) {
    const cell = grid.cellOfOffset(root.offset);
    if (cell < 0 || told.has(cell)) continue;
    told.add(cell);
    const [x, y, w, h] = box(cell);
    ink.beginPath();
    ink.arc(x + w / 2, y + h / 2, radius, 0, 7);
    ink.fillStyle = colours.mark;
    ink.fill();
    ink.strokeStyle = colours.ground;
    ink.lineWidth = 1.5;
    ink.stroke();
  }
}

// Draws one line around the cells [from, to), over as many rows as they have.
function outline(from, to, colour, width) {
  const first = Math.floor(from / grid.columns), last = Math.floor((to - 1) / grid.columns);
  const left = grid.gutter - 1, right = left + grid.columns * grid.across;
  const begin = box(from)[0] - 1, end = box(to - 1)[0] + grid.across - 1;
  const top = Math.max(1, first * grid.down), bottom = (last + 1) * grid.down;
  const corners = first === last ? [[begin, top], [end, top], [end, bottom], [begin, bottom]]
    : [[begin, top], [right, top], [right, bottom - grid.down], [end, bottom - grid.down], [end, bottom],
      [left, bottom], [left, top + grid.down], [begin, top + grid.down]];
  markInk.strokeStyle = colour;
  markInk.lineWidth = width;
  markInk.lineJoin = "round";
  markInk.beginPath();
  for (const [x, y] of corners) markInk.lineTo(x, y);
  markInk.closePath();
  markInk.stroke();
}
