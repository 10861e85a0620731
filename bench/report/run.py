#!/usr/bin/env python3
"""Runs groups of benchmarks one after the other and writes DIR: results.json, report.html, plots.

    run.py --programs DIR --output DIR [--quick|--full] [--directory DIR] [GROUP...]
    run.py --compare A B
    run.py --report DIR | --markdown DIR [--into FILE] | --laws DIR [--into FILE]
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time

import compare
import markdown
import page
import plots
from groups import FOLDER_LAST, GROUPS

# Others had so much of the processors: the run is called disturbed.
DISTURBED_SHARE = 0.10


def busy_seconds():
    """Processor seconds of everybody since the system started, those stolen by its host included."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def text_of(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine(directory):
    """What the programs' own description lacks."""
    return {
        "compiler": text_of("cc", "--version").split("\n")[0],
        "c_library": " ".join(platform.libc_ver()),
        "revision": text_of("git", "describe", "--always", "--dirty"),
        "file_system": text_of("df", "--output=fstype", directory).split("\n")[-1],
        "load_before": os.getloadavg()[0],
    }


def tables_of(program, title, result):
    """The tables of a program's JSON, whichever of the two forms it has."""
    if "tables" in result:
        return result["tables"]
    if program == "snapshot":
        return [snapshot_table(result)]
    plot_x = next((row["plot_x"] for row in result["rows"] if "plot_x" in row), "")
    return [{"title": title, "note": "", "plot_x": plot_x, "competitors": result["competitors"], "rows": result["rows"]}]


def snapshot_table(result):
    """Of the snapshot benchmark's own form: who copies, and in how many seconds."""
    names = {"loft_seconds": ("loft", "loft_arena_snapshot"),
             "cp_seconds": ("cp", "cp --reflink=never, fsync"),
             "reflink_seconds": ("reflink", "cp --reflink=always, fsync")}
    columns, cells = [], {}
    for key, (short, what) in names.items():
        has = bool(result[key]["values"])
        columns.append({"name": short, "loft": short == "loft", "what": what, "version": "",
                        "absent": "" if has else "the file system has none"})
        if has:
            cells[short] = {"missing": "", "rounds": result[key]}
    cells["loft"]["ratio_to_best_peer"] = result["loft_seconds"]["median"] / result["cp_seconds"]["median"]
    rows = [{"title": f"{result['heap_mib']:.0f} MiB at rest", "unit": "s", "more_is_better": False,
             "best_peer": "cp", "goal_ratio": 0, "figures": cells}]
    for key, title in (("small_seconds", "100 MiB"), ("sparse_seconds", "100 MiB in an arena of 900 GiB"),
                       ("check_seconds", f"loft_file_check of {result['check_bytes'] / 2 ** 20:.0f} MiB")):
        rows.append({"title": title, "unit": "s", "more_is_better": False, "best_peer": "", "goal_ratio": 0,
                     "figures": {"loft": {"missing": "", "rounds": result[key]}}})
    waits = {f"{stall['who']} beside {stall['beside']}": [(2 ** k, count) for k, count in enumerate(stall["buckets"]) if count]
             for stall in result["stalls"]}
    return {"title": "Snapshots beside cp", "waits": waits, "competitors": columns, "rows": rows,
            "note": "Until the copy is on the device. The plot: how long a thread that mutates, and a control that "
                    "touches no memory, wait from one "
                    f"section to the next; a snapshot itself held it for {result['held_ns'] / 1e6:.3f} ms at most."}


def command_of(options, name, plan, json_path):
    command = [os.path.join(options.programs, name)] + plan["arguments"]
    rounds = plan["rounds"][0 if options.quick else 1]
    command += ["--quick"] if options.quick else []
    command += ["--rounds", str(rounds)] if rounds else []
    command += ["--json", json_path]
    return command + ([] if name in FOLDER_LAST else ["--directory"]) + [options.directory]


def shown_command(options, name, command, json_path):
    """As a reader would type it: without what this program adds for itself."""
    words = [name] + ["DIR" if word == options.directory else word for word in command[1:]]
    return " ".join(word for word in words if word not in ("--json", json_path))


