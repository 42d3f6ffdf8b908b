/* Findings: what a check has to say, as rows. */
#ifndef SCHEMA_FINDING_H
#define SCHEMA_FINDING_H

#include <stdbool.h>
#include <stddef.h>

enum severity {
    SEVERITY_ADDITIVE,
    SEVERITY_NON_BREAKING,
    SEVERITY_POTENTIALLY_BREAKING,
    SEVERITY_BREAKING,
    SEVERITY_COUNT,
};

struct finding {
    const char *id; /* static, stable, for tools: "target.table_missing" */
    enum severity severity;
    const char *object; /* "public.users.email", "source", "config.yaml:12:5" */
    const char *what;   /* one sentence */
    const char *impact; /* what happens if it is left as it is; "" if obvious */
    const char *fix;    /* what to do, in words; "" if nothing */
    const char *sql;    /* statement that does it; "" if none */
    const char *rollback_sql;
    const char *operations;       /* whose outcome it touches: "INSERT, UPDATE"; "" if none */
    const char *validation_query; /* one bigint for the source: how many rows are in the way (at
                               most VALIDATION_LIMIT); "" if nothing can be counted */
    const char *validation;       /* what came of it, in words; "" where it was not run */
};

#define VALIDATION_LIMIT 1000

struct findings {
    struct finding *items;
    size_t count;
    size_t capacity;
};

/* Texts of a finding in the list are the list's own. All texts are copied (NULL counts as "").
 * `id` must be a string constant. */
void findings_add(struct findings *findings, const char *id, enum severity severity,
                  const char *object, const char *what, const char *impact, const char *fix,
                  const char *sql, const char *rollback_sql);
/* The same from a row that names what it has: NULL counts as "", but operations, which then are
 * the usual ones of the id (schema/finding_kind.h). */
void findings_put(struct findings *findings, const struct finding *finding);
/* The same with a formatted `what`. */
void findings_addf(struct findings *findings, const char *id, enum severity severity,
                   const char *object, const char *fix, const char *what, ...)
    __attribute__((format(printf, 6, 7)));
/* More is to be done about each finding of the kind. */
void findings_fix_too(struct findings *findings, const char *id, const char *more);
/* What the validation query found, in words; a new severity with it. */
void findings_validated(struct findings *findings, size_t index, enum severity severity,
                        const char *validation);
void findings_free(struct findings *findings);
/* The worst severity; SEVERITY_ADDITIVE when there is no finding. */
enum severity findings_worst(const struct findings *findings);
size_t findings_count(const struct findings *findings, enum severity severity);
/* "breaking", "potentially_breaking", "non_breaking", "additive". */
const char *severity_name(enum severity severity);

#endif
