/* The tables that the command line of `run` names.
 *
 * A table is named as schema.table, or by its name alone, at the source or at the target. What
 * cannot be done is refused before anything is touched. */
#ifndef CLI_CHOICE_H
#define CLI_CHOICE_H

#include "cli/migration.h"
#include "cli/options.h"

#include <stdbool.h>

struct choice {     /* by source table */
    bool *redo;     /* its copy begins anew */
    bool *left_out; /* not to be copied in this run, unless that is done */
};

/* ERR_CONFIG for a name that is no table's, and for a table whose copy cannot begin anew, or
 * cannot begin now that it joins. */
bool choice_make(const struct migration *migration, const struct options *options,
                 struct choice *choice, struct err *err);
void choice_free(struct choice *choice);
/* Marks the source tables that are named. ERR_CONFIG for a name that is no table's, or more than one's. */
bool choice_mark(const struct migration *migration, const char *option,
                 const struct option_tables *tables, bool *marked, struct err *err);
/* Whether one of these names is the source table's, or a target's of it. */
bool choice_names(const struct migration *migration, const struct option_tables *tables,
                  size_t source);

#endif
