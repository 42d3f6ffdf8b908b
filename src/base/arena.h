/* An arena: many small allocations, freed together.
 *
 * Life cycle: arena_init -> arena_alloc* -> arena_reset -> arena_alloc* -> ... -> arena_free.
 * A reset keeps the memory for the next round (up to keep_bytes), so a pooled batch costs no
 * malloc once it is warm. Memory is aligned for any type. One owner at a time; not locked. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *first; /* chunks in use, newest first */
    struct arena_chunk *spare; /* emptied by a reset, to be used again */
    size_t used;               /* bytes handed out since the last reset */
    size_t keep_bytes;         /* a reset frees what exceeds this */
};

/* keep_bytes: how much memory a reset may hold on to. */
void arena_init(struct arena *arena, size_t keep_bytes);
void arena_free(struct arena *arena);
void arena_reset(struct arena *arena);

/* `size` bytes, uninitialised. Aborts when memory is exhausted (base/mem.h): callers that take
 * a size from a wire check it first. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_copy(struct arena *arena, const void *data, size_t size);

/* Bytes handed out since the last reset. */
static inline size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

#endif
