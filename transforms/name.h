/* Table names as they stand in the file: schema.table, "My Schema"."T.x", or table alone, which
 * means public. Unquoted parts are taken as they are, upper case too: the file is no SQL. An
 * unquoted part of a source's name may be a pattern (pattern.h), and one of a target's name may
 * hold \1 for what the pattern's group took. */
#ifndef TRANSFORMS_NAME_H
#define TRANSFORMS_NAME_H

#include "transforms/spec.h"

/* ERR_CONFIG with the node's position. `what`: "source". */
bool name_load(const struct yaml_node *node, const char *what, struct arena *arena,
               struct table_name *name, struct err *err);
/* The same where patterns are taken. */
bool name_load_pattern(const struct yaml_node *node, const char *what, struct arena *arena,
                       struct table_name *name, struct err *err);

/* The highest \N in the unquoted parts; 0 when there is none. */
size_t name_highest_reference(const struct table_name *name);
/* True if the table is meant; the pattern's groups are put into *captures. */
bool name_matches(const struct table_name *name, const char *schema, const char *table,
                  struct arena *arena, struct captures *captures);
/* The name with the captures put in. */
struct table_name name_fill(const struct table_name *name, const struct captures *captures,
                            struct arena *arena);
bool name_equal(const struct table_name *a, const struct table_name *b);

#endif
