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
    char *object; /* "public.users.email", "source", "config.yaml:12:5" */
    char *what;   /* one sentence */
    char *impact; /* what happens if it is left as it is; "" if obvious */
    char *fix;    /* what to do, in words; "" if nothing */
    char *sql;    /* statement that does it; "" if none */
    char *rollback_sql;
};

struct findings {
    struct finding *items;
    size_t count;
    size_t capacity;
};

/* All texts are copied (NULL counts as ""). `id` must be a string constant. */
void findings_add(struct findings *findings, const char *id, enum severity severity,
                  const char *object, const char *what, const char *impact, const char *fix,
                  const char *sql, const char *rollback_sql);
/* The same with a formatted `what`. */
void findings_addf(struct findings *findings, const char *id, enum severity severity,
                   const char *object, const char *fix, const char *what, ...)
    __attribute__((format(printf, 6, 7)));
void findings_free(struct findings *findings);
/* The worst severity; SEVERITY_ADDITIVE when there is no finding. */
enum severity findings_worst(const struct findings *findings);
size_t findings_count(const struct findings *findings, enum severity severity);
/* "breaking", "potentially_breaking", "non_breaking", "additive". */
const char *severity_name(enum severity severity);

#endif
