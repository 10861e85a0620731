"""Plots by gnuplot, SVG and PNG: the curves of tables that have them, and loft's ratios of those that do not."""

import os
import re
import shutil
import subprocess

# Told apart by point, dash and colour; loft's are the thick ones.
DASHES = ["1", "(12,6)", "(4,4)", "(16,4,4,4)", "(2,6)", "(20,6)", "(8,3,2,3)"]
POINTS = [4, 6, 8, 10, 12, 1, 2]
LOFT_POINTS = [7, 5, 9, 13, 11, 15]
COLOURS = ["#666666", "#b35900", "#1b7837", "#762a83", "#8c6d00", "#01665e", "#a50026"]
LOFT_COLOURS = ["#0044cc", "#cc0066", "#007799", "#663300", "#5b2a9d", "#2e6b00"]


def curves(table):
    """plot -> (unit, {competitor: [(x, y)]}), in the table's order of competitors."""
    found = {}
    for row in table["rows"]:
        if not row.get("plot"):
            continue
        _, lines = found.setdefault(row["plot"], (row["unit"], {}))
        for competitor in table["competitors"]:
            figure = row["figures"].get(competitor["name"])
            if figure and figure["rounds"]["values"]:
                key = "low" if row.get("low") else "median"
                lines.setdefault(competitor["name"], []).append((row["x"], figure["rounds"][key]))
    return found


def ratios(table):
    """[(row, {loft's column: its ratio to the best peer, else to the floor})], and which of the two."""
    against, found = None, []
    for word, key in (("the best peer", "ratio_to_best_peer"), ("the floor", "ratio_to_floor")):
        for row in table["rows"]:
            of_row = {name: figure[key] for name, figure in row["figures"].items()
                      if figure.get(key) and any(c["name"] == name and c["loft"]
                                                 for c in table["competitors"])}
            if of_row and not row.get("plot"):
                found.append((row["title"].replace("... ", "… "), of_row))
        if found:
            against = word
            break
    return against, found


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def style(at, is_loft, drawn):
    colours, points = (LOFT_COLOURS, LOFT_POINTS) if is_loft else (COLOURS, POINTS)
    dash = "1" if is_loft else DASHES[at % len(DASHES)]
    line = f"linecolor rgb '{colours[at % len(colours)]}' pointtype {points[at % len(points)]} pointsize 0.9"
    return line + (f" linewidth {3 if is_loft else 1.5} dashtype {dash}" if drawn else "")


def styles(competitors, drawn):
    """name -> gnuplot's style; loft and the others are counted apart."""
    found, counts = {}, {True: 0, False: 0}
    for competitor in competitors:
        is_loft = competitor["loft"]
        found[competitor["name"]] = style(counts[is_loft], is_loft, drawn)
        counts[is_loft] += 1
    return found


def curve_script(table, plot, unit, lines):
    looks = styles(table["competitors"], True)
    text = ["set logscale xy", "set key outside bottom center horizontal spacing 1.3 samplen 3", "set bmargin 6",
            "set grid linecolor rgb '#cccccc'",
            "set format x '%.0s%c'", "set format y '%g'", f"set title {quoted(table['title'])} noenhanced",
            f"set xlabel {quoted(table.get('plot_x') or 'x')}", f"set ylabel {quoted(f'{plot} ({unit})')}"]
    every = [y for points in lines.values() for _, y in points]
    if max(every) / min(every) < 100:
        text += [f"set yrange [{min(every) / 1.3:.6g}:{max(every) * 1.3:.6g}]",
                 f"set ytics ({tics(min(every) / 1.3, max(every) * 1.3)})"]
    where = sorted({x for points in lines.values() for x, _ in points})
    if where[-1] <= 100:
        text.append("set xtics (" + ", ".join(f"'{x:g}' {x:g}" for x in where) + ")")
    parts, data = [], []
    for name, points in lines.items():
        parts.append(f"'-' with linespoints {looks[name]} title {quoted(name)} noenhanced")
        data += [f"{x:.10g} {y:.10g}" for x, y in points] + ["e"]
    return "\n".join(text + ["plot " + ", \\\n ".join(parts)] + data) + "\n"


def tics(least, most):
    """The marks of a logarithmic axis: the fewer decades, the more in each."""
    marks = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9) if most / least < 12 else (1, 2, 5) if most / least < 2000 else (1,)
    every = sorted(mark * 10.0 ** decade for decade in range(-6, 12) for mark in marks)
    return ", ".join(f"'{value:g}' {value:.6g}" for value in every if least <= value <= most)


