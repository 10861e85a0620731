"""Says which branches no test took, from gcovr's JSON report, and judges the list of exceptions.

    branches.py REPORT.json EXCEPTIONS

The condition of LOFTI_ASSERT or LOFTI_CHECK is left out, over as many lines as it has: there is a proof that it holds, and
its other side ends the program. Every other branch must be taken, or stand in EXCEPTIONS: lines of

    file <tab> the line's text <tab> reason

An entry excuses one line. Ends with 1 if a branch is neither taken nor listed, and if an entry of the list excuses
nothing: its line is no longer there, or all of its branches are taken.
"""
import json
import re
import sys


def assertion_lines(source):
    """Numbers, from 1, of the lines that a LOFTI_ASSERT or LOFTI_CHECK covers."""
    inside, depth = set(), 0
    for number, line in enumerate(source, 1):
        begin = re.search(r"\bLOFTI_(ASSERT|CHECK)\(", line)
        if depth == 0 and not begin:
            continue
        text = line if depth else line[begin.start():]
        depth += text.count("(") - text.count(")")
        inside.add(number)
    return inside


def read_exceptions(path):
    """{(file, text): reason}"""
    exceptions = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                file, text, reason = line.rstrip("\n").split("\t")
                assert reason and (file, text) not in exceptions, line
                exceptions[file, text] = reason
    return exceptions


def main(report, list_path):
    exceptions, used = read_exceptions(list_path), set()
    total = missed = excused = 0
    with open(report, encoding="utf-8") as text:
        files = json.load(text)["files"]
    for file in files:
        with open(file["file"], encoding="utf-8") as text:
            source = text.read().splitlines()
        assertions = assertion_lines(source)
        for line in file["lines"]:
            number = line["line_number"]
            if number in assertions:
                continue
            untaken = sum(branch["count"] == 0 for branch in line["branches"])
            total += len(line["branches"])
            if untaken == 0:
                continue
            key = file["file"], source[number - 1].strip()
            if key in exceptions and key not in used:
                used.add(key)
                excused += untaken
            else:
                missed += untaken
                print(f"{key[0]}:{number}: {untaken} of {len(line['branches'])} not taken: {key[1]}")
    stale = sorted(exceptions.keys() - used)
    for path, text in stale:
        print(f"{list_path}: excuses nothing: {path}: {text}")
    taken = total - excused - missed
    print(f"branches: {taken} of {total} taken, {excused} excused by {len(exceptions)} exceptions")
    return 1 if missed or stale or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
