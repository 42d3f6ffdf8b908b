/* A connection to a PostgreSQL server that can be stopped.
 *
 * libpq, but never blocking without a deadline: every wait also looks at the stop, and errors
 * carry a class by SQLSTATE. After a stop was requested a statement under way gets a short grace
 * (SESSION_GRACE), then the wait ends with ERR_STOPPED; the connection is then good for nothing
 * but session_close(). One thread at a time.
 *
 * Every session speaks UTF-8 and the same text formats (ISO dates, UTC, shortest exact floats),
 * so that text written by one server is read by the other as the same value. */
#ifndef POSTGRES_SESSION_H
#define POSTGRES_SESSION_H

#include "base/clock.h"
#include "base/err.h"
#include "base/stop.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#define SESSION_GRACE (2 * USEC_PER_SEC)
#define SESSION_CONNECT_TIMEOUT (10 * USEC_PER_SEC)

enum session_kind {
    SESSION_SQL,
    SESSION_REPLICATION, /* walsender bound to the DSN's database */
};

struct session {
    PGconn *conn;     /* NULL when closed */
    const char *side; /* "source" or "target", for messages; static */
    const struct stop *stop;
    usec_t stop_seen; /* monotonic; when a wait first saw the stop */
    usec_t grace;     /* for a statement under way when the stop comes */
    usec_t patience;  /* how long a statement may go without an answer; 0: for ever */
    int error_at; /* where in the last failed statement, in characters from 1; 0: not told */
};

/* Connects and applies the settings above. A DSN that is "file:PATH" is read from there, at every
 * connect. side: "source" or "target" (static); stop: not NULL. The DSN's own
 * settings win over our keepalive defaults. ERR_RETRY when the server cannot be reached or
 * refuses for now; ERR_CONFIG for a bad DSN, password, role or database. The message names host,
 * port, database and role, never a password. */
bool session_open(struct session *session, const char *side, const char *dsn,
                  enum session_kind kind, const struct stop *stop, struct err *err);
/* The same for a process that this server has let in before: what it refuses now, while a password
 * is rotated or it fails over, passes by. ERR_RETRY for ERR_CONFIG. */
bool session_reopen(struct session *session, const char *side, const char *dsn,
                    enum session_kind kind, const struct stop *stop, struct err *err);
void session_close(struct session *session); /* closed sessions are accepted */
bool session_is_open(const struct session *session);

/* Runs one or more statements without parameters; the last result, or NULL. The caller clears
 * it. Also for replication commands. */
PGresult *session_exec(struct session *session, const char *sql, struct err *err);
/* The same, result dropped. */
bool session_run(struct session *session, const char *sql, struct err *err);
/* One statement with text parameters (NULL is SQL NULL). */
PGresult *session_query(struct session *session, const char *sql, int count,
                        const char *const *values, struct err *err);
/* Prepares a statement, whose parameters take their types from where they stand, and runs it. */
bool session_prepare(struct session *session, const char *name, const char *sql,
                     struct err *err);
/* The type of its first parameter. */
bool session_parameter_type(struct session *session, const char *name, Oid *type,
                            struct err *err);
/* lengths and formats as PQexecPrepared takes them, or NULL: all text. */
PGresult *session_query_prepared(struct session *session, const char *name, int count,
                                 const char *const *values, const int *lengths,
                                 const int *formats, struct err *err);

/* The same with types (0: the server's choice), lengths and formats as PQexecParams takes them;
 * the result is text. */
PGresult *session_query_typed(struct session *session, const char *sql, int count,
                              const Oid *types, const char *const *values, const int *lengths,
                              const int *formats, struct err *err);

/* The same; the result is binary if `binary`. */
PGresult *session_query_formatted(struct session *session, const char *sql, int count,
                                  const Oid *types, const char *const *values,
                                  const int *lengths, const int *formats, bool binary,
                                  struct err *err);

/* Puts the schemas that hold an operator "=" on the search_path: those of extension types. With it
 * what a formula names means the same in every session at the target. */
bool session_see_operators(struct session *session, struct err *err);

/* Waits until the socket is ready for what libpq wants: reading, and writing while output is
 * pending. Also returns when extra_fd (or -1) is readable. False: stopped, after the grace.
 * At the deadline (0: none) it returns true. */
bool session_wait(struct session *session, bool for_write, int extra_fd, usec_t until,
                  struct err *err);
/* Flushes the output, reading meanwhile so that neither side blocks the other. */
bool session_flush(struct session *session, struct err *err);

/* Turns a failed result into an error with class and SQLSTATE: message and names of table,
 * column and constraint, without the DETAIL, which holds values. Returns false. */
bool session_result_error(const struct session *session, const PGresult *result,
                          struct err *err);
/* The same for the connection's own failure (ERR_RETRY). Returns false. */
bool session_connection_error(const struct session *session, struct err *err);

/* The class of a SQLSTATE ("" counts as a lost connection). */
enum err_class session_class(const char *sqlstate);

/* "host port database user" of a DSN for people, without password or other options; "" when it
 * cannot be parsed. Caller frees. */
char *session_describe(const char *dsn);

#endif