def ratio_script(table, against, rows):
    names = [c["name"] for c in table["competitors"] if any(c["name"] in of for _, of in rows)]
    looks = styles([c for c in table["competitors"] if c["loft"]], False)
    labels = ", ".join(f"{quoted(title)} {len(rows) - at}" for at, (title, _) in enumerate(rows))
    text = ["set logscale x", "set grid linecolor rgb '#dddddd'", f"set yrange [0.4:{len(rows) + 0.6}]",
            f"set ytics noenhanced ({labels})", f"set title {quoted(table['title'])} noenhanced",
            f"set xlabel {quoted(f'loft over {against}; left of 1 loft is ahead')}", "set format x '%g'",
            "set key below spacing 1.2",
            "set arrow from 1, graph 0 to 1, graph 1 nohead linewidth 2 linecolor rgb '#444444'"]
    every = [value for _, of in rows for value in of.values()]
    least, most = min(min(every), 1) / 1.3, max(max(every), 1) * 1.3
    text += [f"set xrange [{least:.6g}:{most:.6g}]", f"set xtics ({tics(least, most)})"]
    parts, data = [], []
    for name in names:
        parts.append(f"'-' with points {looks[name]} title {quoted(name)} noenhanced")
        data += [f"{of[name]:.6g} {len(rows) - at}" for at, (_, of) in enumerate(rows) if name in of]
        data.append("e")
    return "\n".join(text + ["plot " + ", \\\n ".join(parts)] + data) + "\n"


def run_gnuplot(script, folder, name, height):
    for kind, terminal in (("svg", f"svg size 800,{height} dynamic font 'sans-serif,13' background '#ffffff'"),
                           ("png", f"pngcairo size 1200,{height * 3 // 2} font 'sans,14'")):
        path = os.path.join(folder, f"{name}.{kind}")
        head = f"set terminal {terminal}\nset output {quoted(path)}\nset encoding utf8\n"
        done = subprocess.run(["gnuplot"], input=head + script, text=True, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise RuntimeError(f"gnuplot, {name}: {done.stderr.strip()}")


def waits_script(waits):
    """waits: who -> [(ns, how often)]; whoever mutates is thick, the control thin."""
    text = ["set logscale xy", "set key outside bottom center horizontal spacing 1.3 samplen 3", "set bmargin 8",
            "set grid linecolor rgb '#cccccc'", "set format x '%.0s%c'", "set format y '%.0s%c'", "set yrange [0.5:*]",
            f"set title {quoted('What a thread waits from one section to the next')}",
            "set xlabel 'wait (ns), powers of two'", "set ylabel 'how often'"]
    looks = styles([{"name": who, "loft": not who.startswith("control")} for who in waits], True)
    parts, data = [], []
    for who, points in waits.items():
        parts.append(f"'-' with linespoints {looks[who]} title {quoted(who)} noenhanced")
        data += [f"{x:.10g} {y:.10g}" for x, y in points] + ["e"]
    return "\n".join(text + ["plot " + ", \\\n ".join(parts)] + data) + "\n"


def file_name(group, *words):
    return re.sub(r"[^a-z0-9]+", "-", "-".join((group,) + words).lower()).strip("-")[:70]


def scripts(results):
    """(group, title of the table, name of the file, gnuplot's script, height, what it shows)."""
    for group, figures in results["groups"].items():
        for table in figures["tables"]:
            for plot, (unit, lines) in curves(table).items():
                yield (group, table["title"], file_name(group, table["title"], plot),
                       curve_script(table, plot, unit, lines), 440, f"{table['title']}: {plot}, {unit}")
            if table.get("waits"):
                yield (group, table["title"], file_name(group, "waits"), waits_script(table["waits"]), 480,
                       "What a thread waits from one section to the next")
            against, rows = ratios(table)
            if len(rows) > 2:
                yield (group, table["title"], file_name(group, table["title"], "ratio"),
                       ratio_script(table, against, rows), 130 + 26 * len(rows),
                       f"{table['title']}: loft's figures over those of {against}")


def draw(results, folder):
    """(group, title of the table) -> [(name of the SVG file, its text, what it shows)]; without gnuplot none."""
    drawn = {}
    if not shutil.which("gnuplot"):
        results["no_plots"] = "gnuplot is not installed (Debian: gnuplot-nox)"
        return drawn
    for group, title, name, script, height, shows in scripts(results):
        run_gnuplot(script, folder, name, height)
        with open(os.path.join(folder, name + ".svg"), encoding="utf-8") as file:
            drawn.setdefault((group, title), []).append((name + ".svg", file.read(), shows))
    return drawn
