#!/usr/bin/env python3
"""Real programs under malloc libraries: time and peak memory in turns, paired with the C library's; instructions.

    programs [--quick] [--rounds N] [--json FILE] [--directory DIR] [--filter NAME,...] [--only ALLOCATOR,...]
             [--instructions] [--loft LIBRARY]

Each program runs once a round under each allocator, in an order that changes. A figure is divided by the C library's of the
same round; the median of these ratios and its bootstrap 95 % interval are told. Instructions are counted one by one by
Valgrind's cachegrind, on smaller works: an interpreter's and a compiler's, not a kernel's.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time

import measure
import works as plan

ROUNDS, ROUNDS_QUICK = 21, 4
TITLE_TIME = "Programs: time over that with the C library's malloc"
TITLE_MEMORY = "Programs: peak memory over that with the C library's malloc"
MEAN = "geometric mean"


def summary(values):
    ordered = sorted(values)
    at = lambda part: ordered[int(part * (len(ordered) - 1) + 0.5)]
    middle = measure.median(values)
    return {"median": middle, "min": ordered[0], "low": at(0.25), "max": ordered[-1],
            "noise": (at(0.75) - at(0.25)) / 2 / middle if middle else 0, "values": [float(f"{v:.6g}") for v in values]}


def row(title, unit, figures, failed):
    """figures: {allocator: values}. The best peer is not loft."""
    medians = {name: measure.median(values) for name, values in figures.items()}
    peers = {name: value for name, value in medians.items() if name != measure.LOFT}
    best = min(peers, key=peers.get) if peers else ""
    cells = {name: {"missing": "", "rounds": summary(values)} for name, values in figures.items()}
    for name, why in failed.items():
        cells[name] = {"missing": why, "rounds": {"median": 0, "min": 0, "low": 0, "max": 0, "noise": 0, "values": []}}
    if measure.LOFT in medians and best:
        cells[measure.LOFT]["ratio_to_best_peer"] = medians[measure.LOFT] / medians[best]
    return {"title": title, "unit": unit, "more_is_better": False, "low": False, "best_peer": best, "goal_ratio": 0,
            "goal_floor_ratio": 0, "goal": 0, "figures": cells}


def ratio_row(work, figures, failed, of, base_name):
    """Ratios to the C library's, of the same rounds, and their interval."""
    base = figures.get("glibc")
    if base is None:
        return None
    ratios = {name: measure.paired(rounds, base, of) for name, rounds in figures.items()}
    made = row(work.name, "× glibc", ratios, failed)
    for name, values in ratios.items():
        if name != "glibc":
            made["figures"][name]["interval"] = measure.interval(lambda s: measure.median(s[0]), [values])
    loft, goal = made["figures"].get(measure.LOFT), made["figures"].get(base_name)
    if loft and loft["rounds"]["values"] and goal and goal["rounds"]["values"]:
        made["goal"] = goal["rounds"]["median"]
        loft["goal_figure_met"] = loft["interval"][0] <= made["goal"]
    return made


def mean_row(rows, goal_names):
    """The geometric mean of the programs' medians; its interval by drawing every program's rounds anew. The goal is
    the best of goal_names."""
    made = row(MEAN, "× glibc", {}, {})
    means = {}
    for name in list(measure.PEERS) + [measure.LOFT]:
        samples = [r["figures"][name]["rounds"]["values"] for r in rows if name in r["figures"]]
        if len(samples) != len(rows) or not all(samples):
            continue
        mean = lambda drawn: measure.geometric_mean([measure.median(values) for values in drawn])
        means[name] = mean(samples)
        made["figures"][name] = {"missing": "", "rounds": summary([means[name]]), "interval": measure.interval(mean, samples)}
    peers = {name: value for name, value in means.items() if name in goal_names}
    if peers and measure.LOFT in means:
        made["best_peer"] = min(peers, key=peers.get)
        made["goal"] = min(peers.values())
        loft = made["figures"][measure.LOFT]
        loft["ratio_to_best_peer"] = means[measure.LOFT] / made["goal"]
        loft["goal_figure_met"] = loft["interval"][0] <= made["goal"]
    return made


def table(title, note, competitors, rows):
    return {"title": title, "note": note, "plot_x": "", "plot_y": "", "competitors": competitors, "rows": rows}


def print_table(made):
    names = [c["name"] for c in made["competitors"]]
    print(f"\n== {made['title']}\n{made['note']}\n\n{'':32}" + "".join(f"{name:>24}" for name in names))
    for r in made["rows"]:
        text = f"{r['title'][:31]:32}"
        for name in names:
            cell = r["figures"].get(name)
            if not cell or not cell["rounds"]["values"]:
                shown = "-"
            elif "interval" in cell:
                shown = f"{cell['rounds']['median']:.3f} ({cell['interval'][0]:.3f}..{cell['interval'][1]:.3f})"
            else:
                shown = f"{cell['rounds']['median']:.4g}"
            text += f"{shown:>24}"
        loft = r["figures"].get(measure.LOFT, {})
        if "goal_figure_met" in loft:
            text += "" if loft["goal_figure_met"] else "  BEHIND"
        print(text)
        for name, cell in r["figures"].items():
            if cell["missing"]:
                print(f"    {name}: {cell['missing']}")
    sys.stdout.flush()


