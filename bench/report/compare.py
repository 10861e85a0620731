"""Two results side by side: which figures changed by more than their noise.

A figure's rounds give the standard error of its median (from the distance of the quartiles, as if the rounds
were normal). A change is marked if it is more than four standard errors of both together and more than 3 %:
less than that the placement of code moves. Rounds of one run know nothing of what differs between runs (another
machine, a warmer one): so the peers' common drift is told, too.
"""

import json
import math
import os

ERRORS = 4.0
LEAST_CHANGE = 0.03
# For so few rounds the quartiles say little: the whole range is taken.
ROUNDS_FOR_QUARTILES = 5


def load(path):
    if os.path.isdir(path):
        path = os.path.join(path, "results.json")
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def figures(results):
    """(group, table, row, unit, competitor) -> (row, its rounds, is it loft)."""
    found = {}
    for name, group in results["groups"].items():
        for table in group["tables"]:
            lofts = {c["name"] for c in table["competitors"] if c["loft"]}
            for number, row in enumerate(table["rows"]):
                for competitor, figure in row["figures"].items():
                    if figure["rounds"]["values"]:
                        # A row that is a part of the one above it is told apart by its place.
                        key = (name, table["title"], number, row["title"], row["unit"], competitor)
                        found[key] = (row, figure["rounds"], competitor in lofts)
    return found


def quantile(values, part):
    at = part * (len(values) - 1)
    below = int(at)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (at - below)


def median_and_error(row, rounds):
    values = sorted(rounds["values"])
    if row.get("low"):
        return quantile(values, 0.25), quantile(values, 0.5) - quantile(values, 0.25)
    if len(values) < ROUNDS_FOR_QUARTILES:
        spread = values[-1] - values[0]
    else:
        spread = quantile(values, 0.75) - quantile(values, 0.25)
    # 1.349: quartile distance of the normal distribution; 1.253: error of a median over that of a mean.
    return quantile(values, 0.5), 1.253 * spread / 1.349 / math.sqrt(len(values))


def changes(a, b):
    """[(key, factor, is it loft, is it beyond the noise)]; a factor above 1 is worse."""
    ours, found = figures(b), []
    for key, (row, rounds, is_loft) in figures(a).items():
        if key not in ours:
            continue
        before, error_before = median_and_error(row, rounds)
        after, error_after = median_and_error(row, ours[key][1])
        if before <= 0 or after <= 0:
            continue
        factor = before / after if row["more_is_better"] else after / before
        noise = ERRORS * math.hypot(error_before, error_after)
        beyond = abs(after - before) > max(noise, LEAST_CHANGE * before)
        found.append((key, factor, is_loft, beyond))
    return found


def text(a, b):
    all_changes = changes(a, b)
    marked = [change for change in all_changes if change[3]]
    lines = []
    for key, factor, is_loft, _ in marked:
        group, table, _, row, unit, competitor = key
        word = "slower or more" if factor > 1 else "faster or less"
        lines.append(f"{'*' if is_loft else ' '} {group}: {table}: {row}, {unit}: {competitor}: "
                     f"{(factor - 1) * 100:+.1f} % ({word})")
    peers = sorted(factor for _, factor, is_loft, _ in all_changes if not is_loft)
    if peers:
        drift = (quantile(peers, 0.5) - 1) * 100
        lines.append(f"The others' median change is {drift:+.1f} %: so far the machine differs.")
    for name, results in (("A", a), ("B", b)):
        bad = [group for group, figure in results["groups"].items() if figure["disturbed"]]
        if bad:
            lines.append(f"{name} was disturbed in: {', '.join(bad)}.")
    lines.append(f"{len(marked)} of {len(all_changes)} figures changed beyond noise.")
    return "\n".join(lines)


def main(path_a, path_b):
    print(text(load(path_a), load(path_b)))
    return 0
