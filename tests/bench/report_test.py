"""The benchmarks' report: comparing two results marks what changed beyond noise and nothing else; the page names
who is absent, what was disturbed and which goals were missed.

    report_test.py SOURCE [PROGRAM]

PROGRAM, a benchmark that makes tables, is run for a real result, if it is given.
"""

import copy
import json
import math
import os
import random
import subprocess
import sys
import tempfile

SOURCE = sys.argv[1]
sys.path.insert(0, os.path.join(SOURCE, "bench", "report"))

import compare  # noqa: E402
import fits  # noqa: E402
import groups  # noqa: E402
import markdown  # noqa: E402
import page  # noqa: E402
import plots  # noqa: E402

ROUNDS = 25


def rounds_of(values):
    values = list(values)
    ordered = sorted(values)
    return {"median": compare.quantile(ordered, 0.5), "min": ordered[0],
            "low": compare.quantile(ordered, 0.25), "max": ordered[-1], "noise": 0.0,
            "values": values}


def row_of(source, title, level, noise, more_is_better=False, low=False):
    def series(factor):
        return {"missing": "", "rounds": rounds_of(level * factor * (1 + noise * source.gauss(0, 1))
                                                   for _ in range(ROUNDS))}
    loft = series(1.5)
    loft.update({"ratio_to_best_peer": 1.5, "goal_met": False})
    return {"title": title, "unit": "ns", "more_is_better": more_is_better, "low": low, "best_peer": "peer",
            "goal_ratio": 1.0, "goal": 0, "plot": "time", "x": level, "figures": {"peer": series(1), "loft": loft}}


def planted(seed):
    source = random.Random(seed)
    columns = [{"name": "peer", "loft": False, "what": "", "version": "", "absent": ""},
               {"name": "loft", "loft": True, "what": "", "version": "", "absent": ""},
               {"name": "gone <one>", "loft": False, "what": "", "version": "", "absent": "it is not installed"}]
    rows = [row_of(source, f"work {i}", 10.0 * (i + 1), 0.02) for i in range(8)]
    rows.append(row_of(source, "noisy", 50, 0.3))
    rows.append(row_of(source, "many", 80, 0.02, more_is_better=True))
    group = {"commands": ["heap --quick"], "tables": [{"title": "T", "note": "", "competitors": columns, "rows": rows}],
             "text": "", "failed": [], "machine": None, "disturbed_rounds": 0.0, "seconds": 1.0,
             "others_share": 0.4, "disturbed": True}
    rows.append(row_of(source, "bytes", 60, 0.02, low=True))
    return {"format": 1, "mode": "quick", "date": "2000-01-01", "machine": {"compiler": "cc"},
            "groups": {"heap": group}}


def slow_down(results, title, competitor, factor):
    results = copy.deepcopy(results)
    for row in results["groups"]["heap"]["tables"][0]["rows"]:
        if row["title"] == title:
            figure = row["figures"][competitor]
            figure["rounds"] = rounds_of(value * factor for value in figure["rounds"]["values"])
    return results


def marked(a, b):
    return [(key[3], key[5]) for key, _, _, beyond in compare.changes(a, b) if beyond]


def test_against_itself_nothing_changes():
    for seed in range(20):
        one = planted(seed)
        assert marked(one, one) == [], seed
        assert compare.text(one, one).endswith("0 of 22 figures changed beyond noise.")


def test_a_planted_slowdown_is_marked_and_nothing_else():
    for seed in range(20):
        one = planted(seed)
        assert marked(one, slow_down(one, "work 3", "loft", 1.10)) == [("work 3", "loft")], seed
        assert marked(slow_down(one, "work 3", "loft", 1.10), one) == [("work 3", "loft")], seed
        assert marked(one, slow_down(one, "noisy", "loft", 1.10)) == [], seed


def test_where_more_is_better_less_is_slower():
    one = planted(1)
    text = compare.text(one, slow_down(one, "many", "loft", 0.9))
    assert "many, ns: loft: +11.1 % (slower or more)" in text, text
    assert "A was disturbed in: heap." in text, text


def test_two_runs_of_the_same_differ_by_noise_alone():
    false_marks = sum(len(marked(planted(seed), planted(seed + 1000))) for seed in range(50))
    assert false_marks <= 5, false_marks  # of 1,100 figures


def test_the_page_tells_what_is_missing():
    text = page.make(planted(1), {})
    for words in ("gone &lt;one&gt; did not take part: it is not installed", "This run was disturbed", "goal missed",
                  "Groups that were not run:", "few rounds"):
        assert words in text, words
    assert "<one>" not in text