def competitors(all_of):
    kind = lambda one: "loft" if one.name == measure.LOFT else "peer"
    return [{"name": one.name, "kind": kind(one), "loft": one.name == measure.LOFT, "what": one.what, "version": one.version,
             "absent": one.absent} for one in all_of]


def machine():
    """As the other benchmarks tell it."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    uname = os.uname()
    return {"processor": model.group(1) if model else uname.machine, "processors": os.cpu_count(),
            "kernel": f"{uname.sysname} {uname.release}", "date": time.strftime("%Y-%m-%d", time.gmtime()), "load": os.getloadavg()[0]}


def run_works(options, present, folder):
    """[(work, figures, failed)] of those that have figures."""
    done = []
    for at, work in enumerate(options.works):
        if sys.stderr.isatty():
            print(f"\r\033[Kprograms: {at + 1} of {len(options.works)}: {work.name}", end="", file=sys.stderr, flush=True)
        figures, failed = measure.rounds_of(options.launcher, work, present, options.rounds)
        done.append((work, figures, failed))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return done


def counted(options, present, folder):
    rows = []
    for work in options.works:
        figures, failed = {}, {}
        for one in present:
            millions = measure.instructions(work, one, folder) if work.counted_n else None
            if millions is not None:
                figures[one.name] = [millions]
            elif work.counted_n:
                failed[one.name] = "could not be counted"
        if figures:
            rows.append(row(work.name, "million", figures, failed))
    return rows


def tables_of(options, all_of, present, folder):
    columns, tables = competitors(all_of), []
    done = run_works(options, present, folder)
    for of, title, note, base in (
            (0, TITLE_TIME, "Wall time, paired round by round; medians. The interval is the bootstrap's, 95 %. Behind is who is slower than the C "
             "library beyond it; in the mean, who is slower than the best of the others.", "glibc"),
            (2, TITLE_MEMORY, "The largest process of each program, paired round by round; medians. Behind is who takes more than mimalloc beyond "
             "the interval.", "mimalloc")):
        rows = [made for work, figures, failed in done if (made := ratio_row(work, figures, failed, of, base)) is not None]
        if rows:
            rows.append(mean_row(rows, ["jemalloc", "mimalloc", "tcmalloc"] if of == 0 else ["mimalloc"]))
        tables.append(table(title, note, columns, rows))
    for of, scale, unit, title in ((0, 1000, "ms", "Programs: time"), (1, 1000, "ms", "Programs: processor time"),
                                   (2, 1, "MiB", "Programs: peak memory")):
        rows = [row(work.name, unit, {name: [r[of] * scale for r in rounds] for name, rounds in figures.items()}, failed)
                for work, figures, failed in done]
        tables.append(table(title, "Of the whole program and all that it started." if of < 2 else "Of its largest process.", columns, rows))
    if options.instructions:
        if shutil.which("valgrind") is None:
            print("programs: no instructions: valgrind is not installed", file=sys.stderr)
        else:
            tables.append(table("Programs: instructions", "Of one run, smaller than those that are timed; user's code only, all "
                                "processes.", columns, counted(options, present, folder)))
    return tables


def read_options():
    parser = argparse.ArgumentParser(prog="programs", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="a glance: few rounds of some of the works")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json")
    parser.add_argument("--directory", default=".")
    parser.add_argument("--filter", default="", help="works whose names begin so, separated by commas")
    parser.add_argument("--only", default="", help="allocators, separated by commas")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--launcher", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--root", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--loft", required=True, help="another libloft-malloc.so")
    options = parser.parse_args()
    options.rounds = options.rounds or (ROUNDS_QUICK if options.quick else ROUNDS)
    return options


def main():
    options = read_options()
    only = options.only.split(",") if options.only else None
    all_of = [one for one in measure.allocators(os.path.abspath(options.loft)) if only is None or one.name in only]
    present = [one for one in all_of if not one.absent]
    with tempfile.TemporaryDirectory(prefix="programs.", dir=os.path.abspath(options.directory)) as folder:
        plan.prepare(folder)
        wanted = tuple(options.filter.split(",")) if options.filter else ("",)
        options.works = [work for work in plan.works(folder, options.root)
                         if work.name.startswith(wanted) and (work.quick or not options.quick or options.filter)]
        tables = tables_of(options, all_of, present, folder)
    for made in tables:
        print_table(made)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"benchmark": "programs", "machine": machine(), "rounds": options.rounds, "quick": options.quick,
                       "tables": tables}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
