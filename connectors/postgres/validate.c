/* Validation of today's data (validate.h).
 *
 * The problem: a check must not weigh on a busy source. Each query stops at VALIDATION_LIMIT
 * rows and at a time limit, none runs in parallel, and all of them together have a limit too.
 */
#include "postgres/validate.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_CANCELED "57014"

/* "3 rows are in the way today": the limit means at least so many. */
static void take_count(struct findings *findings, size_t i, long count)
{
    const struct finding *finding = &findings->items[i];
    char text[80];
    if (count == 0)
        snprintf(text, sizeof text, "nothing is in its way today");
    else
        snprintf(text, sizeof text, "%s%ld in its way today",
                 count >= VALIDATION_LIMIT ? "at least " : "", count);
    findings_validated(findings, i, count > 0 ? SEVERITY_BREAKING : finding->severity, text);
}

static void take_failure(struct findings *findings, size_t i, const struct err *err)
{
    bool late = strcmp(err->sqlstate, QUERY_CANCELED) == 0;
    char *text =
        late ? mem_string("timed out, not known") : mem_format("not known: %s", err->message);
    findings_validated(findings, i, findings->items[i].severity, text);
    free(text);
}

static bool run_query(struct session *source, struct findings *findings, size_t i,
                      int timeout_ms, struct err *err)
{
    char *sql = mem_format("BEGIN READ ONLY; SET LOCAL statement_timeout = %d; "
                           "SET LOCAL lock_timeout = 1000; %s",
                           timeout_ms, findings->items[i].validation_query);
    PGresult *r = session_exec(source, sql, err);
    free(sql);
    if (r != NULL)
        take_count(findings, i, strtol(PQgetvalue(r, 0, 0), NULL, 10));
    else if (err->sqlstate[0] == '\0')
        return false; /* no answer of the server */
    else
        take_failure(findings, i, err);
    PQclear(r);
    err_clear(err);
    return session_run(source, "ROLLBACK", err);
}

bool validate_findings(struct session *source, struct findings *findings, struct err *err)
{
    usec_t until = clock_monotonic() + VALIDATE_TOTAL;
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        if (finding->validation_query[0] == '\0' || finding->validation[0] != '\0')
            continue;
        if (clock_monotonic() > until)
            findings_validated(findings, i, finding->severity,
                               "not run: it took too long, not "
                               "known");
        else if (!run_query(source, findings, i, VALIDATE_TIMEOUT_MS, err))
            return err_wrap(err, "counting rows for %s", findings->items[i].id);
    }
    return true;
}

bool validate_keys(struct session *source, struct findings *findings, struct err *err)
{
    for (size_t i = 0; i < findings->count; i++)
        if (strcmp(findings->items[i].id, "key.may_collide") == 0 &&
            findings->items[i].validation_query[0] != '\0' &&
            !run_query(source, findings, i, VALIDATE_KEYS_MS, err))
            return err_wrap(err, "counting rows that get the same key");
    return true;
}
