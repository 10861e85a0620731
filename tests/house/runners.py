"""Both runners tell the truth about a sample that passes, fails, skips, crashes, hangs and leaves
early, and leave nothing behind."""

import os
import re
import shutil
import tempfile

from house import ARGS, Skip, main, rule, run

PASSING = {"passes", "sees_a_death", "sees_a_failed_check", "counts_what_it_holds"}
FAILING = {"fails", "crashes", "hangs", "leaves_early", "fails_in_a_child"}
SUMMARY = "4 passed, 5 failed, 1 skipped"
# What a developer needs to see of the failing ones, whoever runs them.
WORDS = ["2 + 2 == 5 is false: 4 and 5", "tests/house/sample.c:", "LOFT_SEED=4711 repeats it",
         "words before the crash", "called exit before its end",
         "ended with signal 6, exit code -1, not with signal 11",
         "skip sample/skips: it needs 2 moons"]


def sample(runner):
    for given in ARGS.samples:
        name, path = given.split("=", 1)
        if name == runner:
            return path
    raise Skip(f"the tests were built without {runner}")


def run_sample(runner, *arguments):
    """Exit code, output, and what was left in the folder for temporary files."""
    folder = tempfile.mkdtemp(prefix="loft-test.")
    try:
        code, text = run([sample(runner), *arguments],
                         env={**os.environ, "TMPDIR": folder, "LOFT_SEED": "4711",
                              "LOFT_TEST_TIMEOUT": "2"})
        return code, text, os.listdir(folder)
    finally:
        shutil.rmtree(folder)


def check_all(runner, *arguments):
    code, text, left = run_sample(runner, *arguments)
    found = [f"not said: {words}" for words in WORDS if words not in text]
    if SUMMARY not in text.splitlines():
        found.append(f"the summary is not: {SUMMARY}")
    if code != 1:
        found.append(f"the exit code is {code}")
    found += [f"left behind: {name}" for name in left]
    for name in FAILING:
        if not re.search(rf"FAIL\]? sample(/|::){name}\b", text):
            found.append(f"not told as failed: {name}")
    for name in PASSING:
        if re.search(rf"FAIL\]? sample(/|::){name}\b", text):
            found.append(f"told as failed: {name}")
    if not re.search(r"timed out", text, re.IGNORECASE):
        found.append("the hanging test is not told as timed out")
    return found + (["all it said:", text] if found else [])


def check_some(runner, wanted, expected_code, expected_summary):
    code, text, _ = run_sample(runner, "--filter", wanted)
    if code != expected_code or expected_summary not in text.splitlines():
        return [f"--filter {wanted}: exit code {code}, and it said: {text}"]
    return []


@rule
def driver_tells_the_truth():
    """tests/support/driver.c, driver_posix.c"""
    return check_all("driver")


@rule
def driver_tells_the_truth_in_parallel():
    """tests/support/driver.c --jobs 4"""
    return check_all("driver", "--jobs", "4")


@rule
def driver_names_the_signal():
    """a crash is told with its signal"""
    _, text, _ = run_sample("driver", "--filter", "sample/crashes")
    return [] if "killed by signal 6 (Aborted)" in text else [text]


@rule
def driver_selects():
    """--filter, --list and wrong arguments"""
    found = (check_some("driver", "sample/s*s", 77, "0 passed, 0 failed, 1 skipped") +
             check_some("driver", "*/sees*", 0, "2 passed, 0 failed, 0 skipped") +
             check_some("driver", "nothing", 2, "0 passed, 0 failed, 0 skipped"))
    code, text, _ = run_sample("driver", "--list")
    if code != 0 or set(text.split()) != {"sample/" + name
                                          for name in PASSING | FAILING | {"skips"}}:
        found.append(f"--list: exit code {code}, and it said: {text}")
    code, _, _ = run_sample("driver", "--jobs", "many")
    return found + ([f"--jobs many: exit code {code}"] if code != 2 else [])


@rule
def criterion_tells_the_truth():
    """tests/support/criterion_main.c"""
    return check_all("criterion")


@rule
def criterion_selects():
    """--filter, and only what was chosen is counted"""
    return (check_some("criterion", "sample/skips", 77, "0 passed, 0 failed, 1 skipped") +
            check_some("criterion", "sample/sees*", 0, "2 passed, 0 failed, 0 skipped"))


main()
