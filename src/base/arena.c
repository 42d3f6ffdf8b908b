/* An arena: chunks that are filled from the front and emptied together.
 *
 *     first -> [header|used......|free..] -> [full] -> [one large allocation]
 *     spare -> [emptied] -> [emptied]
 *
 * The problem: a batch makes a hundred thousand small allocations of one life; malloc and free
 * for each would cost more than the work. The invariant: 0..used of a chunk is handed out and
 * belongs to the caller until the reset; only the first chunk is filled further; a spare chunk
 * holds nothing. Under AddressSanitizer all bytes that are not handed out are poisoned, so that
 * a read past one value or after a reset is seen like one past a malloc. */
#include "base/arena.h"

#include "base/mem.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif

#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#define ALIGNMENT alignof(max_align_t)
#define SMALLEST_CHUNK ((size_t)4096)
#define LARGEST_CHUNK ((size_t)1 << 20)

struct arena_chunk {
    struct arena_chunk *next;
    size_t capacity;
    size_t used;
    alignas(max_align_t) unsigned char data[];
};

static struct arena_chunk *chunk_create(size_t capacity)
{
    struct arena_chunk *chunk = mem_alloc(sizeof(*chunk) + capacity);
    chunk->next = NULL;
    chunk->capacity = capacity;
    chunk->used = 0;
    ASAN_POISON_MEMORY_REGION(chunk->data, capacity);
    return chunk;
}

static void chunk_free(struct arena_chunk *chunk)
{
    ASAN_UNPOISON_MEMORY_REGION(chunk->data, chunk->capacity);
    free(chunk);
}

static void chunks_free(struct arena_chunk *chunk)
{
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        chunk_free(chunk);
        chunk = next;
    }
}

static void *chunk_take(struct arena_chunk *chunk, size_t size, size_t room)
{
    void *memory = chunk->data + chunk->used;
    chunk->used += room;
    ASAN_UNPOISON_MEMORY_REGION(memory, size);
    return memory;
}

/* Unlinks a spare chunk with room for `room` bytes; NULL when there is none. */
static struct arena_chunk *take_spare(struct arena *arena, size_t room)
{
    for (struct arena_chunk **link = &arena->spare; *link; link = &(*link)->next) {
        struct arena_chunk *chunk = *link;
        if (chunk->capacity >= room) {
            *link = chunk->next;
            return chunk;
        }
    }
    return NULL;
}

/* Chunks grow with the arena, so that a small one stays small and a large one has few. */
static size_t next_capacity(const struct arena *arena, size_t room)
{
    size_t capacity = SMALLEST_CHUNK;
    while (capacity < arena->used && capacity < LARGEST_CHUNK)
        capacity *= 2;
    return room > capacity ? room : capacity;
}

/* Links the chunk in. One that a single large value fills goes behind the first, which may
 * still have room for small ones. */
static void link_chunk(struct arena *arena, struct arena_chunk *chunk, size_t room)
{
    struct arena_chunk *first = arena->first;
    if (first && chunk->capacity - room < first->capacity - first->used) {
        chunk->next = first->next;
        first->next = chunk;
    } else {
        chunk->next = first;
        arena->first = chunk;
    }
}

void arena_init(struct arena *arena, size_t keep_bytes)
{
    *arena = (struct arena){.keep_bytes = keep_bytes};
}

void arena_free(struct arena *arena)
{
    chunks_free(arena->first);
    chunks_free(arena->spare);
    arena->first = arena->spare = NULL;
    arena->used = 0;
}

void arena_reset(struct arena *arena)
{
    size_t kept = 0;
    for (struct arena_chunk *chunk = arena->spare; chunk; chunk = chunk->next)
        kept += chunk->capacity;
    while (arena->first) {
        struct arena_chunk *chunk = arena->first;
        arena->first = chunk->next;
        if (kept > arena->keep_bytes || chunk->capacity > arena->keep_bytes - kept) {
            chunk_free(chunk);
            continue;
        }
        kept += chunk->capacity;
        chunk->used = 0;
        ASAN_POISON_MEMORY_REGION(chunk->data, chunk->capacity);
        chunk->next = arena->spare;
        arena->spare = chunk;
    }
    arena->used = 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t room;
    if (__builtin_add_overflow(size, ALIGNMENT - 1, &room))
        room = SIZE_MAX; /* mem_alloc() refuses it */
    room &= ~(ALIGNMENT - 1);
    if (room == 0)
        room = ALIGNMENT; /* distinct pointers, also for nothing */
    if (room > PTRDIFF_MAX - sizeof(struct arena_chunk))
        mem_alloc(SIZE_MAX); /* aborts */

    struct arena_chunk *chunk = arena->first;
    if (!chunk || chunk->capacity - chunk->used < room) {
        chunk = take_spare(arena, room);
        if (!chunk)
            chunk = chunk_create(next_capacity(arena, room));
        link_chunk(arena, chunk, room);
    }
    arena->used += size;
    return chunk_take(chunk, size, room);
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
    void *copy = arena_alloc(arena, size);
    if (size)
        memcpy(copy, data, size);
    return copy;
}
