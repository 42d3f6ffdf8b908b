/* The rows of a chunk, from the reader through the rules to the writer (chunk_work.h). */
#include "backfill/chunk_work.h"

#include "backfill/chunk_key.h"
#include "base/mem.h"

#include <stdlib.h>

/* Rows between two looks at the stop, and two updates of the counters. */
#define COUNT_EVERY 1024

void chunk_rows_count(struct worker *worker, struct chunk_work *work)
{
    struct table_counters *counters =
        &worker->copier->config.progress->tables[work->task->table];
    counter_add(&counters->copied_rows, work->record.rows - work->counted_rows);
    counter_add(&counters->copied_bytes, work->record.bytes - work->counted_bytes);
    work->counted_rows = work->record.rows;
    work->counted_bytes = work->record.bytes;
}

void chunk_rows_uncount(struct worker *worker, struct chunk_work *work)
{
    work->record.rows = work->record.bytes = 0;
    chunk_rows_count(worker, work);
}

static bool copy_row(struct worker *worker, const struct copy_part *part, const struct row *row,
                     struct chunk_work *work, struct err *err)
{
    struct row out = {0};
    size_t number = (size_t)(part - work->task->parts);
    if (sift_leaves_out(&worker->sift, number, row))
        return true;
    if (work->sifts)
        return sift_take(&worker->sift, number, row, err);
    arena_reset(&worker->arena);
    switch (worker->transform->ops->row(worker->transform, part->target, row, &worker->arena,
                                        &out, err)) {
    case TRANSFORM_FILTERED:
        return true;
    case TRANSFORM_REFUSED:
        if (worker->sift.quarantine != NULL)
            return sift_refuse(&worker->sift, number, row, err, err);
        return err_wrap(err, "copying table %s.%s", part->source->schema, part->source->name);
    case TRANSFORM_FAILED:
        return err_wrap(err, "copying table %s.%s", part->source->schema, part->source->name);
    case TRANSFORM_WRITTEN:
        break;
    }
    work->record.rows++;
    worker->sift.uncounted++;
    return worker->writer->ops->write(worker->writer, &out, err);
}

/* Where the chunk ends is where its last row is. */
struct last_key {
    uint64_t rows; /* read, whatever became of them */
    char **texts;  /* NULL: not one row */
};

static void forget_key(struct last_key *last, uint16_t count)
{
    for (uint16_t i = 0; last->texts != NULL && i < count; i++)
        free(last->texts[i]);
    free(last->texts);
    last->texts = NULL;
}

static bool note_key(const struct copy_task *task, const struct relation *relation,
                     const struct row *row, struct last_key *last, struct err *err)
{
    const struct copy_key *key = task->key;
    forget_key(last, key->count);
    last->texts = mem_zero(key->count, sizeof *last->texts);
    for (uint16_t i = 0; i < key->count; i++) {
        int column = relation_column(relation, key->columns[i].name);
        if (column >= 0)
            last->texts[i] = chunk_key_text(&key->columns[i], &row->values[column]);
        if (last->texts[i] == NULL)
            return err_set(err, ERR_DATA, "%s.%s: a key column %s that cannot be read",
                           relation->schema, relation->name, key->columns[i].name);
    }
    return true;
}

/* The first part finds out where the chunk ends; `last` is NULL for the others. The key is
 * taken from the rows at and past the bound, of which the last one's counts. */
static bool copy_rows(struct worker *worker, struct chunk_work *work,
                      const struct copy_part *part, struct last_key *last, struct err *err)
{
    const struct copier *copier = worker->copier;
    uint64_t bound = work->place.range.most_rows;
    for (uint64_t read = 1;; read++) {
        struct row row;
        size_t bytes = 0;
        if (read % COUNT_EVERY == 0) {
            chunk_rows_count(worker, work);
            if (leaving(copier))
                return stopped(err);
        }
        switch (worker->reader->ops->next(worker->reader, &row, &bytes, err)) {
        case TABLE_END:
            return true;
        case TABLE_FAILED:
            return false;
        case TABLE_ROW:
            break;
        }
        work->record.bytes += bytes;
        if (copier->config.throttle != NULL &&
            throttle_count(copier->config.throttle, &worker->account, bytes) &&
            !copy_worker_keep_to_limits(worker, err))
            return false;
        if (last != NULL && bound > 0 && ++last->rows >= bound &&
            !note_key(work->task, part->source, &row, last, err))
            return false;
        if (!copy_row(worker, part, &row, work, err))
            return false;
    }
}

static bool copy_part(struct worker *worker, struct chunk_work *work,
                      const struct copy_part *part, const struct copy_range *range,
                      struct last_key *last, struct err *err)
{
    if (!worker->reader->ops->read(worker->reader, part->source, part->binary, work->task->key,
                                   range, err))
        return false;
    if (work->sifts)
        return copy_rows(worker, work, part, last, err) &&
               sift_end(&worker->sift, (size_t)(part - work->task->parts), err);
    return worker->writer->ops->load(worker->writer, part->target, part->binary, err) &&
           copy_rows(worker, work, part, last, err) &&
           worker->writer->ops->loaded(worker->writer, &work->record.met, err);
}

bool chunk_rows_copy(struct worker *worker, struct chunk_work *work, struct err *err)
{
    struct copy_range range = work->place.range;
    struct last_key last = {0};
    bool ok = copy_part(worker, work, &work->task->parts[0], &range, &last, err);
    if (ok && last.texts != NULL) { /* else the lane's end was reached */
        work->record.upto = last.texts;
        last.texts = NULL;
    }
    forget_key(&last, work->task->key->count);
    range.most_rows = 0;
    range.upto = (const char *const *)work->record.upto;
    for (size_t i = 1; ok && i < work->task->part_count; i++)
        ok = copy_part(worker, work, &work->task->parts[i], &range, NULL, err);
    work->record.rows += worker->sift.rows;
    return ok &&
           (!worker->sift.again ||
            err_set(err, ERR_RETRY, "a row that one target refuses is in another already"));
}
