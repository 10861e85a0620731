"""The report: one page of HTML that needs nothing beside it."""

import base64
from html import escape

import fits
import plots
from groups import GROUPS

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1150px; padding: 1rem; color: #111; background: #fff; }
h1 { font-size: 1.6rem; } h2 { border-bottom: 2px solid #ccc; margin-top: 2.5rem; } h3 { margin: 1.6rem 0 .3rem; }
.wide { overflow-x: auto; border: 1px solid #ddd; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .86rem; min-width: 100%; }
th, td { padding: .3rem .6rem; text-align: right; vertical-align: top; border-bottom: 1px solid #eee; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; min-width: 6.5rem; max-width: 11rem; white-space: normal; }
td small { display: block; color: #555; max-width: 7.5rem; margin-left: auto; white-space: normal; } td.loft { background: #f2f6ff; } th { background: #f6f6f6; }
th:first-child { background: #f6f6f6; }
small.range { white-space: nowrap; } .note { color: #333; max-width: 48rem; } .warn { border-left: 5px solid #b30000; background: #fff3f0; padding: .4rem .8rem; }
.behind { font-weight: bold; } img { width: 100%; min-width: 620px; max-width: 860px; height: auto; display: block; }
code, pre { font-size: .82rem; background: #f6f6f6; } pre { overflow-x: auto; padding: .6rem; } code { overflow-wrap: anywhere; }
dt { font-weight: bold; } dd { margin: 0 0 .3rem 1rem; } summary { cursor: pointer; }
"""


def number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def goal_words(figure):
    """What became of a figure's goals: (text, is one missed)."""
    words, missed = [], False
    for ratio, met, of in (("ratio_to_best_peer", "goal_met", "best peer"),
                           ("ratio_to_floor", "goal_floor_met", "floor")):
        if ratio in figure:
            text = f"{figure[ratio]:.2f} × {of}"
            if met in figure:
                text += ", goal met" if figure[met] else ", goal missed"
                missed |= not figure[met]
            words.append(text)
    if "goal_figure_met" in figure:
        words.append("goal met" if figure["goal_figure_met"] else "goal missed")
        missed |= not figure["goal_figure_met"]
    return words, missed


def cell(row, competitor):
    figure = row["figures"].get(competitor["name"])
    kind = " class=loft" if competitor["loft"] else ""
    if figure is None or not figure["rounds"]["values"]:
        why = (figure or {}).get("missing", "")
        return f"<td{kind}>–{'<small>' + escape(why) + '</small>' if why else ''}</td>"
    rounds = figure["rounds"]
    shown = number(rounds["low" if row.get("low") else "median"])
    if competitor["name"] == row["best_peer"]:
        shown = f"<b>{shown}*</b>"
    text = f"{shown}"
    if len(rounds["values"]) > 1:
        text += f"<small class=range>{number(rounds['min'])} to {number(rounds['max'])}</small>"
        text += f"<small>± {rounds['noise'] * 100:.0f} %</small>"
    if figure.get("cold", 0) > 0:
        text += f"<small>cold {number(figure['cold'])}</small>"
    if "interval" in figure:
        low, high = figure["interval"]
        text += f"<small class=range>95 %: {low:.3f} to {high:.3f}</small>"
    if competitor["loft"]:
        words, missed = goal_words(figure)
        css = " class=behind" if missed else ""
        text += "".join(f"<small{css}>{escape(word)}</small>" for word in words)
    return f"<td{kind}>{text}</td>"


def goal_cell(row):
    words = []
    if row["goal_ratio"] > 0:
        words.append(f"{row['goal_ratio']:.2f} × best peer")
    if row.get("goal_floor_ratio", 0) > 0:
        words.append(f"{row['goal_floor_ratio']:.2f} × floor")
    if row.get("goal", 0) > 0:
        words.append(f"{number(row['goal'])} {row['unit']}")
    return "<td>" + "".join(f"<small>{escape(word)}</small>" for word in words) + "</td>"


def fits_html(table):
    """What the curves of loft's, and of the best peers, follow."""
    parts = []
    for plot, (unit, lines) in plots.curves(table).items():
        found = [fits.sentence(name, points, unit) for name, points in lines.items()]
        items = "".join(f"<li>{escape(text)}</li>" for text in found if text)
        if items:
            parts.append(f"<details><summary>How it grows: {escape(plot)} over x, {escape(table.get('plot_x') or 'x')}</summary>"
                         f"<ul>{items}</ul></details>")
    return parts


def table_html(table, images):
    present = [c for c in table["competitors"] if not c["absent"]]
    present = [c for c in present if any(c["name"] in row["figures"] for row in table["rows"])]
    parts = [f"<h3>{escape(table['title'])}</h3><p class=note>{escape(table.get('note', ''))}</p>"]
    for name, svg, shows in images:
        data = base64.b64encode(svg.encode()).decode()
        parts.append(f'<div class=wide><img alt="{escape(shows)}" title="{escape(name)}" '
                     f'src="data:image/svg+xml;base64,{data}"></div>')
    parts += fits_html(table)
    head = "".join(f"<th>{escape(c['name'])}</th>" for c in present)
    parts.append(f"<div class=wide><table><tr><th>work, unit</th>{head}<th>loft, at most</th></tr>")
    for row in table["rows"]:
        more = ", more is better" if row["more_is_better"] else ""
        cells = "".join(cell(row, c) for c in present)
        parts.append(f"<tr><td>{escape(row['title'])}, {escape(row['unit'])}{more}</td>"
                     f"{cells}{goal_cell(row)}</tr>")
    parts.append("</table></div><details><summary>Who is who</summary><dl>")
    for c in table["competitors"]:
        words = "; ".join(word for word in (c["what"], c["version"]) if word)
        if c["absent"]:
            words = f"ABSENT: {c['absent']}"
        parts.append(f"<dt>{escape(c['name'])}</dt><dd>{escape(words)}</dd>")
    parts.append("</dl></details>")
    return "\n".join(parts)


def group_html(name, group, drawn):
    about = GROUPS[name]
    parts = [f"<h2 id={name}>{escape(name)}</h2><p class=note>{escape(about['about'])}</p>"]
    if about["not"]:
        parts.append(f"<p class=note>Not measured: {escape(about['not'])}</p>")
    if group["disturbed"]:
        parts.append(f"<p class=warn>This run was disturbed: other programs had {group['others_share']:.0%} of the "
                     f"processors, {group['disturbed_rounds']:.0%} of the rounds that notice it were hit. Read ratios, "
                     "not times.</p>")
    parts += [f"<p class=warn>{escape(text)}</p>" for text in group["failed"]]
    for table in group["tables"]:
        parts.append(table_html(table, drawn.get((name, table["title"]), [])))
    shown = "" if group["tables"] else " open"
    parts.append(f"<details{shown}><summary>What the programs printed ({group['seconds']:.0f} s)</summary>")
    parts.append("".join(f"<p><code>{escape(command)}</code></p>" for command in group["commands"]))
    parts.append(f"<pre>{escape(group['text'])}</pre></details>")
    return "\n".join(parts)


def goals(results):
    """(met, missed): texts of every goal of loft's figures."""
    met, missed = [], []
    for name, group in results["groups"].items():
        for table in group["tables"]:
            for row in table["rows"]:
                for competitor, figure in row["figures"].items():
                    words, is_missed = goal_words(figure)
                    if any("goal" in word for word in words):
                        text = f"{name}: {table['title']}: {row['title']}, {row['unit']}: {competitor}: {'; '.join(words)}"
                        (missed if is_missed else met).append(text)
    return met, missed


def absent(results):
    found = {}
    for group in results["groups"].values():
        for table in group["tables"]:
            for c in table["competitors"]:
                if c["absent"]:
                    found[c["name"]] = c["absent"]
    return found


def summary_html(results):
    met, missed = goals(results)
    parts = [f"<p>Of {len(met) + len(missed)} figures of loft's that have a goal, {len(met)} reach it"
             f"{' and ' + str(len(missed)) + ' do not' if missed else ''}. A goal is a distance to the best peer or to the "
             "floor, as measured on the machine that the goals come from.</p>"]
    if missed:
        items = "".join(f"<li>{escape(text)}</li>" for text in missed)
        parts.append(f"<details><summary>Where loft is not where it should be</summary><ul>{items}</ul></details>")
    for name, why in absent(results).items():
        parts.append(f"<p class=warn>{escape(name)} did not take part: {escape(why)}</p>")
    if results.get("no_plots"):
        parts.append(f"<p class=warn>No plots: {escape(results['no_plots'])}</p>")
    missing = [name for name in GROUPS if name not in results["groups"]]
    if missing:
        parts.append(f"<p>Groups that were not run: {escape(', '.join(missing))}.</p>")
    return "\n".join(parts)


def machine_html(results):
    lines = dict(next((g["machine"] for g in results["groups"].values() if g["machine"]), {}) or {})
    lines.update(results["machine"])
    rows = "".join(f"<tr><td>{escape(key.replace('_', ' '))}</td><td>{escape(str(value))}</td></tr>"
                   for key, value in lines.items() if value != "")
    return f"<h2 id=machine>The machine</h2><div class=wide><table>{rows}</table></div>"


def make(results, drawn):
    links = " · ".join(f"<a href='#{name}'>{name}</a>" for name in list(results["groups"]) + ["machine"])
    body = "\n".join(group_html(name, group, drawn) for name, group in results["groups"].items())
    return f"""<!DOCTYPE html>
<html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<title>loft: benchmarks of {escape(results['date'])}</title><style>{STYLE}</style></head><body>
<h1>loft: benchmarks, {escape(results['date'])} ({escape(results['mode'])})</h1>
<p class=note>Competitors take turns within one run. A figure is the median of the rounds (for bytes written the lower quartile),
below it least and most, the noise (half the distance of the quartiles) and, where it is told apart, the first, cold round. * marks the best peer; smaller is better unless the row says otherwise. The tinted columns are
loft's. {'A quick run has few rounds: a glance, not a measurement.' if results['mode'] == 'quick' else ''}</p>
<p>{links}</p>
{summary_html(results)}
{body}
{machine_html(results)}
</body></html>
"""
