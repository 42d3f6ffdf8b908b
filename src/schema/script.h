/* The statements of findings as a script: in an order that is safe to run. */
#ifndef SCHEMA_SCRIPT_H
#define SCHEMA_SCRIPT_H

#include "schema/finding.h"
#include "schema/finding_kind.h"

#include <stddef.h>

struct script_step {
    const struct finding *finding; /* borrowed */
    enum script_phase phase;
    enum script_side side;
};

/* The findings that have a statement, by phase, else as they were found; *count of them. The
 * caller frees the array. */
struct script_step *script_steps(const struct findings *findings, size_t *count);

#endif
