/* Findings for people, for logs and as JSON. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "schema/finding.h"

/* The findings, worst first, with impact, fix and SQL, to standard output. */
void report_findings(const struct findings *findings);
/* {"overall", "counts", "findings", "scripts"} to standard output. */
void report_findings_json(const struct findings *findings);
/* A log line for each, at the level of its severity. */
void report_findings_log(const struct findings *findings);
/* Exit status of `check`: 0, 1 or 2. */
int report_exit_status(const struct findings *findings);

#endif
