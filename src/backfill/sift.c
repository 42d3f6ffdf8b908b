/* Sifting a chunk (sift.h). */
#include "backfill/sift.h"

#include "base/failpoint.h"
#include "base/mem.h"
#include "pipeline/refusal.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES (1U << 20)

void sift_init(struct sift *s, struct quarantine *quarantine, struct table_writer *writer,
               struct transform *transform)
{
    *s = (struct sift){.quarantine = quarantine, .writer = writer, .transform = transform};
    s->in = mem_zero(SIFT_BLOCK, sizeof *s->in);
    s->out = mem_zero(SIFT_BLOCK, sizeof *s->out);
    quarantine_copy_join(quarantine, &s->copied);
    s->excluded = parked_keys_create(1);
    arena_init(&s->reasons, 0);
    arena_init(&s->arena, KEEP_BYTES);
    arena_init(&s->block, KEEP_BYTES);
}

void sift_free(struct sift *s)
{
    quarantine_copy_leave(s->quarantine, &s->copied);
    parked_keys_free(s->excluded);
    arena_free(&s->reasons);
    arena_free(&s->arena);
    arena_free(&s->block);
    buf_free(&s->key);
    free(s->exclusions);
    free(s->letters);
    free(s->in);
    free(s->out);
}

void sift_chunk(struct sift *s, const struct copy_task *task)
{
    s->task = task;
    quarantine_copy_begin(s->quarantine, &s->copied, task->table);
    parked_keys_forget(s->excluded);
    arena_reset(&s->reasons);
    s->exclusion_count = 0;
    s->parks_clashes = s->parks_orphans = false;
    sift_attempt(s);
}

void sift_attempt(struct sift *s)
{
    arena_reset(&s->arena);
    arena_reset(&s->block);
    s->letter_count = 0;
    s->rows = s->uncounted = s->parked = 0;
    for (size_t i = 0; i < s->exclusion_count; i++)
        s->exclusions[i].met = false;
    s->count = 0;
    s->again = false;
}

static struct row keep_row(struct arena *arena, const struct row *row)
{
    struct row kept = {.count = row->count};
    kept.values = arena_copy(arena, row->values, row->count * sizeof *row->values);
    for (uint16_t i = 0; i < row->count; i++)
        if (kept.values[i].kind == VALUE_TEXT || kept.values[i].kind == VALUE_BINARY)
            kept.values[i].data = arena_copy(arena, kept.values[i].data, kept.values[i].size);
    return kept;
}

/* ---- letters ---- */

static void add_letter(struct sift *s, size_t part, const struct row *row, uint64_t id,
                       const struct err *why)
{
    struct change *change = arena_alloc(&s->arena, sizeof *change);
    *change = (struct change){.kind = CHANGE_INSERT,
                              .relation = s->task->parts[part].source,
                              .new = keep_row(&s->arena, row)};
    if (s->letter_count == s->letter_capacity) {
        s->letter_capacity = s->letter_capacity == 0 ? 64 : 2 * s->letter_capacity;
        s->letters = mem_grow(s->letters, s->letter_capacity, sizeof *s->letters);
    }
    s->letters[s->letter_count++] =
        (struct letter){.id = id,
                        .chain = id,
                        .change = change,
                        .table = s->task->table,
                        .copied = true,
                        .why = arena_copy(&s->arena, why, sizeof *why)};
}

static bool is_split(const struct sift *s)
{
    return s->task->part_count > 1;
}

static void find_key(struct sift *s, size_t part, const struct row *row)
{
    buf_clear(&s->key);
    quarantine_append_written(s->quarantine, s->task->table, s->task->parts[part].source, row,
                              &s->key);
}

static struct exclusion *find_exclusion(struct sift *s, uint64_t id)
{
    size_t i = 0;
    while (s->exclusions[i].id != id)
        i++;
    return &s->exclusions[i];
}

bool sift_leaves_out(struct sift *s, size_t part, const struct row *row)
{
    uint64_t id = 0;
    if (s->exclusion_count == 0)
        return false;
    find_key(s, part, row);
    id = parked_keys_find(s->excluded, 0, buf_text(&s->key), s->key.size);
    if (id == 0)
        return false;
    struct exclusion *exclusion = find_exclusion(s, id);
    s->parked += !exclusion->met;
    exclusion->met = true;
    add_letter(s, part, row, id, exclusion->why);
    return true;
}

