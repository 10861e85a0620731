/*
 * loft/error.h - result codes, their names and texts, and the misuse handler.
 *
 * Every `int` result of loft is 0 or one of the negative codes below; every pointer result is
 * NULL on failure, with errno set and loft_last_code() filled. Either way loft_last_error()
 * gives the calling thread's sentence: the operation, the path and the reason.
 *
 * Four roads an error can take:
 *   - the caller broke a contract (double free, foreign pointer): the misuse handler;
 *   - an address that the raw tier does not know: LOFT_ENOENT, nothing touched;
 *   - the world failed (no space, I/O error, lock held, address taken): a code and a sentence;
 *   - bytes in a file are wrong: LOFT_ECORRUPT with the offset.
 */
#ifndef LOFT_ERROR_H
#define LOFT_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Seen by programs, whatever visibility the library itself is compiled with. */
#pragma GCC visibility push(default)

/* One list makes the codes, their names and their texts. The values are pinned: they are ABI,
 * and new codes are only ever appended. */
#define LOFT_ERROR_LIST(X)                                                                         \
    X(LOFT_OK, 0, "success")                                                                       \
    X(LOFT_EINVAL, -1, "invalid argument")                                                         \
    X(LOFT_ENOMEM, -2, "out of memory or address space")                                           \
    X(LOFT_ENOSPC, -3, "no space left on the file system")                                         \
    X(LOFT_EIO, -4, "input/output error")                                                          \
    X(LOFT_ENOENT, -5, "no such file, address or name")                                            \
    X(LOFT_EEXIST, -6, "already exists")                                                           \
    X(LOFT_EACCES, -7, "permission denied")                                                        \
    X(LOFT_EBUSY, -8, "in use by another writer, reader or thread")                                \
    X(LOFT_EADDRESS, -9, "address range is taken or out of bounds")                                \
    X(LOFT_ECORRUPT, -10, "file is damaged or is not what it should be")                           \
    X(LOFT_EVERSION, -11, "file format is not supported by this version")                          \
    X(LOFT_EREADONLY, -12, "opened read-only")                                                     \
    X(LOFT_EFORKED, -13, "handle belongs to the parent process")                                   \
    X(LOFT_EPOISONED, -14, "unusable since a failed flush")                                        \
    X(LOFT_ERANGE, -15, "outside the permitted range")                                             \
    X(LOFT_EOVERFLOW, -16, "size or count overflows")                                              \
    X(LOFT_ENOTSUP, -17, "not supported here")                                                     \
    X(LOFT_ECANCELED, -18, "canceled by the caller")                                               \
    X(LOFT_EPENDING, -19, "committed, but the checkpoint is still to be done")

enum loft_error {
#define LOFT_ERROR_ENUM(name, value, text) name = (value),
    LOFT_ERROR_LIST(LOFT_ERROR_ENUM)
#undef LOFT_ERROR_ENUM
};

/* The name of a code, "LOFT_EBUSY"; "LOFT_UNKNOWN" for any other number.
 * Owns: a constant. Threads: any, async-signal-safe. */
const char *loft_error_name(int code);

/* The general text of a code, lower case, without a full stop; "unknown error" for any other
 * number. Owns: a constant. Threads: any, async-signal-safe. */
const char *loft_error_text(int code);

/* The code of the calling thread's latest failure in loft, LOFT_OK if there was none. A call
 * that succeeds does not reset it. Threads: each its own. */
int loft_last_code(void);

/* The sentence of the calling thread's latest failure: operation, path, reason; "" if there was
 * none. Owns: loft's, valid until the thread's next failure or its end. Threads: each its own. */
const char *loft_last_error(void);

/* What kind of contract a caller broke; loft_misuse.kind. */
enum loft_misuse_kind {
    LOFT_MISUSE_DOUBLE_FREE = 1, /* the block is already free */
    LOFT_MISUSE_FOREIGN = 2,     /* not an address of this arena's heap */
    LOFT_MISUSE_INTERIOR = 3,    /* inside a block, or unaligned, not its start */
    LOFT_MISUSE_WRONG_ARENA = 4, /* a block of another open arena */
    LOFT_MISUSE_POOL = 5,        /* memory of a pool; a mark that the pool does not have */
    LOFT_MISUSE_SECTION = 6, /* commit, rollback, close inside one's own section; unmatched leave */
    LOFT_MISUSE_HANDLE = 7,  /* NULL or garbage as a handle; a closed one is memory given back */
    LOFT_MISUSE_UNTRACKED = 8 /* LOFT_VERIFY: a page that a device wrote and that is not pinned */
};

typedef struct loft_misuse {
    uint32_t struct_bytes; /* sizeof, set by loft */
    int32_t kind;          /* enum loft_misuse_kind */
    const void *address;   /* the pointer that was handed in */
    const char *text;      /* one sentence; valid during the call */
} loft_misuse;

typedef void loft_misuse_fn(void *context, const loft_misuse *misuse);

/* Sets what is called when a caller breaks a contract. If the handler returns, the offending
 * call does nothing (and returns a failure if it can). NULL restores the default, which prints
 * the sentence to standard error and aborts.
 * Threads: any; a call under way may still use the previous handler. */
void loft_set_misuse_handler(loft_misuse_fn *fn, void *context);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* LOFT_ERROR_H */
