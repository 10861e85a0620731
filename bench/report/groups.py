"""The groups of benchmarks: what each runs, what it is about, how long it takes on two cores."""

# For each group: a text for the report, what it leaves out, seconds of a quick and of a full run, and its
# commands: the program and its arguments, beside those that all have.
GROUPS = {
    "heap": {
        "about": "Allocating and freeing in memory, one thread: loft's arena (anonymous, in a file, linked statically) "
                 "beside malloc libraries under LD_PRELOAD. Every competitor runs in a process of its own; they take "
                 "turns, round by round.",
        "not": "Competitors that Debian does not package (mimalloc 3, rpmalloc, snmalloc).",
        "seconds": (60, 420),
        "run": [("heap", ["--filter", name]) for name in ("pair", "batch", "replace", "pool")],
    },
    "threads": {
        "about": "Two threads: a server's pattern (larson), blocks allocated by one thread and freed by another, and what "
                 "entering and leaving a mutation section costs.",
        "not": "More threads than processors.",
        "seconds": (50, 300),
        "run": [("heap", ["--filter", "larson"]), ("heap", ["--filter", "pass"]), ("gate", [])],
    },
    "persistent": {
        "about": "The same heap works by heaps that live in files. None of them makes anything durable while it is timed.",
        "not": "PMDK's durable mode (half a millisecond a pair: a round would last a minute) and heaps that Debian does "
               "not package (Metall, pma, Ralloc).",
        "seconds": (90, 600),
        "run": [("persistent", ["--filter", name])
                for name in ("pair-64", "batch-random", "replace-1k")],
    },
    "commit": {
        "about": "Making changes durable: random updates of a table in one atomic step, beside databases and beside the "
                 "least that any store could do (append to a log and flush it); small commits in large heaps; rollback; "
                 "loading gigabytes.",
        "not": "The databases' checkpoints (loft's own are in its figures), power cuts, several writers.",
        "seconds": (130, 1200),
        "run": [("commit", [])],
    },
    "reopen": {
        "about": "Opening a heap again: cleanly closed, after a crash, and reading it through; the page cache is hot.",
        "not": "Cold page cache: it measures the device.",
        "seconds": (60, 300),
        "run": [("reopen", [])],
    },
    "snapshot": {
        "about": "Copying a live heap into a file of its own, beside cp and a flush, and how long writers are held up.",
        "not": "Reflinks, where the file system has none.",
        "seconds": (90, 600),
        "run": [("snapshot", [])],
    },
    "programs": {
        "about": "Programs that nobody wrote for loft, under LD_PRELOAD of each malloc library: whole runs, paired round by "
                 "round with those on the C library's malloc.",
        "not": "Cold starts from the disk; huge heaps.",
        "seconds": (420, 1500),
        "run": [("programs", [])],
    },
    "region": {
        "about": "The raw tier: anonymous memory and mapped files by one call, beside the bare system calls.",
        "not": "",
        "seconds": (40, 120),
        "run": [("region", [])],
    },
}

# Programs whose files go to a folder named at the end, not to --directory.
FOLDER_LAST = {"snapshot", "region"}
# Programs that write no JSON: their text stands in the report.
TEXT_ONLY = {"region"}
# Rounds of heap-like programs in a quick run: fewer than their own, so that a quick run of all is under ten minutes.
QUICK_ROUNDS = {"heap": "5", "persistent": "3", "reopen": "5"}
