/* Runs a plan of DDL at the target (ddl_apply.h).
 *
 * The problem of locks: a statement that waits for one makes every later writer of the table
 * wait behind it. So most may wait for LOCK_TIMEOUT only; after the data they are tried again,
 * with pauses in which the writers get on. */
#include "postgres/ddl_apply.h"

#include "base/mem.h"
#include "postgres/ddl_compare.h"
#include "postgres/ddl_there.h"
#include "postgres/locks.h"
#include "schema/ident.h"

#include <stdlib.h>
#include <string.h>

#define LOCK_TIMEOUT_SQL "SET lock_timeout = '2s'"
#define FIRST_PAUSE (2 * USEC_PER_SEC)
#define LONGEST_PAUSE (30 * USEC_PER_SEC)
#define PATIENCE (USEC_PER_SEC * 60 * 15) /* with one statement */

struct applying {
    const struct ddl_target *target;
    ddl_told told;
    void *context;
    struct err *err;
};

static void tell(const struct applying *applying, const char *what, const char *object)
{
    char *line = mem_format("%s%s", what, object);
    applying->told(line, applying->context);
    free(line);
}

/* ---- locks ---- */

static void tell_of_lock(const struct applying *applying, const struct ddl_statement *statement,
                         const char *object)
{
    char *table = ident_qualified(statement->schema,
                                  statement->table ? statement->table : statement->name);
    char *who = locks_holders(applying->target->session, table, statement->parent);
    char *line = mem_format("%s waits for a lock, which is held: %s", object, who);
    applying->told(line, applying->context);
    free(line);
    free(who);
    free(table);
}

/* False when the time is up or a stop was requested; the statement's failure stands. */
static bool pause_for_lock(const struct applying *applying, usec_t until, usec_t *pause)
{
    usec_t now = clock_monotonic();
    if (now + *pause > until || stop_wait(applying->target->session->stop, now + *pause))
        return false;
    *pause = *pause * 2 > LONGEST_PAUSE ? LONGEST_PAUSE : *pause * 2;
    return true;
}

/* A failure within a transaction cannot be tried again here. */
static bool run_patiently(const struct applying *applying,
                          const struct ddl_statement *statement, const char *object)
{
    struct session *session = applying->target->session;
    usec_t until = clock_monotonic() + PATIENCE, pause = FIRST_PAUSE;
    while (!session_run(session, statement->sql, applying->err)) {
        if (!locks_refused(applying->err) || statement->phase == DDL_BEFORE)
            return false;
        tell_of_lock(applying, statement, object);
        if (!pause_for_lock(applying, until, &pause))
            return false;
    }
    return true;
}

static bool run_sql(const struct applying *applying, const struct ddl_statement *statement,
                    const char *object)
{
    struct session *session = applying->target->session;
    if (!statement->waits)
        return run_patiently(applying, statement, object);
    return session_run(session, "SET lock_timeout = 0", applying->err) &&
           session_run(session, statement->sql, applying->err) &&
           session_run(session, LOCK_TIMEOUT_SQL, applying->err);
}

/* ---- running ---- */

static bool execute(const struct applying *applying, const struct ddl_statement *statement,
                    const char *object)
{
    if (run_sql(applying, statement, object))
        return true;
    /* A statement is as wrong tomorrow as today; a lost connection is not. */
    if (applying->err->class == ERR_DATA)
        applying->err->class = ERR_CONFIG;
    if (locks_refused(applying->err))
        err_remedy(applying->err, "end the transaction that has it, and run this again");
    else if (applying->err->remedy[0] == '\0')
        err_remedy(applying->err, "the statement was: %.400s", statement->sql);
    return err_wrap(applying->err, "%s", object);
}

static bool run_statement(const struct applying *applying,
                          const struct ddl_statement *statement)
{
    bool there;
    if (statement->kind == DDL_NOTE) {
        tell(applying, "", statement->sql);
        return true;
    }
    if (!ddl_is_there(applying->target->session, statement, &there, applying->err))
        return false;
    char *object = ddl_describe(statement);
    bool ok = there || execute(applying, statement, object);
    if (ok && statement->kind == DDL_SETTING)
        tell(applying, "done: ", statement->sql);
    else if (ok)
        tell(applying, there ? "there already: " : "made ", object);
    free(object);
    return ok;
}

static bool run_phase(const struct applying *applying, const struct ddl *ddl,
                      enum ddl_phase phase)
{
    for (size_t i = 0; i < ddl->count; i++)
        if (ddl->statements[i].phase == phase && !run_statement(applying, &ddl->statements[i]))
            return false;
    return true;
}

/* The server rolls back by itself when the session closes. */
static bool run_before(const struct applying *applying, const struct ddl *ddl)
{
    struct session *session = applying->target->session;
    if (!session_run(session, "BEGIN", applying->err))
        return false;
    if (run_phase(applying, ddl, DDL_BEFORE))
        return session_run(session, "COMMIT", applying->err);
    tell(applying, "rolled back: ", "nothing of this phase was kept");
    return false;
}

bool ddl_apply(const struct ddl_target *target, const struct ddl *ddl, enum ddl_phase phase,
               ddl_told told, void *context, struct err *err)
{
    struct applying applying = {.target = target, .told = told, .context = context, .err = err};
    if (!session_run(target->session, LOCK_TIMEOUT_SQL, err) ||
        !ddl_compare(target, ddl, phase, err))
        return false;
    return phase == DDL_BEFORE ? run_before(&applying, ddl)
                               : run_phase(&applying, ddl, DDL_AFTER);
}
