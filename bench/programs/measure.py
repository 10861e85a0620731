"""Runs works under allocators in turns; what a pair of rounds says of two of them."""

import glob
import math
import os
import random
import re
import subprocess
import time

# Names the linker finds, and Debian's packages. The first has no library: the C library's own malloc.
PEERS = {
    "glibc": (None, "libc6", "malloc of the C library"),
    "jemalloc": ("libjemalloc.so.2", "libjemalloc2", "preloaded"),
    "mimalloc": ("libmimalloc.so.2", "libmimalloc2.0", "preloaded"),
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4", "preloaded"),
}
LOFT = "loft"
# Longer than this a run of a work hangs.
TIMEOUT_SECONDS = 100
RESAMPLES = 2000


class Allocator:
    def __init__(self, name, library, version, what, absent=""):
        self.name, self.library, self.version, self.what, self.absent = name, library, version, what, absent


def package_version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False)
    return f"{package} {done.stdout}" if done.returncode == 0 else ""


def allocators(loft_library):
    found = []
    for name, (library, package, what) in PEERS.items():
        paths = [""] if library is None else glob.glob(f"/usr/lib/*-linux-gnu*/{library}") + glob.glob(f"/usr/lib*/{library}")
        absent = "" if paths else f"{library} is not here: install {package}"
        found.append(Allocator(name, paths[0] if paths else "", package_version(package), what, absent))
    absent = "" if os.path.exists(loft_library) else "libloft-malloc.so was not built"
    found.append(Allocator(LOFT, loft_library, "", "libloft-malloc.so, preloaded", absent))
    return found


def environment(work, allocator):
    clean = {key: value for key, value in os.environ.items() if key not in ("LD_PRELOAD", "LOFT_MALLOC_STATS")}
    clean.update(LC_ALL="C", GIT_PAGER="cat", GIT_CONFIG_NOSYSTEM="1", PYTHONHASHSEED="1", PYTHONDONTWRITEBYTECODE="1")
    if work.server:
        clean["LOFT_BENCH_PRELOAD"] = allocator.library
    return clean


def run_once(launcher, work, allocator):
    """(seconds, processor seconds, peak MiB); or a sentence."""
    reader, writer = os.pipe()
    command = [launcher, "" if work.server else allocator.library] + work.command(work.n)
    # The launcher tells descriptor 3; the shell that moves it there is replaced by it.
    shell = ["sh", "-c", f'exec "$@" 3>&{writer} {writer}>&-', "sh"] if writer != 3 else []
    try:
        done = subprocess.run(shell + command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              pass_fds=(writer,), env=environment(work, allocator), timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"took longer than {TIMEOUT_SECONDS} s"
    finally:
        os.close(writer)
        with os.fdopen(reader, encoding="ascii") as answer:
            words = answer.read().split()
    if len(words) != 4 or words[3] != "0":
        code = words[3] if len(words) == 4 else "?"
        return f"ended with {code}: {done.stderr.decode(errors='replace').strip()[-160:]}"
    return float(words[0]), float(words[1]), float(words[2]) / 1024


def rounds_of(launcher, work, present, count, deadline=None):
    """{allocator: [(seconds, processor seconds, MiB) of each round]}; the order changes from round to round, and the
    first round, which fills caches, does not count. {allocator: sentence} of those that failed."""
    figures, failed = {one.name: [] for one in present}, {}
    order, randoms = list(present), random.Random(3)
    for at in range(count + 1):
        randoms.shuffle(order)
        results = {}
        for one in order:
            if one.name not in failed:
                got = run_once(launcher, work, one)
                if isinstance(got, str):
                    failed[one.name] = got
                else:
                    results[one.name] = got
        if at > 0:
            for name, got in results.items():
                figures[name].append(got)
        if deadline is not None and time.monotonic() > deadline and at >= 5:
            break
    return {name: rounds for name, rounds in figures.items() if name not in failed}, failed


def instructions(work, allocator, folder):
    """Millions of a single run's, user's only, counted one by one by cachegrind; or None."""
    if work.counted_n == 0:
        return None
    for old in glob.glob(os.path.join(folder, "count.*")):
        os.remove(old)
    env = environment(work, allocator)
    words = work.command(work.counted_n)
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--trace-children=yes", "--cachegrind-out-file=/dev/null",
               f"--log-file={folder}/count.%p"]
    if allocator.library:
        words = ["env", f"LD_PRELOAD={allocator.library}"] + words
    try:
        done = subprocess.run(command + words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env,
                              timeout=TIMEOUT_SECONDS * 4, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    total = 0
    for name in glob.glob(os.path.join(folder, "count.*")):
        with open(name, encoding="ascii", errors="replace") as file:
            for count in re.findall(r"I +refs: +([\d,]+)", file.read()):
                total += int(count.replace(",", ""))
    return total / 1e6 if done.returncode == 0 and total > 0 else None


# --- what rounds say ----------------------------------------------------------------------------------

def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def geometric_mean(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


def interval(statistic, samples, seed=4):
    """The bootstrap's 95 % interval: each list of samples is drawn anew, with replacement, and the statistic told."""
    randoms, found = random.Random(seed), []
    for _ in range(RESAMPLES):
        found.append(statistic([randoms.choices(values, k=len(values)) for values in samples]))
    found.sort()
    return found[int(0.025 * RESAMPLES)], found[int(0.975 * RESAMPLES) - 1]


def paired(rounds, base, of):
    """A round's figure over the other's of the same round."""
    return [one / other for one, other in zip((r[of] for r in rounds), (r[of] for r in base))]
