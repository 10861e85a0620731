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


BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def into(path, made):
    """Puts tables into a document, between its two marks: what people wrote around them stays."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise SystemExit(f"bench: {path} needs one line {BEGIN} and behind it one {END}")
    before, after = text[:text.index(BEGIN)], text[text.index(END):]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n\n{made}\n\n{after}")


# Where a law is asked for its value: by what the curve runs over.
FAR = (("MiB", 2 ** 20, "1 TiB"), ("live blocks", 1e10, "10^10 blocks"))


def amount(value):
    return f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def laws(results):
    """How each of loft's measured curves grows: what docs/scaling.md says of it."""
    lines = ["| cost | over | measured | law | spread | far away |", "|---|---|---|---|---|---|"]
    for group in results["groups"].values():
        for table in group["tables"]:
            over = table.get("plot_x") or "x"
            far = next(((x, name) for word, x, name in FAR if word in over), None)
            ours = {c["name"] for c in table["competitors"] if c["loft"]}
            for plot, (unit, curves) in plots.curves(table).items():
                for name, points in curves.items():
                    law = fits.fit(points) if name in ours else None
                    if law is not None:
                        (low, first), (high, last) = points[0], points[-1]
                        lines.append(f"| {plot}, {name} | {over}, {low:,.0f} to {high:,.0f} | {amount(first)} to {amount(last)} {unit} | "
                                     f"{law.formula(unit)} | {law.spread:.0%} | " +
                                     (f"{amount(law.at(far[0]))} {unit} at {far[1]} |" if far else "– |"))
    return "\n".join(lines)


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
                     (f", and {group['disturbed_rounds']:.0%} of the rounds that notice it were hit: it was disturbed."
                      if group["disturbed"] else "."))
        parts += [table_text(table) for table in group["tables"]]
    return "\n\n".join(parts)
