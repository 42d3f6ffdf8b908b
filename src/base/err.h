/* Errors as values.
 *
 * A function that can fail returns bool and takes `struct err *err` last: true on success,
 * false with *err filled. Outputs are untouched on failure. Libraries return errors and do not
 * log; whoever decides what happens next (the supervisor, a command) logs once, by class.
 *
 * The remedy is a second sentence for the operator: what to do now. It never holds a secret,
 * and neither does the message; values of rows stay out of both.
 *
 * Plain data, owned by the caller, usable from any thread that owns it. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

enum err_class {
    ERR_NONE,
    ERR_RETRY,  /* passes by itself: connection lost, deadlock, read-only for now */
    ERR_CONFIG, /* the operator's input or set-up is wrong: exit 2 */
    ERR_DATA,   /* a row, a rule or a schema cannot be carried: exit 3 */
    ERR_SHAPE,  /* a table is not as the rules were bound to it: they are bound anew, and if
                        that does not help: exit 3 */
    ERR_SOURCE_LOST, /* source, slot or its history is gone: exit 4 */
    ERR_CORRUPT,     /* bytes from a wire or a disk break their format: exit 4 */
    ERR_DISK,        /* our own disk failed, and what is on it is not to be relied on: exit 3 */
    ERR_BUG,         /* our own accounting does not add up: exit 3 */
    ERR_STOPPED,     /* a stop was asked for while waiting: exit 0 */
};

struct err {
    enum err_class class;
    char sqlstate[6]; /* "" unless a database server gave it */
    char message[1024];
    char remedy[512]; /* "" when there is nothing to add */
    char column[64];  /* of a row at fault; "" when it is not told */
};

/* Fills *err (message cut at its size). Always returns false, so that a failing function can
 * `return err_set(...)`. Clears sqlstate and remedy. */
bool err_set(struct err *err, enum err_class class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message, keeping class, sqlstate and remedy. Returns false. */
bool err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the remedy. Returns false. */
bool err_remedy(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Names the column at fault. Returns false. */
bool err_column(struct err *err, const char *column);

void err_clear(struct err *err);

/* "retry", "config", ... for logs. */
const char *err_class_name(enum err_class class);

/* The exit status of `slackwater run` for an error of this class (DESIGN section 2). */
int err_exit_status(enum err_class class);

#endif
