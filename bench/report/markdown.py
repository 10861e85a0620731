"""A result's tables as Markdown: medians, as docs/benchmarks.md has them."""

import fits
import plots
from groups import GROUPS
from page import absent, goals, number


def cell(row, competitor):
    figure = row["figures"].get(competitor["name"])
    if figure is None or not figure["rounds"]["values"]:
        return "–"
    shown = number(figure["rounds"]["low" if row.get("low") else "median"])
    if competitor["loft"]:
        return f"**{shown}**"
    return f"{shown} *" if competitor["name"] == row["best_peer"] else shown


def ratio(row, table):
    """loft's first column over the best peer, or over the floor."""
    for competitor in table["competitors"]:
        figure = row["figures"].get(competitor["name"]) if competitor["loft"] else None
        if figure and "ratio_to_best_peer" in figure:
            return f"{figure['ratio_to_best_peer']:.2f}"
        if figure and "ratio_to_floor" in figure:
            return f"{figure['ratio_to_floor']:.2f} of the floor"
    return ""


def table_text(table):
    present = [c for c in table["competitors"]
               if not c["absent"] and any(c["name"] in row["figures"] for row in table["rows"])]
    bar = "\\|"
    lines = [f"### {table['title']}", ""]
    if table.get("note"):
        lines += [table["note"], ""]
    lines.append("| work, unit | " + " | ".join(c["name"] for c in present) + " | ratio |")
    lines.append("|---" * (len(present) + 2) + "|")
    for row in table["rows"]:
        more = ", more is better" if row["more_is_better"] else ""
        cells = " | ".join(cell(row, c) for c in present)
        lines.append(f"| {row['title'].replace('... ', '… ').replace('|', bar)}, {row['unit']}{more} | {cells} | {ratio(row, table)} |")
    for plot, (unit, curves) in plots.curves(table).items():
        said = [text for text in (fits.sentence(name, points, unit) for name, points in curves.items()) if text]
        if said:
            lines += ["", f"Growth of the {plot}, x: {table.get('plot_x') or 'x'}. {'; '.join(said)}."]
    return "\n".join(lines)


def behind(results):
    """Rows in which a peer is ahead of every column of loft's."""
    found = []
    for name, group in results["groups"].items():
        for table in group["tables"]:
            lofts = {c["name"] for c in table["competitors"] if c["loft"]}
            whole = ""
            for row in table["rows"]:
                part = row["title"].startswith("... ")
                whole = whole if part else row["title"]
                title = f"{whole}, {row['title'][4:]}" if part else whole
                ratios = {column: figure["ratio_to_best_peer"] for column, figure in row["figures"].items()
                          if column in lofts and "ratio_to_best_peer" in figure}
                if ratios and min(ratios.values()) > 1:
                    nearest = min(ratios, key=ratios.get)
                    found.append(f"{name}, {table['title']}: {title}: {nearest} at "
                                 f"{ratios[nearest]:.2f} × {row['best_peer']}")
    return found


def machine_text(results):
    lines = dict(next((g["machine"] for g in results["groups"].values() if g["machine"]), {}) or {})
    lines.update(results["machine"])
    lines.pop("load", None)
    return "\n".join(f"- {key.replace('_', ' ')}: {value}" for key, value in lines.items() if value != "")


def versions_text(results):
    found = {}
    for group in results["groups"].values():
        for table in group["tables"]:
            for c in table["competitors"]:
                if c["version"] and not c["loft"]:
                    found.setdefault(c["name"], c["version"])
    lines = [f"- {name}: {version}" for name, version in sorted(found.items())]
    return "\n".join(lines + [f"- {name} did not take part: {why}" for name, why in absent(results).items()])


def make(results):
    met, missed = goals(results)
    parts = [f"## The machine\n\n{machine_text(results)}", f"## Versions\n\n{versions_text(results)}",
             f"## Where loft is not ahead\n\nOf {len(met) + len(missed)} figures that have a goal, {len(met)} reach it. Rows in which "
             "every form of loft is behind the best peer, with the distance of the nearest:\n\n" +
             "\n".join(f"- {text}" for text in behind(results))]
    for name, group in results["groups"].items():
        parts.append(f"## {name}\n\n{GROUPS[name]['about']}")
        parts.append("\n".join(f"    {command}" for command in group["commands"]))
        parts.append(f"It took {group['seconds']:.0f} s; other programs had {group['others_share']:.0%} of the processors" +
                     (", so it was disturbed." if group["disturbed"] else "."))
        parts += [table_text(table) for table in group["tables"]]
    return "\n\n".join(parts)
