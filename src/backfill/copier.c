/* Copies tables in chunks (copier.h). */
#include "backfill/copy_worker.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

#define BUSY_PAUSE (20 * USEC_PER_MS)  /* others are at all that is left */
#define IDLE_PAUSE (100 * USEC_PER_MS) /* nothing is left for now */
#define ROW_ARENA_KEEP (1 << 20)
#define LANES_PER_WORKER 4 /* so that no worker is left with a long one at the end */
#define LANES_MOST 4096    /* each has a bound in the question where a key lies */
#define USUAL_ROWS 200000  /* in a second, of a worker */
#define USUAL_BYTES (64 << 20)

/* ---- a table ---- */

/* Chunks until the lane's end. */
static bool copy_lane(struct worker *worker, const struct copy_task *task, uint32_t lane,
                      struct err *err)
{
    struct copier *copier = worker->copier;
    enum chunk_end end = CHUNK_LOADED;
    if (worker->sized_for != task)
        worker->chunk_rows = copier_first_rows(copier);
    worker->sized_for = task;
    while (end == CHUNK_LOADED && !leaving(copier) && !held_back(copier))
        end = copy_worker_keep_to_limits(worker, err) ? copy_chunk(worker, task, lane, err)
                                                      : CHUNK_FAILED;
    handoff_release(copier->config.handoff, task->table, CLAIM_LANE, lane);
    return end != CHUNK_FAILED;
}

static uint64_t in_chunk_time(const struct copier *copier, uint64_t per_second)
{
    return (uint64_t)((double)per_second * (double)copier->config.chunk_time / USEC_PER_SEC) +
           1;
}

/* Lanes of one chunk each are to be of the size that chunks come to have. */
static size_t lanes_of(const struct copier *copier, const struct copy_task *task)
{
    size_t lanes = (size_t)copier->config.workers * LANES_PER_WORKER;
    if (!copy_key_is_asked(task->key))
        return lanes;
    uint64_t rows = copier_first_rows(copier);
    uint64_t usual = in_chunk_time(copier, USUAL_ROWS);
    if (!copier_is_limited(copier) && usual > rows)
        rows = usual;
    uint64_t by_rows = task->rows / rows;
    uint64_t by_bytes = task->bytes / in_chunk_time(copier, USUAL_BYTES);
    uint64_t wanted = by_rows > by_bytes ? by_rows : by_bytes;
    wanted = wanted > LANES_MOST ? LANES_MOST : wanted;
    return wanted > lanes ? (size_t)wanted : lanes;
}

static bool make_plan(struct worker *worker, const struct copy_task *task,
                      struct copy_plan *plan, struct err *err)
{
    struct copier *copier = worker->copier;
    *plan = (struct copy_plan){.whole = true};
    if (!copy_worker_connect(worker, err))
        return false;
    if (task->chunked && !handoff_must_be_whole(copier->config.handoff, task->table) &&
        !worker->reader->ops->plan(worker->reader, task->parts[0].source, task->key,
                                   lanes_of(copier, task), plan, err))
        return false;
    plan->made = true;
    plan->key = copy_key_text(task->key);
    return failpoint(COPY_PLANNED, err) &&
           worker->writer->ops->plan(worker->writer, task->table, plan, err) &&
           failpoint(COPY_PLAN_KEPT, err);
}

static bool plan_table(struct worker *worker, const struct copy_task *task, struct err *err)
{
    struct table_handoff *handoff = worker->copier->config.handoff;
    struct copy_plan plan;
    if (make_plan(worker, task, &plan, err))
        return handoff_planned(handoff, task->table, &plan, err);
    copy_plan_free(&plan);
    handoff_release(handoff, task->table, CLAIM_PLAN, 0);
    return false;
}

static void note_finished(struct worker *worker, const struct copy_task *task)
{
    const struct copier_config *config = &worker->copier->config;
    const struct table_counters *counters = &config->progress->tables[task->table];
    handoff_finished(config->handoff, task->table);
    atomic_store(&config->states[task->table], COPIER_DONE);
    log_event(LOG_INFO, "table copied", log_text("schema", task->parts[0].source->schema),
              log_text("table", task->parts[0].source->name),
              log_uint("rows", counter_get(&counters->copied_rows)),
              log_uint("bytes", counter_get(&counters->copied_bytes)));
}

