"""Every subcommand on every file of a corpus of damaged arenas: an answer or an error, never a crash, a hang
or a changed file.

The corpus is made from a seed (LOFT_SEED=N repeats a run): bytes of superblocks, journal, metadata and root table are
changed in arenas at rest and after a crash, files are cut, lengthened, mixed and overwritten.
"""

import json
import os
import random

from command import case, content, fill, loft, main

SEED = int(os.environ.get("LOFT_SEED", random.SystemRandom().randrange(1 << 32)))
COUNT = 400 if os.environ.get("LOFT_TEST_RELEASE") else 120 if os.environ.get("LOFT_TEST_LONG") else 24
LOOKING = [("info",), ("info", "--json"), ("check",), ("check", "--json", "--leaks", "--foreign"), ("stat",),
           ("stat", "--json"), ("map",), ("map", "--json"), ("map", "--html", "out.html"),
           ("map", "--svg", "out.svg"), ("roots",), ("roots", "--json")]
CODES = {0, 1, 3}


def targets(name):
    """Ranges of the file whose bytes mean something to loft."""
    found = [(0, 12288), (65536, 8192)]
    for run in json.loads(loft("map", "--json", name).out)["runs"]:
        if run["kind"] in ("metadata", "internal"):
            found.append((run["offset"], min(run["bytes"], 65536)))
        elif run["kind"] == "pool":
            found.append((run["offset"], 256))
    return found


def damaged(whole, places, chance):
    """The bytes, damaged in one of several ways, and what was done."""
    bytes_ = bytearray(whole)
    way = chance.randrange(8)
    if way == 0:
        bytes_ = bytes_[:chance.choice([0, 1, 4095, 4096, 65536, 4 << 20, chance.randrange(len(whole))])]
        return bytes_, f"cut to {len(bytes_)}"
    if way == 1:
        begin = chance.randrange(0, len(whole), 4096)
        bytes_[begin:begin + 4096] = bytes(len(bytes_[begin:begin + 4096]))
        return bytes_, f"zeros at {begin}"
    if way == 2:
        begin, length = chance.choice(places)
        length = min(length, 4096)
        bytes_[begin:begin + length] = chance.randbytes(length)
        return bytes_, f"noise at {begin}"
    if way == 3:
        one, other = chance.choice(places)[0], chance.choice(places)[0]
        bytes_[one:one + 4096] = whole[other:other + 4096]
        return bytes_, f"{other} copied to {one}"
    done = []
    for _ in range(chance.randint(1, 12)):
        begin, length = chance.choice(places)
        at = begin + chance.randrange(length)
        # Small and large numbers do more harm than any others.
        value = chance.choice([0, 1, 255, 128, chance.randrange(256), bytes_[at] ^ 1 << chance.randrange(8)])
        bytes_[at] = value
        done.append(f"{at}={value}")
    return bytes_, " ".join(done)


def judge(name, what):
    before = content(name)
    try:
        for command in LOOKING:
            loft(*command, name, want=CODES)
            assert content(name) == before, f"{command} changed the file"
        for where in ("list", "0x7e8000400000", "+4M", "+9M"):
            loft("dump", name, where, "1M", want=CODES)
        loft("map", "--against", "whole.loft", name, want=CODES)
        loft("map", "--against", name, "whole.loft", want=CODES)
        loft("snapshot", name, "copy.loft", want=CODES)
        loft("salvage", name, "saved.loft", want=CODES)
        assert content(name) == before, "a copy changed the source"
        if os.path.exists("saved.loft"):
            loft("check", "saved.loft", want={0, 1})
        loft("create", name, want=3)
        loft("recover", name, want=CODES)
    except AssertionError as error:
        raise AssertionError(f"LOFT_SEED={SEED}, {what}: {error}") from error
    for left in ("copy.loft", "saved.loft"):
        if os.path.exists(left):
            os.remove(left)


def corpus(kind):
    chance = random.Random(f"{SEED} {kind}")
    fill("small", "whole.loft")
    if kind == "journal":
        fill("journal", "whole.loft", want=-9)
    places, whole = targets("whole.loft"), content("whole.loft")
    faulty = 0
    for number in range(COUNT):
        bytes_, what = damaged(whole, places, chance)
        with open("bad.loft", "wb") as file:
            file.write(bytes_)
        faulty += loft("check", "bad.loft", want=CODES).code != 0
        judge("bad.loft", f"file {number} ({what})")
        os.remove("bad.loft")
    # About two files in three have faults. An eighth is so far below that no seed comes near it.
    assert faulty >= COUNT // 8, f"only {faulty} of {COUNT} damaged files have faults: the damage meets nothing"


@case
def arenas_at_rest():
    corpus("rest")


@case
def arenas_after_a_crash():
    corpus("journal")


print(f"LOFT_SEED={SEED} repeats it")
main()
