"""Exit codes: the one table. `enchain --help` prints it, and every command ends with one of them."""

OK = 0
FAILED = 1
USAGE = 2
INVALID = 3
NOT_FOUND = 4
CONFLICT = 5
UNAVAILABLE = 6
HELD = 7
FORBIDDEN = 8
BUG = 10
INTERRUPTED = 130

EXITS = {
    OK: "done",
    FAILED: "the operation failed or was cancelled, and left nothing",
    USAGE: "wrong usage",
    INVALID: "a bad document or argument",
    NOT_FOUND: "not found",
    CONFLICT: "exists already, busy, stale, or a precondition is not met",
    UNAVAILABLE: "no server answers, or too much is asked at once",
    HELD: "the operation is held and waits for a person",
    FORBIDDEN: "not allowed",
    BUG: "a fault of enchain's own",
    INTERRUPTED: "stopped by Ctrl-C; operations go on",
}
