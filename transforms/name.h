/* Table names as they stand in the file: schema.table, "My Schema"."T.x", or table alone, which
 * means public. Unquoted parts are taken as they are, upper case too: the file is no SQL. */
#ifndef TRANSFORMS_NAME_H
#define TRANSFORMS_NAME_H

#include "transforms/spec.h"

/* ERR_CONFIG with the node's position. `what`: "source". */
bool name_load(const struct yaml_node *node, const char *what, struct arena *arena,
               struct table_name *name, struct err *err);

#endif