static bool build_index(struct worker *worker, const struct copy_task *task, const char *name,
                        struct err *err)
{
    usec_t began = clock_monotonic();
    atomic_store(&worker->copier->config.states[task->table], COPIER_INDEXING);
    log_event(LOG_INFO, "building an index that was dropped for the copy",
              log_text("index", name));
    if (!worker->writer->ops->build_index(worker->writer, worker->copier->config.beside_stream,
                                          err))
        return false;
    log_event(LOG_INFO, "index built", log_text("index", name),
              log_real("seconds", (double)(clock_monotonic() - began) / USEC_PER_SEC));
    copy_worker_disconnect(worker);
    return true;
}

static bool build_indexes(struct worker *worker, const struct copy_task *task, struct err *err)
{
    for (;;) {
        const char *name;
        if (!copy_worker_connect(worker, err) ||
            !worker->writer->ops->next_index(worker->writer, task->table, &name, err))
            return false;
        if (name == NULL)
            return true;
        if (!build_index(worker, task, name, err))
            return false;
    }
}

static bool finish_table(struct worker *worker, const struct copy_task *task, struct err *err)
{
    if (build_indexes(worker, task, err) && failpoint(COPY_FINISHING, err) &&
        worker->writer->ops->finish(worker->writer, task->table, err) &&
        failpoint(COPY_FINISHED, err)) {
        note_finished(worker, task);
        return true;
    }
    handoff_release(worker->copier->config.handoff, task->table, CLAIM_LAST, 0);
    return false;
}

/* ---- a worker ---- */

enum found { FOUND_WORK, FOUND_BUSY, FOUND_NOTHING };

/* Nobody waits for the stream: other tables can be copied meanwhile. */
static bool is_too_early(const struct copier *copier, const struct copy_task *task,
                         enum claim claim)
{
    const struct copier_config *config = &copier->config;
    if (claim != CLAIM_LAST || !config->builds_indexes || !config->beside_stream)
        return false;
    lsn_t applied = counter_get(&config->progress->applied);
    return applied < config->build_from || applied < handoff_last(config->handoff, task->table);
}

/* The first work in the order of the tasks. */
static enum found find_work(const struct copier *copier, const struct copy_task **task,
                            enum claim *claim, uint32_t *lane)
{
    enum found found = FOUND_NOTHING;
    for (size_t i = 0; i < copier->config.task_count; i++) {
        *task = &copier->config.tasks[i];
        *claim = handoff_claim(copier->config.handoff, (*task)->table, lane);
        if (is_too_early(copier, *task, *claim)) {
            handoff_release(copier->config.handoff, (*task)->table, *claim, *lane);
            *claim = CLAIM_BUSY;
        }
        if (*claim == CLAIM_BUSY)
            found = FOUND_BUSY;
        else if (*claim != CLAIM_DONE)
            return FOUND_WORK;
    }
    return found;
}

static bool do_work(struct worker *worker, const struct copy_task *task, enum claim claim,
                    uint32_t lane, struct err *err)
{
    atomic_store(&worker->copier->config.states[task->table], COPIER_COPYING);
    switch (claim) {
    case CLAIM_LANE:
        return copy_lane(worker, task, lane, err);
    case CLAIM_PLAN:
        return plan_table(worker, task, err);
    case CLAIM_LAST:
        return finish_table(worker, task, err);
    case CLAIM_BUSY:
    case CLAIM_DONE:
        break;
    }
    return true;
}

static void report_failure(struct copier *copier, const struct err *err)
{
    if (err->class == ERR_STOPPED)
        return;
    pthread_mutex_lock(&copier->lock);
    if (!atomic_load(&copier->failed))
        copier->err = *err;
    atomic_store(&copier->failed, true);
    pthread_mutex_unlock(&copier->lock);
    handoff_give_up(copier->config.handoff);
}

/* Planning and finishing fail in passing too; chunks see to themselves. */
static bool survive(struct worker *worker, struct backoff *backoff, struct err *err)
{
    copy_worker_disconnect(worker);
    if (err->class != ERR_RETRY)
        return false;
    progress_failed(worker->copier->config.progress, err);
    counter_add(&worker->copier->config.progress->retries, 1);
    log_event(LOG_WARN, "the copy was interrupted, trying again",
              log_text("error", err->message), log_text("sqlstate", err->sqlstate));
    return !copier_pause_or_leave(worker->copier, backoff) || stopped(err);
}

