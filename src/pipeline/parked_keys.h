/* The keys that dead letters wait for: a change of one of them waits too.
 *
 * A key is a table and bytes, which are equal where the source's rows are the same; it belongs to
 * a chain of letters (model/letter.h). What is added, joined or cleared after a mark can be undone
 * to it, until it is kept: as the target's transaction is. Not locked. */
#ifndef PIPELINE_PARKED_KEYS_H
#define PIPELINE_PARKED_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct parked_keys;

struct parked_keys *parked_keys_create(size_t table_count);
void parked_keys_free(struct parked_keys *keys); /* NULL is accepted */

/* The key's chain; 0: it is not parked. */
uint64_t parked_keys_find(const struct parked_keys *keys, uint32_t table, const void *bytes,
                          size_t size);
/* Adds a key, or gives it another chain. */
void parked_keys_add(struct parked_keys *keys, uint32_t table, const void *bytes, size_t size,
                     uint64_t chain);
/* The same, and never to be undone: the target has it already. */
void parked_keys_put(struct parked_keys *keys, uint32_t table, const void *bytes, size_t size,
                     uint64_t chain);
/* All keys of chain `from` belong to `into`. */
void parked_keys_join(struct parked_keys *keys, uint64_t from, uint64_t into);
/* The table has none any more. */
void parked_keys_clear(struct parked_keys *keys, uint32_t table);
/* There is none any more, and nothing to undo. */
void parked_keys_forget(struct parked_keys *keys);

size_t parked_keys_count(const struct parked_keys *keys, uint32_t table);

size_t parked_keys_mark(const struct parked_keys *keys);
void parked_keys_undo(struct parked_keys *keys, size_t mark);
/* Nothing of what was done can be undone any more. */
void parked_keys_keep(struct parked_keys *keys);

#endif
