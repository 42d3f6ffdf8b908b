/* Is what is there already what the rules make? */
#ifndef POSTGRES_DDL_COMPARE_H
#define POSTGRES_DDL_COMPARE_H

#include "postgres/ddl_apply.h"

/* False, with ERR_CONFIG, when a table, type, index or constraint of the phase or of a later one
 * has the name of one that is there and is another. Writes nothing that stays. */
bool ddl_compare(const struct ddl_target *target, const struct ddl *ddl, enum ddl_phase phase,
                 struct err *err);

#endif
