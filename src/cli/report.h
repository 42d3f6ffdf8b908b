/* Findings for people, for logs and as JSON. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "schema/finding.h"

#include <jansson.h>
#include <stdbool.h>

/* The findings, worst first, with impact, fix and SQL, to standard output. */
void report_findings(const struct findings *findings);
/* {"overall", "counts", "findings", "scripts"} to standard output, with the members of `more`
 * (taken; NULL for none). */
void report_findings_json(const struct findings *findings, json_t *more);
/* The suggested statements as an SQL script, in a safe order, each with what it is for and how it
 * is undone. `live`: they belong to a source and a target, and it says to which. */
void report_findings_sql(const struct findings *findings, bool live);
/* A log line for each, at the level of its severity. */
void report_findings_log(const struct findings *findings);
/* Exit status of `check`: 0, 1 or 2. */
int report_exit_status(const struct findings *findings);

#endif
