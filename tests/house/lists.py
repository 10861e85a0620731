"""Every source file is built: it stands in the CMakeLists.txt of its folder. And nothing strayed in."""

import os
import re
import tempfile

from house import ARGS, Skip, files, main, read, rule, run

# What the top level holds, besides names that begin with a dot.
TOP = {"CHANGELOG.md", "CMakeLists.txt", "CMakePresets.json", "CONTRIBUTING.md", "LICENSE", "README.md",
       "bench", "docs", "examples", "include", "lua", "script", "src", "tests"}

# Where the lists for the sources below a folder are.
LISTS = {"src/": ["src/CMakeLists.txt", "src/cli/CMakeLists.txt", "src/preload/CMakeLists.txt"],
         "tests/": ["tests/CMakeLists.txt", "tests/windows.cmake", "tests/house/CMakeLists.txt"],
         "bench/": ["bench/CMakeLists.txt"], "examples/": ["examples/CMakeLists.txt"]}


def listed(text):
    """The .c files that a CMakeLists.txt names, with ${platform} and the like as a wildcard."""
    text = re.sub(r"#.*", "", text)
    patterns = []
    for name in re.findall(r"[\w$/{}.-]+\.c\b", text):
        patterns.append(re.compile(r"\w+".join(re.escape(part)
                                               for part in re.split(r"\$\{\w+\}", name)) + "$"))
    return patterns


def missing(names, lists):
    """Those of names (paths) that no list names; a list is (its folder, its text)."""
    known = [(folder, pattern) for folder, text in lists for pattern in listed(text)]
    return [name for name in names
            if not any(name.startswith(folder) and pattern.fullmatch(name[len(folder):])
                       for folder, pattern in known)]


@rule
def every_source_is_in_a_list():
    """name it in the CMakeLists.txt of its folder"""
    there = set(files("CMakeLists.txt", ".cmake"))
    found = []
    for under, lists in LISTS.items():
        texts = [(name[:name.rindex("/") + 1], read(name)) for name in lists if name in there]
        found += missing(files(".c", under=under), texts)
    return found


@rule
def prove_unlisted_sources_are_seen():
    """planted violations"""
    lists = [("src/", "set(a\n  os/map_${platform}.c base/a.c)\n# base/b.c\n")]
    names = ["src/os/map_linux.c", "src/base/a.c", "src/base/b.c", "src/os/other.c"]
    found = missing(names, lists)
    return [] if found == names[2:] else [f"missing were said to be {found}"]


def strays(names, folder):
    """Names that are not the top level's, and files that no editor shows: with a byte 0."""
    found = [f"{name}: not of the top level" for name in names
             if not name.startswith(".") and name.split("/")[0] not in TOP]
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            if b"\0" in file.read():
                found.append(f"{name}: not a text")
    return found


@rule
def nothing_strayed_in():
    """remove it, or let .gitignore name what a program leaves"""
    code, text = run(["git", "-C", ARGS.source, "-c", "safe.directory=*", "ls-files", "-z"])
    if code != 0:
        raise Skip("without git nobody knows what is committed")
    committed = set(text.split("\0"))
    return strays([name for name in files() if name in committed], ARGS.source)


@rule
def prove_strays_are_seen():
    """planted violations"""
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "src"))
        for name, content in (("notes.txt", b"text"), ("src/a.bin", b"LOFT\0"), ("src/a.c", b"int a;")):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        found = strays(["notes.txt", "src/a.bin", "src/a.c"], folder)
    wanted = ["notes.txt: not of the top level", "src/a.bin: not a text"]
    return [] if found == wanted else [f"strays were said to be {found}"]


# An element that is stored to, or whose address is taken. The pointer itself is set where the table is mapped.
STATE_STORE = re.compile(r"chunk_states\s*\[[^\]]*\]\s*(?:[|&^+-]?=(?!=)|\+\+|--)|&\s*[\w.>-]*chunk_states\b")


def state_writers(named_texts):
    return [f"{name}: {match.group(0)}" for name, text in named_texts
            for match in STATE_STORE.finditer(text)]


@rule
def chunk_states_have_one_writer():
    """lofti_chunk_move changes them, along the table of docs/durability.md"""
    return state_writers((name, read(name)) for name in files(".c", ".h")
                         if name.startswith("src/") and name != "src/arena/chunk.c")


@rule
def prove_a_second_writer_is_seen():
    """planted violations"""
    reads = "if (arena->chunk_states[i + 1] == X || (arena->chunk_states[a / B] & M) != 0) {}"
    writes = ["arena->chunk_states[i] = X;", "a->chunk_states[i / 2] |= X;", "p = &arena->chunk_states[i];",
              "arena->chunk_states[i]++;"]
    found = state_writers([("read.c", reads)] + [("write.c", text) for text in writes])
    return [] if len(found) == len(writes) and "read" not in "".join(found) else [f"seen: {found}"]


main()
