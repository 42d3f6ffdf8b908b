/* Copies tables (copier.h). */
#include "backfill/copier.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipeline/backoff.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define RETRY_FIRST (500 * USEC_PER_MS)
#define RETRY_MOST (10 * USEC_PER_SEC)
#define COVER_FIRST (20 * USEC_PER_MS)
#define COVER_MOST USEC_PER_SEC
#define ROW_ARENA_KEEP (1 << 20)

struct crew {
    struct copier *copier;
    atomic_size_t next;  /* task to begin */
    atomic_bool failed;
    pthread_mutex_t lock; /* guards err */
    struct err err;       /* the first failure */
};

struct worker {
    struct crew *crew;
    struct table_reader *reader;
    struct table_writer *writer;
    struct transform *transform;
    struct arena arena; /* of the row in work */
    bool connected;
};

static bool leaving(const struct crew *crew)
{
    return atomic_load(&crew->failed) || stop_requested(crew->copier->stop);
}

/* Pauses before the next attempt. True if there shall be none: the stop came, or another worker
 * has ended the copy. */
static bool pause_or_leave(const struct crew *crew, struct backoff *backoff)
{
    return backoff_wait(backoff, crew->copier->stop) || leaving(crew);
}

static bool connect_worker(struct worker *worker, struct err *err)
{
    if (worker->connected)
        return true;
    worker->connected = worker->reader->ops->open(worker->reader, err) &&
                        worker->writer->ops->open(worker->writer, err);
    return worker->connected;
}

static void disconnect_worker(struct worker *worker)
{
    worker->writer->ops->rollback(worker->writer);
    worker->reader->ops->end(worker->reader);
    worker->writer->ops->close(worker->writer);
    worker->reader->ops->close(worker->reader);
    worker->connected = false;
}

/* Begins to read under a snapshot that covers the initial one, waiting until there is one. */
static bool begin_read(struct worker *worker, const struct copy_task *task, lsn_t *lsn,
                       const char **snapshot_text, struct err *err)
{
    struct copier *copier = worker->crew->copier;
    struct backoff backoff = backoff_between(COVER_FIRST, COVER_MOST);
    for (;;) {
        struct snapshot snapshot;
        if (!worker->reader->ops->begin(worker->reader, task->parts[0].source, snapshot_text,
                                        lsn, err) ||
            !snapshot_parse(*snapshot_text, &snapshot, err))
            return false;
        bool covers = snapshot_covers(&snapshot, copier->initial);
        snapshot_free(&snapshot);
        if (covers)
            return true;
        log_event(LOG_INFO, "waiting for commits to become visible at the source",
                  log_text("table", task->parts[0].source->name));
        worker->reader->ops->end(worker->reader);
        worker->reader->ops->close(worker->reader);
        if (pause_or_leave(worker->crew, &backoff))
            return err_set(err, ERR_STOPPED, "stopped");
        if (!worker->reader->ops->open(worker->reader, err))
            return false;
    }
}

static bool copy_row(struct worker *worker, const struct copy_part *part, const struct row *row,
                     struct copy_record *record, struct err *err)
{
    struct row out = {0};
    arena_reset(&worker->arena);
    switch (worker->transform->ops->row(worker->transform, part->target, row, &worker->arena,
                                        &out, err)) {
    case TRANSFORM_FILTERED:
        return true;
    case TRANSFORM_FAILED:
        return err_wrap(err, "copying table %s.%s", part->source->schema, part->source->name);
    case TRANSFORM_WRITTEN:
        break;
    }
    record->rows++;
    return worker->writer->ops->write(worker->writer, &out, err);
}

static bool copy_rows(struct worker *worker, uint32_t table, const struct copy_part *part,
                      struct copy_record *record, struct err *err)
{
    struct table_counters *counters = &worker->crew->copier->progress->tables[table];
    for (;;) {
        struct row row;
        size_t bytes = 0;
        if (leaving(worker->crew))
            return err_set(err, ERR_STOPPED, "stopped");
        switch (worker->reader->ops->next(worker->reader, &row, &bytes, err)) {
        case TABLE_END:
            return true;
        case TABLE_FAILED:
            return false;
        case TABLE_ROW:
            break;
        }
        if (!copy_row(worker, part, &row, record, err))
            return false;
        record->bytes += bytes;
        counter_set(&counters->copied_rows, record->rows);
        counter_set(&counters->copied_bytes, record->bytes);
    }
}

/* The source table once for each target, all under the snapshot that begin_read took. */
static bool copy_parts(struct worker *worker, const struct copy_task *task,
                       struct copy_record *record, struct err *err)
{
    for (size_t i = 0; i < task->part_count; i++) {
        const struct copy_part *part = &task->parts[i];
        if (!worker->reader->ops->read(worker->reader, part->source, part->binary, err) ||
            !worker->writer->ops->load(worker->writer, part->target, part->binary, err) ||
            !copy_rows(worker, task->table, part, record, err) ||
            !worker->writer->ops->loaded(worker->writer, err))
            return false;
    }
    return true;
}

static void note_done(struct worker *worker, const struct copy_task *task,
                      const struct copy_record *record)
{
    struct copier *copier = worker->crew->copier;
    copier->records[task->table] = *record;
    atomic_store(&copier->states[task->table], COPIER_DONE);
    counter_set(&copier->progress->tables[task->table].copied_rows, record->rows);
    counter_set(&copier->progress->tables[task->table].copied_bytes, record->bytes);
}