/* Each of its targets is to do without the row. */
static bool exclude(struct sift *s, size_t part, const struct row *row, uint64_t id,
                    const struct err *why, struct err *err)
{
    const struct relation *source = s->task->parts[part].source;
    if (source->match != MATCH_KEY)
        return err_set(
            err, ERR_DATA,
            "a row of %s.%s, which has no key and goes to several targets, cannot be "
            "parked: %s",
            source->schema, source->name, why->message);
    find_key(s, part, row);
    parked_keys_put(s->excluded, 0, buf_text(&s->key), s->key.size, id);
    s->exclusions = mem_grow(s->exclusions, s->exclusion_count + 1, sizeof *s->exclusions);
    s->exclusions[s->exclusion_count++] =
        (struct exclusion){id, true, arena_copy(&s->reasons, why, sizeof *why)};
    s->again = s->again || part > 0;
    return true;
}

bool sift_refuse(struct sift *s, size_t part, const struct row *row, const struct err *why,
                 struct err *err)
{
    const struct err reason = *why; /* it may be *err */
    uint64_t good = s->uncounted;
    uint64_t id = quarantine_copy_id(s->quarantine, &s->copied);
    s->uncounted = 0;
    if (!quarantine_count(s->quarantine, s->task->table, good, 1, &reason, err) ||
        (is_split(s) && !exclude(s, part, row, id, &reason, err)))
        return false;
    add_letter(s, part, row, id, &reason);
    s->parked++;
    err_clear(err);
    return true;
}

/* ---- blocks ---- */

static bool write_rows(struct sift *s, size_t part, uint32_t from, uint32_t to, struct err *err)
{
    const struct copy_part *target = &s->task->parts[part];
    uint64_t met = 0;
    if (!s->writer->ops->load(s->writer, target->target, target->binary, err))
        return false;
    for (uint32_t i = from; i < to; i++)
        if (!s->writer->ops->write(s->writer, &s->out[i], err))
            return false;
    return s->writer->ops->loaded(s->writer, &met, err);
}

static bool may_pass_with_time(const struct sift *s, const struct err *why)
{
    return (!s->parks_clashes && strcmp(why->sqlstate, REFUSAL_DUPLICATE_KEY) == 0) ||
           (!s->parks_orphans && strcmp(why->sqlstate, REFUSAL_NO_PARENT) == 0);
}

/* In halves, as long as the target refuses some. */
static bool load_rows(struct sift *s, size_t part, uint32_t from, uint32_t to, struct err *err)
{
    if (from == to)
        return true;
    if (!s->writer->ops->save(s->writer, err))
        return false;
    if (write_rows(s, part, from, to, err)) {
        s->rows += to - from;
        s->uncounted += to - from;
        return true;
    }
    const struct err why = *err;
    if (!refusal_is_of_row(&why) || may_pass_with_time(s, &why) ||
        !s->writer->ops->undo(s->writer, err))
        return false;
    if (to - from == 1)
        return sift_refuse(s, part, &s->in[from], &why, err);
    uint32_t middle = from + (to - from) / 2;
    return load_rows(s, part, from, middle, err) && load_rows(s, part, middle, to, err);
}

bool sift_end(struct sift *s, size_t part, struct err *err)
{
    bool ok = load_rows(s, part, 0, s->count, err);
    s->count = 0;
    arena_reset(&s->block);
    return ok;
}

bool sift_take(struct sift *s, size_t part, const struct row *row, struct err *err)
{
    struct row *in = &s->in[s->count];
    *in = keep_row(&s->block, row);
    switch (s->transform->ops->row(s->transform, s->task->parts[part].target, in, &s->block,
                                   &s->out[s->count], err)) {
    case TRANSFORM_FILTERED:
        return true;
    case TRANSFORM_REFUSED:
        return sift_refuse(s, part, in, err, err);
    case TRANSFORM_FAILED:
        return false;
    case TRANSFORM_WRITTEN:
        break;
    }
    return ++s->count < SIFT_BLOCK || sift_end(s, part, err);
}

bool sift_settle(struct sift *s, struct err *err)
{
    for (size_t i = 0; i < s->letter_count; i++)
        if (!s->writer->ops->park(s->writer, &s->letters[i], err))
            return false;
    if (s->letter_count > 0 && !failpoint(DLQ_COPIED, err))
        return false;
    return s->quarantine == NULL ||
           quarantine_count(s->quarantine, s->task->table, s->uncounted, 0, NULL, err);
}

void sift_told(struct sift *s)
{
    quarantine_copy_tell(s->quarantine, &s->copied, s->parked);
}

void sift_lost(struct sift *s)
{
    quarantine_copy_take_back(s->quarantine, &s->copied);
}

void sift_loaded(struct sift *s)
{
    quarantine_copy_end(s->quarantine, &s->copied);
}