/* Until the stream has passed the last snapshot it may find that a copy must begin anew. */
static bool may_come_back(const struct copier *copier)
{
    return copier->config.beside_stream && !handoff_is_settled(copier->config.handoff);
}

static void work_until_done(struct worker *worker)
{
    struct copier *copier = worker->copier;
    struct backoff backoff = backoff_between(RETRY_FIRST, RETRY_MOST);
    while (!leaving(copier)) {
        const struct copy_task *task;
        enum claim claim;
        uint32_t lane = 0;
        struct err err = {0};
        if (held_back(
                copier)) { /* with nothing claimed, for the stream may want a table anew */
            copy_worker_disconnect(worker);
            (void)stop_wait(copier->config.stop, clock_monotonic() + HELD_PAUSE);
            continue;
        }
        switch (find_work(copier, &task, &claim, &lane)) {
        case FOUND_NOTHING:
            if (!may_come_back(copier))
                return;
            copy_worker_disconnect(worker);
            (void)stop_wait(copier->config.stop, clock_monotonic() + IDLE_PAUSE);
            continue;
        case FOUND_BUSY:
            (void)stop_wait(copier->config.stop, clock_monotonic() + BUSY_PAUSE);
            continue;
        case FOUND_WORK:
            break;
        }
        if (do_work(worker, task, claim, lane, &err)) {
            backoff_reset(&backoff);
        } else if (!survive(worker, &backoff, &err)) {
            report_failure(copier, &err);
            return;
        }
    }
}

static void *worker_thread(void *argument)
{
    struct worker *worker = argument;
    work_until_done(worker);
    copy_worker_disconnect(worker);
    atomic_fetch_sub(&worker->copier->running, 1);
    return NULL;
}

/* ---- life cycle ---- */

static void make_worker(struct copier *copier, struct worker *worker)
{
    const struct copier_config *config = &copier->config;
    *worker = (struct worker){
        .copier = copier,
        .reader = config->make_reader(config->context),
        .writer = config->make_writer(config->context),
        .transform = config->transform->ops->clone(config->transform),
    };
    arena_init(&worker->arena, ROW_ARENA_KEEP);
    sift_init(&worker->sift, config->quarantine, worker->writer, worker->transform);
}

static void destroy_worker(struct worker *worker)
{
    sift_free(&worker->sift);
    worker->reader->ops->destroy(worker->reader);
    worker->writer->ops->destroy(worker->writer);
    worker->transform->ops->destroy(worker->transform);
    arena_free(&worker->arena);
}

bool copier_start(const struct copier_config *config, struct copier **copier, struct err *err)
{
    struct copier *c = mem_zero(1, sizeof *c);
    c->config = *config;
    c->workers = mem_zero((size_t)config->workers + 1, sizeof *c->workers);
    pthread_mutex_init(&c->lock, NULL);
    while (c->worker_count < (size_t)config->workers) {
        struct worker *worker = &c->workers[c->worker_count];
        make_worker(c, worker);
        atomic_fetch_add(&c->running, 1);
        if (pthread_create(&worker->thread, NULL, worker_thread, worker) != 0) {
            atomic_fetch_sub(&c->running, 1);
            destroy_worker(worker);
            break;
        }
        c->worker_count++;
    }
    if (c->worker_count == 0) {
        copier_join(c);
        return err_set(err, ERR_RETRY, "cannot start a copy worker");
    }
    *copier = c;
    return true;
}

bool copier_is_done(const struct copier *copier)
{
    return atomic_load(&((struct copier *)(uintptr_t)copier)->running) == 0;
}

bool copier_has_failed(struct copier *copier, struct err *err)
{
    if (!atomic_load(&copier->failed))
        return false;
    pthread_mutex_lock(&copier->lock);
    *err = copier->err;
    pthread_mutex_unlock(&copier->lock);
    return true;
}

void copier_join(struct copier *copier)
{
    if (copier == NULL)
        return;
    for (size_t i = 0; i < copier->worker_count; i++) {
        pthread_join(copier->workers[i].thread, NULL);
        destroy_worker(&copier->workers[i]);
    }
    pthread_mutex_destroy(&copier->lock);
    free(copier->workers);
    free(copier);
}
