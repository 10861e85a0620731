// map_data.js: facts and runs out of the page, as arrays; src/cli/map_html.c says how they are written.

const PAGE = 4096, CHUNK_PAGES = 1024, CHUNK = PAGE * CHUNK_PAGES;
const FREE = 1, META = 2, SLAB = 3, SPAN = 4, POOL = 5, INTERNAL = 6, HEADER = 7, JOURNAL = 8;
const KINDS = ["nothing", "free", "metadata", "slab", "span", "pool memory", "table of roots", "superblocks",
  "journal"];
const facts = JSON.parse(document.getElementById("facts").textContent);
const bytes = Uint8Array.from(atob(document.getElementById("runs").textContent), (c) => c.charCodeAt(0));

let at = 0; // in `bytes`
function number() {
  let value = 0, scale = 1, byte;
  do {
    byte = bytes[at++];
    value += (byte & 127) * scale; // beyond 32 bits shifts do not reach
    scale *= 128;
  } while (byte > 127);
  return value;
}

// Where a bitmap begins; skips it.
function bitmapHere() {
  const begin = at, length = Math.floor(number() / 2);
  at += length;
  return begin;
}

// A bitmap of so many bits as an array of 0 and 1.
function bitmap(begin, count) {
  const out = new Uint8Array(count);
  at = begin;
  const head = number(), end = at + Math.floor(head / 2);
  if (head % 2 === 0) {
    for (let i = 0; i < count; i++) out[i] = (bytes[at + (i >> 3)] >> (i & 7)) & 1;
    return out;
  }
  for (let i = 0, value = 0; at < end; value ^= 1) {
    const length = number();
    out.fill(value, i, i += length);
  }
  return out;
}

// All runs. page and pages are counted in pages; blocksAt, changedAt: bitmaps, -1 for none.
const runs = {
  count: facts.runs,
  kind: new Uint8Array(facts.runs), changes: new Uint8Array(facts.runs),
  page: new Float64Array(facts.runs), pages: new Float64Array(facts.runs),
  size: new Float64Array(facts.runs), blocks: new Uint32Array(facts.runs), live: new Uint32Array(facts.runs),
  blocksAt: new Int32Array(facts.runs).fill(-1), changedAt: new Int32Array(facts.runs).fill(-1),
  changed: new Float64Array(facts.runs),
};
for (let i = 0, end = 0; i < runs.count; i++) {
  const head = number(), kind = head & 15;
  runs.kind[i] = kind;
  runs.changes[i] = head >> 5;
  runs.page[i] = end + number();
  runs.pages[i] = number();
  end = runs.page[i] + runs.pages[i];
  if (kind === SLAB) {
    runs.size[i] = facts.classes[number()];
    runs.blocks[i] = number();
    runs.live[i] = number();
    if (head & 16) runs.blocksAt[i] = bitmapHere();
  } else if (kind === SPAN || kind === POOL || kind === INTERNAL) {
    runs.size[i] = runs.pages[i] * PAGE;
    runs.blocks[i] = runs.live[i] = 1;
  }
  runs.changed[i] = runs.changes[i] === 1 ? runs.pages[i] : 0;
  if (runs.changes[i] === 2) {
    runs.changed[i] = number();
    runs.changedAt[i] = bitmapHere();
  }
}

function sum(array) {
  let total = 0;
  for (const value of array) total += value;
  return total;
}

// The last run that begins at or before a page; -1: none.
function runAt(page) {
  let low = 0, high = runs.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (runs.page[middle] <= page) low = middle + 1; else high = middle;
  }
  return low - 1;
}
// The run that has this page; -1: none has.
function runOf(page) {
  const run = runAt(page);
  return run >= 0 && page < runs.page[run] + runs.pages[run] ? run : -1;
}

// Chunks in which anything lies. `live` counts bytes, `changed` pages; `run` is the first that reaches into it.
const chunks = [];
for (let i = 0; i < runs.count; i++) {
  const end = runs.page[i] + runs.pages[i];
  const live = runs.live[i] * runs.size[i] / runs.pages[i];
  const changed = runs.changedAt[i] >= 0 ? bitmap(runs.changedAt[i], runs.pages[i]) : null;
  for (let page = runs.page[i]; page < end;) {
    const idx = Math.floor(page / CHUNK_PAGES);
    const stop = Math.min(end, (idx + 1) * CHUNK_PAGES), pages = stop - page;
    let chunk = chunks[chunks.length - 1];
    if (!chunk || chunk.idx !== idx) {
      chunk = {idx, run: i, pages: 0, live: 0, changed: 0, runs: 0, kinds: new Float64Array(9), sizes: new Map(),
        size: 0, most: 0};
      chunks.push(chunk);
    }
    chunk.pages += pages;
    chunk.live += live * pages;
    chunk.changed += changed ? sum(changed.subarray(page - runs.page[i], stop - runs.page[i]))
      : runs.changes[i] === 1 ? pages : 0;
    chunk.runs++;
    chunk.kinds[runs.kind[i]] += pages;
    if (runs.kind[i] === SLAB) { // its class is that of most of its pages, not that of its largest slab
      const all = (chunk.sizes.get(runs.size[i]) ?? 0) + pages;
      chunk.sizes.set(runs.size[i], all);
      if (all > chunk.most) {
        chunk.most = all;
        chunk.size = runs.size[i];
      }
    }
    page = stop;
  }
}
for (const chunk of chunks) chunk.kind = chunk.kinds.indexOf(Math.max(...chunk.kinds));
const placeOfChunk = new Map(chunks.map((chunk, place) => [chunk.idx, place]));

const roots = facts.roots.map(([name, offset]) => ({name, offset})).sort((a, b) => a.offset - b.offset);
// The roots in [from, to), offsets.
function rootsIn(from, to) {
  let low = 0, high = roots.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (roots[middle].offset < from) low = middle + 1; else high = middle;
  }
  let end = low;
  while (end < roots.length && roots[end].offset < to) end++;
  return roots.slice(low, end);
}

function count(value) { return Math.round(value).toLocaleString("en"); }
function size(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < 4) { value /= 1024; unit++; }
  return (Number.isInteger(value) || unit === 0 ? value : value.toFixed(1)) + " " + units[unit];
}
function part(some, all) { return all > 0 ? (some * 100 / all).toFixed(1) + " %" : "–"; }
function address(offset) { return "0x" + (facts.base + offset).toString(16); }
