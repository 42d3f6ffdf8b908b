/* Runs the validation queries of findings (schema/finding.h) and writes down what came of them.
 */
#ifndef POSTGRES_VALIDATE_H
#define POSTGRES_VALIDATE_H

#include "postgres/session.h"
#include "schema/finding.h"

#define VALIDATE_TIMEOUT_MS 5000           /* of one query */
#define VALIDATE_KEYS_MS 20000             /* of one about keys, before a first run */
#define VALIDATE_TOTAL (60 * USEC_PER_SEC) /* of all: those that are left then are not run */

/* Runs each query at the source, in a read-only transaction with a time limit. Rows found: the
 * finding becomes breaking, since the copy would meet them. None found: it stays, since a later
 * row may. A query that fails or takes too long leaves the finding as it is and says so. False
 * only when the connection is lost or a stop was asked for. */
bool validate_findings(struct session *source, struct findings *findings, struct err *err);

/* The same of rows that would get one key, which a run must know before it begins: one of two
 * would be overwritten. They are not counted again then. */
bool validate_keys(struct session *source, struct findings *findings, struct err *err);

#endif
