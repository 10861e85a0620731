"""Includes go strictly downward, and systems' headers stay in src/os."""

import re

from house import files, main, read, rule

# Which layers of src a layer may include beside itself. "public" is include/loft.
MAY_INCLUDE = {
    "base": {"public"},
    "os": {"base", "public"},
    "format": {"base", "os", "public"},
    "journal": {"base", "os", "format", "public"},
    "region": {"base", "os", "public"},
    "heap": {"base", "format", "public"},  # not os: it must run on any buffer
    "arena": {"base", "os", "format", "journal", "region", "heap", "public"},
    "cli": {"public"},
    "preload": {"public"},
}

# The lowest layer knows only these public headers.
BASE_MAY_INCLUDE = {"loft/error.h", "loft/version.h"}

# Folders outside src that see the public headers and their own files alone.
OUTSIDE = ("examples/", "bench/", "lua/")

# Headers of system calls and of one platform. Everything that can be had without them is ISO C
# or pthread.
SYSTEM = re.compile(r"^(unistd|fcntl|dirent|sched|signal|poll|sys/.*|linux/.*|asm/.*|mach/.*|"
                    r"windows)\.h$|^sys/.*|^linux/.*")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.MULTILINE)


def includes(text):
    return [(quote == '"', name) for quote, name in INCLUDE.findall(text)]


def violations_of(name, text):
    """What is wrong with the includes of the file `name` (its place decides) with this text."""
    found = []
    parts = name.split("/")
    layer = parts[1] if parts[0] == "src" and len(parts) > 2 else None
    for is_quoted, target in includes(text):
        first = target.split("/")[0]
        if target.endswith(".c"):
            found.append(f"{name}: includes the source file {target}")
        if parts[0] == "include":
            if is_quoted or (first == "loft"):
                if first != "loft":
                    found.append(f"{name}: a public header includes {target}")
            continue
        if layer is not None:
            found += layer_violations(name, layer, is_quoted, target)
        elif name.startswith(OUTSIDE) and is_quoted and first in MAY_INCLUDE:
            found.append(f"{name}: sees more than the public headers: {target}")
    return found


def layer_violations(name, layer, is_quoted, target):
    first = target.split("/")[0]
    if layer not in MAY_INCLUDE:
        return [f"{name}: src/{layer} is not a layer"]
    if not is_quoted:
        if layer not in ("os", "cli", "preload") and SYSTEM.match(target):
            return [f"{name}: <{target}> belongs into src/os"]
        if target == "xxhash.h" and layer != "base":
            return [f"{name}: checksums are used through base"]
        return []
    if first == "loft":
        if layer == "base" and target not in BASE_MAY_INCLUDE:
            return [f"{name}: base includes {target}"]
        return []
    if "/" not in target and layer in ("cli", "preload"):
        return []
    if first != layer and first not in MAY_INCLUDE[layer]:
        return [f"{name}: {layer} may not include {target}"]
    return []


@rule
def includes_go_downward():
    """see the table at the head of layers.py"""
    found = []
    for name in files(".c", ".h"):
        found += violations_of(name, read(name))
    return found


@rule
def public_headers_do_not_include_in_circles():
    """a circle hides what a header needs"""
    graph = {name: [f"include/{target}" for _, target in includes(read(name))
                    if target.startswith("loft/")]
             for name in files(".h", under="include/")}
    found = []

    def visit(name, path):
        if name in path:
            found.append(" -> ".join(path + [name]))
            return
        for target in graph.get(name, []):
            visit(target, path + [name])

    for name in graph:
        visit(name, [])
    return found


@rule
def prove_upward_includes_are_seen():
    """planted violations"""
    cases = [("src/heap/x.c", '#include "os/map.h"\n', True),
             ("src/base/x.c", '#include "loft/region.h"\n', True),
             ("src/base/x.c", '#include "loft/error.h"\n', False),
             ("src/format/x.h", '#  include "journal/log.h"\n', True),
             ("src/region/x.c", "#include <sys/mman.h>\n", True),
             ("src/os/x_linux.c", "#include <sys/mman.h>\n", False),
             ("src/arena/x.c", '#include "heap/heap.h"\n', False),
             ("src/arena/x.c", '#include "heap/slab.c"\n', True),
             ("examples/x.c", '#include "base/arith.h"\n', True),
             ("include/loft/x.h", '#include "base/arith.h"\n', True),
             ("src/format/x.c", "#include <xxhash.h>\n", True),
             ("src/cli/x.c", '#include "region/region.h"\n', True)]
    return [f"{name} with {text.strip()}: seen is {bool(violations_of(name, text))}"
            for name, text, is_bad in cases if bool(violations_of(name, text)) != is_bad]


main()