static bool copy_table(struct worker *worker, const struct copy_task *task, struct err *err)
{
    struct copy_record record = {0};
    const char *snapshot = NULL;
    usec_t began = clock_monotonic();
    if (!connect_worker(worker, err) ||
        !worker->writer->ops->record(worker->writer, task->table, &record, err))
        return false;
    if (record.done) { /* its COMMIT had come through, though the reply was lost */
        note_done(worker, task, &record);
        return true;
    }
    record = (struct copy_record){.done = true};
    if (!begin_read(worker, task, &record.lsn, &snapshot, err) ||
        !worker->writer->ops->begin(worker->writer, task->table, err) ||
        !copy_parts(worker, task, &record, err))
        return false;
    record.snapshot = mem_string(snapshot);
    if (!worker->writer->ops->commit(worker->writer, &record, err)) {
        free(record.snapshot);
        return false;
    }
    worker->reader->ops->end(worker->reader);
    note_done(worker, task, &record);
    log_event(LOG_INFO, "table copied", log_text("schema", task->parts[0].source->schema),
              log_text("table", task->parts[0].source->name), log_uint("rows", record.rows),
              log_uint("bytes", record.bytes),
              log_real("seconds", (double)(clock_monotonic() - began) / USEC_PER_SEC));
    return true;
}

/* One table until it is done, or a failure that does not pass. */
static bool copy_until_done(struct worker *worker, const struct copy_task *task,
                            struct err *err)
{
    struct copier *copier = worker->crew->copier;
    struct backoff backoff = backoff_between(RETRY_FIRST, RETRY_MOST);
    for (;;) {
        atomic_store(&copier->states[task->table], COPIER_COPYING);
        if (copy_table(worker, task, err))
            return true;
        disconnect_worker(worker);
        atomic_store(&copier->states[task->table], COPIER_WAITING);
        counter_set(&copier->progress->tables[task->table].copied_rows, 0);
        counter_set(&copier->progress->tables[task->table].copied_bytes, 0);
        if (err->class != ERR_RETRY)
            return false;
        progress_failed(copier->progress, err);
        counter_add(&copier->progress->retries, 1);
        log_event(LOG_WARN, "copy failed, table begins again", log_text("error", err->message),
                  log_text("sqlstate", err->sqlstate));
        if (pause_or_leave(worker->crew, &backoff))
            return err_set(err, ERR_STOPPED, "stopped");
    }
}

static void report_failure(struct crew *crew, const struct err *err)
{
    pthread_mutex_lock(&crew->lock);
    if (!atomic_load(&crew->failed))
        crew->err = *err;
    atomic_store(&crew->failed, true);
    pthread_mutex_unlock(&crew->lock);
}

static void *worker_thread(void *argument)
{
    struct worker *worker = argument;
    struct crew *crew = worker->crew;
    struct err err = {0};
    while (!leaving(crew)) {
        size_t task = atomic_fetch_add(&crew->next, 1);
        if (task >= crew->copier->task_count)
            break;
        if (!copy_until_done(worker, &crew->copier->tasks[task], &err)) {
            report_failure(crew, &err);
            break;
        }
    }
    disconnect_worker(worker);
    return NULL;
}

static void make_worker(struct crew *crew, struct worker *worker)
{
    struct copier *copier = crew->copier;
    *worker = (struct worker){
        .crew = crew,
        .reader = copier->make_reader(copier->context),
        .writer = copier->make_writer(copier->context),
        .transform = copier->transform->ops->clone(copier->transform),
    };
    arena_init(&worker->arena, ROW_ARENA_KEEP);
}

static void destroy_worker(struct worker *worker)
{
    worker->reader->ops->destroy(worker->reader);
    worker->writer->ops->destroy(worker->writer);
    worker->transform->ops->destroy(worker->transform);
    arena_free(&worker->arena);
}

bool copier_run(struct copier *copier, struct err *err)
{
    struct crew crew = {.copier = copier};
    size_t wanted = copier->task_count < (size_t)copier->workers ? copier->task_count
                                                                 : (size_t)copier->workers;
    struct worker *workers = mem_zero(wanted + 1, sizeof *workers);
    pthread_t *threads = mem_zero(wanted + 1, sizeof *threads);
    size_t started = 0;
    pthread_mutex_init(&crew.lock, NULL);
    for (; started < wanted; started++) {
        make_worker(&crew, &workers[started]);
        if (pthread_create(&threads[started], NULL, worker_thread, &workers[started]) != 0) {
            destroy_worker(&workers[started]);
            break;
        }
    }
    if (started == 0 && wanted > 0)
        report_failure(&crew, &(struct err){.class = ERR_RETRY,
                                            .message = "cannot start a copy worker"});
    for (size_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        destroy_worker(&workers[i]);
    }
    pthread_mutex_destroy(&crew.lock);
    free(threads);
    free(workers);
    if (atomic_load(&crew.failed)) {
        *err = crew.err;
        return false;
    }
    return !stop_requested(copier->stop) || err_set(err, ERR_STOPPED, "stopped");
}
