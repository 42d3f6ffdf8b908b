/* Merged tables whose rows nothing tells apart (merge_check.h). */
#include "postgres/merge_check.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_MOST 1000 /* a count up to here says enough */
#define TIME_LIMIT "20s"

static PGresult *count(struct session *source, const char *sql, struct err *err)
{
    struct buf limited = {0};
    buf_append_text(&limited, "BEGIN READ ONLY; SET LOCAL lock_timeout = '1s';"
                              "SET LOCAL statement_timeout = '" TIME_LIMIT "';");
    buf_append_format(&limited,
                      "SELECT count(*) FROM (SELECT FROM (%s) AS all_of_them LIMIT %d)"
                      " AS counted",
                      sql, COUNT_MOST);
    PGresult *result = session_exec(source, limited.data, err);
    buf_free(&limited);
    return result;
}

static void report_collisions(const struct merge *merge, const char *number,
                              struct findings *findings)
{
    bool more = strtol(number, NULL, 10) >= COUNT_MOST;
    findings_addf(findings, "merge.collision", SEVERITY_BREAKING, merge->target,
                  "give both a column with another constant each, in the key",
                  "%s%s key(s) stand in more than one of %s: one row would overwrite the other",
                  more ? "at least " : "", number, merge->sources);
}

static void report_unknown(const struct merge *merge, const struct err *why,
                           struct findings *findings)
{
    findings_addf(findings, "merge.not_counted", SEVERITY_POTENTIALLY_BREAKING, merge->target,
                  "run the statement of merge.no_discriminator yourself",
                  "whether %s have keys in common could not be counted: %.200s", merge->sources,
                  why->message);
}

bool merge_check(struct session *source, const struct merge *merge, struct findings *findings,
                 struct err *err)
{
    struct err why = {0};
    PGresult *result = count(source, merge->keys_sql, &why);
    if (result != NULL && strcmp(PQgetvalue(result, 0, 0), "0") != 0)
        report_collisions(merge, PQgetvalue(result, 0, 0), findings);
    if (result == NULL)
        report_unknown(merge, &why, findings);
    PQclear(result);
    return session_run(source, "ROLLBACK", err) ||
           err_wrap(err, "counting common keys of %s", merge->target);
}
