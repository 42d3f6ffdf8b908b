/* The key of a target table while it is bound: bind_key.c chooses it, key_check.c judges it. */
#ifndef TRANSFORMS_KEY_H
#define TRANSFORMS_KEY_H

#include "transforms/bind.h"

struct key {
    uint16_t count;
    struct plan_column **columns;
};

/* True if the key's columns read all columns of this index of the source. */
bool key_reads_all(const struct binder *binder, const struct key *key,
                   const struct catalog_index *index);
bool key_index_has(const struct catalog_table *table, const struct catalog_index *index,
                   const struct catalog_column *column);
/* NULL when there is none. */
const struct catalog_index *key_primary_index(const struct catalog_table *table);
/* Where `key:` stands, else the target table. */
const char *key_place(struct binder *binder);

/* Rows that differ in the source's column have different keys at the target. */
bool key_tells_apart(const struct table_plan *plan, const struct catalog_column *source);

/* False when a breaking finding was left. */
bool key_check(struct binder *binder, const struct key *key);
/* GENERATED ALWAYS columns outside the key, once the key is known. */
void key_check_identity_always(struct binder *binder);
/* Puts the statements for REPLICA IDENTITY FULL and back into the report. */
void key_propose_full_identity(struct binder *binder, struct report *report);

#endif