def test_plots_tell_competitors_apart():
    table = planted(1)["groups"]["heap"]["tables"][0]
    unit, lines = plots.curves(table)["time"]
    script = plots.curve_script(table, "time", unit, lines)
    looks = [line for line in script.split("\n") if "linespoints" in line]
    assert len({line.split("pointtype ")[1].split()[0] for line in looks}) == 2, looks
    assert 'ylabel "time (ns)"' in script and "set xlabel" in script


def test_no_two_competitors_of_a_table_look_alike():
    for loft, most in ((True, 6), (False, 7)):
        looks = plots.styles([{"name": str(at), "loft": loft} for at in range(most)], True)
        for part in ("pointtype ", "linecolor rgb "):
            assert len({look.split(part)[1].split()[0] for look in looks.values()}) == most, looks


def planted_curve(source, law, noise=0.03):
    return [(x, law(x) * (1 + noise * source.gauss(0, 1))) for x in (1, 10, 100, 1000, 10000, 100000)]


def test_planted_laws_of_growth_are_found():
    laws = {"constant": lambda x: 40.0, "line": lambda x: 5 + 0.2 * x, "logarithm": lambda x: 10 + 8 * math.log2(x),
            "power": lambda x: 3 * x ** 0.6}
    for seed in range(20):
        source = random.Random(seed)
        for model, law in laws.items():
            found = fits.fit(planted_curve(source, law))
            assert found.model == model, (seed, model, found.model)
            assert 0.7 < found.at(1e7) / law(1e7) < 1.4, (seed, model, found.at(1e7), law(1e7))
            assert found.spread < 0.1, (seed, model, found.spread)


def test_too_few_points_have_no_law():
    assert fits.fit([(1, 5), (10, 6), (100, 7)]) is None
    assert fits.sentence("loft", [(1, 5), (10, 6), (100, 0)], "ns") == ""


def test_the_page_tells_cold_noise_and_growth():
    results = planted(1)
    row = results["groups"]["heap"]["tables"][0]["rows"][0]
    row["figures"]["loft"]["cold"] = 1234.0
    row["figures"]["loft"]["rounds"]["noise"] = 0.07
    text = page.make(results, {})
    for words in ("cold 1,234", "± 7 %", "How it grows: time over x"):
        assert words in text, words


def test_markdown_has_every_row_and_who_is_absent():
    text = markdown.make(planted(1))
    for words in ("| work 3, ns |", "| many, ns, more is better |", "gone <one> did not take part: it is not installed",
                  "Growth of the time", "of the rounds that notice it were hit: it was disturbed", "work 3: loft at 1.50 × peer"):
        assert words in text, words


def test_markdown_goes_between_the_marks_of_a_document():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "page.md")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"before\n\n{markdown.BEGIN}\nold\n{markdown.END}\nafter\n")
        for made in (markdown.make(planted(1)), markdown.laws(planted(1))):
            markdown.into(path, made)
            with open(path, encoding="utf-8") as file:
                assert file.read() == f"before\n\n{markdown.BEGIN}\n\n{made}\n\n{markdown.END}\nafter\n"
        with open(path, "w", encoding="utf-8") as file:
            file.write("no marks")
        try:
            markdown.into(path, "made")
        except SystemExit as refused:
            assert "needs one line" in str(refused)
        else:
            raise AssertionError("a document without marks was taken")


def test_laws_are_told_of_loft_alone():
    text = markdown.laws(planted(1))
    assert "| time, loft | x, " in text and "· x^1.00 |" in text and "peer" not in text, text


def test_every_group_of_the_issue_runs_if_none_is_named():
    assert list(groups.GROUPS) == ["heap", "threads", "persistent", "commit", "reopen", "snapshot", "region", "programs"]
    for mode, most in ((0, 480), (1, 5400)):  # seconds, beside building and installing
        total = sum(plan["seconds"][mode] for group in groups.GROUPS.values() for plan in group["run"])
        assert total <= most, (mode, total)


def test_a_real_result_is_understood(program):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "program.json")
        subprocess.run([program, "--quick", "--rounds", "3", "--json", path, "--directory", folder], check=True,
                       stdout=subprocess.DEVNULL)
        with open(path, encoding="utf-8") as file:
            tables = json.load(file)["tables"]
        assert os.listdir(folder) == ["program.json"], os.listdir(folder)
    results = planted(1)
    results["groups"]["heap"]["tables"] = tables
    assert len(compare.figures(results)) >= 8
    assert marked(results, results) == []
    assert all(table["title"] in page.make(results, {}) for table in tables)


for name, test in list(globals().items()):
    if name.startswith("test_") and name != "test_a_real_result_is_understood":
        test()
        print(f"ok {name[5:].replace('_', ' ')}")
if len(sys.argv) > 2:
    test_a_real_result_is_understood(sys.argv[2])
    print("ok a real result is understood")