def run_program(options, group, plan):
    name = plan["program"]
    json_path = os.path.join(options.output, "program.json")
    command = command_of(options, name, plan, json_path)
    if not os.access(command[0], os.X_OK):
        group["failed"].append(f"{name} was not built")
        return
    group["commands"].append(shown_command(options, name, command, json_path))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    group["text"] += done.stdout
    if done.returncode != 0:
        group["failed"].append(f"{name} ended with {done.returncode}")
    if os.path.exists(json_path):
        if done.returncode == 0:
            with open(json_path, encoding="utf-8") as file:
                result = json.load(file)
            group["tables"] += tables_of(name, plan["title"], result)
            group["machine"] = result.get("machine", group["machine"])
            group["disturbed_rounds"] = max(group["disturbed_rounds"],
                                            result.get("disturbed_rounds", 0))
        os.remove(json_path)


def run_group(options, name, progress):
    group = {"commands": [], "tables": [], "text": "", "failed": [], "machine": None,
             "disturbed_rounds": 0}
    busy, own, begin = busy_seconds(), own_seconds(), time.monotonic()
    for plan in GROUPS[name]["run"]:
        progress.begins(name, plan)
        run_program(options, group, plan)
    group["seconds"] = time.monotonic() - begin
    others = (busy_seconds() - busy) - (own_seconds() - own)
    share = others / max(group["seconds"], 0.01) / os.cpu_count()
    group["others_share"] = max(0.0, share)
    group["disturbed"] = share > DISTURBED_SHARE or group["disturbed_rounds"] > 0.05
    return group


class Progress:
    """Time left: the estimates of what is to come, stretched as those so far were."""

    def __init__(self, quick, names):
        self.mode = 0 if quick else 1
        self.plans = [plan for name in names for plan in GROUPS[name]["run"]]
        self.done, self.began = 0, time.monotonic()

    def begins(self, group, plan):
        expected = [one["seconds"][self.mode] for one in self.plans]
        so_far = time.monotonic() - self.began
        stretch = so_far / sum(expected[:self.done]) if self.done > 0 else 1.0
        left = sum(expected[self.done:]) * stretch
        words = " ".join([plan["program"]] + plan["arguments"][1:])
        self.done += 1
        print(f"bench: {self.done} of {len(expected)}: {group}: {words}; {so_far:.0f} s so far, about {left:.0f} s left",
              file=sys.stderr, flush=True)


def run_all(options):
    names = options.groups or list(GROUPS)
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        sys.exit(f"bench: no group \"{unknown[0]}\"; there are: {' '.join(GROUPS)}")
    os.makedirs(options.output, exist_ok=True)
    results = {"format": 1, "mode": "quick" if options.quick else "full",
               "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine(options.directory),
               "groups": {}}
    progress = Progress(options.quick, names)
    for name in names:
        results["groups"][name] = run_group(options, name, progress)
        with open(os.path.join(options.output, "results.json"), "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    write_report(results, options.output)
    print(os.path.join(options.output, "report.html"))
    return 1 if any(group["failed"] for group in results["groups"].values()) else 0


def write_report(results, folder):
    drawn = plots.draw(results, folder)
    with open(os.path.join(folder, "report.html"), "w", encoding="utf-8") as file:
        file.write(page.make(results, drawn))


def main():
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: a glance (default)")
    parser.add_argument("--full", action="store_true", help="a measurement: up to two hours")
    parser.add_argument("--programs", help=argparse.SUPPRESS)
    parser.add_argument("--output", help="folder of the results (default: bench/results/DATE)")
    parser.add_argument("--directory", default=".", help="where the benchmarks' files lie while they run")
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"), help="two results, or folders of them")
    parser.add_argument("--report", metavar="DIR", help="write the page and plots of results that are there")
    parser.add_argument("--markdown", metavar="DIR", help="print the tables of results that are there as Markdown")
    parser.add_argument("--laws", metavar="DIR", help="print how loft's measured costs grow, as Markdown")
    parser.add_argument("--into", metavar="FILE", help="put that into this document instead, between its two marks")
    parser.add_argument("groups", nargs="*", metavar="GROUP",
                        help=f"{', '.join(GROUPS)} (the default: all of these)")
    options = parser.parse_args()
    if options.compare:
        return compare.main(*options.compare)
    if options.report:
        write_report(compare.load(options.report), options.report)
        return 0
    if options.markdown or options.laws:
        make = markdown.make if options.markdown else markdown.laws
        made = make(compare.load(options.markdown or options.laws))
        if options.into:
            markdown.into(options.into, made)
        else:
            print(made)
        return 0
    options.quick = not options.full
    return run_all(options)


if __name__ == "__main__":
    sys.exit(main())
