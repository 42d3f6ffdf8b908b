/* A source in memory (memory/source.h).
 *
 *     log: [entry 0][entry 1]...[entry n]     an entry is a transaction or a position
 *                      ^ next, next_change
 *
 * The invariant: entries are ordered by their LSN, and the cursor stands behind what the stream
 * was given since its last start. */
#include "memory/source.h"

#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct entry {
    bool is_position;
    struct transaction transaction; /* of a position: end_lsn alone */
    uint64_t changes_before;        /* in the whole log */
    uint32_t count;
    const struct change *changes;
};

struct memory_source {
    struct source source;
    struct memory_source_config config;
    int more_fd; /* eventfd: more is at hand */

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    struct arena arena; /* the entries' bytes */
    struct entry *log;
    size_t count;
    size_t capacity;
    uint64_t shown; /* changes at hand */
    usec_t lag;
    bool started;
    size_t next; /* entry */
    uint32_t next_change;
    struct memory_source_tally tally;
};

static struct memory_source *self(struct source *source)
{
    return (struct memory_source *)(void *)source;
}

static void complain(struct memory_source *memory, const char *complaint)
{
    if (memory->tally.complaint == NULL)
        memory->tally.complaint = complaint;
}

static bool allowed(struct memory_source *memory, enum memory_source_call call, lsn_t lsn,
                    struct err *err)
{
    return memory->config.hook == NULL ||
           memory->config.hook(memory->config.context, call, lsn, err);
}

/* ---- the log ---- */

static struct row copy_row(struct arena *arena, const struct row *row)
{
    if (row->values == NULL)
        return (struct row){0};
    struct value *values = arena_copy(arena, row->values, row->count * sizeof *values);
    for (uint16_t i = 0; i < row->count; i++)
        if (values[i].data != NULL)
            values[i].data = arena_copy(arena, values[i].data, values[i].size);
    return (struct row){.values = values, .count = row->count};
}

/* A change whose bytes are the arena's. */
static struct change copy_change(struct arena *arena, const struct change *change)
{
    struct change copy = *change;
    copy.old = copy_row(arena, &change->old);
    copy.new = copy_row(arena, &change->new);
    if (change->relations != NULL)
        copy.relations = arena_copy(arena, change->relations,
                                    change->relation_count * sizeof *change->relations);
    return copy;
}

/* Lock held. */
static struct entry *add_entry(struct memory_source *memory, lsn_t end_lsn)
{
    const struct entry *last = memory->count ? &memory->log[memory->count - 1] : NULL;
    uint64_t before = last ? last->changes_before + last->count : 0;
    if (last && end_lsn <= last->transaction.end_lsn)
        complain(memory, "appended a position that is not above all before");
    if (memory->count == memory->capacity) {
        memory->capacity = memory->capacity ? memory->capacity * 2 : 64;
        memory->log = mem_grow(memory->log, memory->capacity, sizeof *memory->log);
    }
    struct entry *entry = &memory->log[memory->count++];
    *entry = (struct entry){.changes_before = before, .transaction.end_lsn = end_lsn};
    return entry;
}

static void unlock_and_tell(struct memory_source *memory)
{
    pthread_mutex_unlock(&memory->lock);
    (void)eventfd_write(memory->more_fd, 1);
}

void memory_source_append(struct memory_source *memory, const struct transaction *transaction,
                          const struct change *changes, uint32_t count)
{
    pthread_mutex_lock(&memory->lock);
    struct entry *entry = add_entry(memory, transaction->end_lsn);
    struct change *copies = arena_alloc(&memory->arena, count * sizeof *copies);
    for (uint32_t i = 0; i < count; i++)
        copies[i] = copy_change(&memory->arena, &changes[i]);
    entry->transaction = *transaction;
    entry->changes = copies;
    entry->count = count;
    unlock_and_tell(memory);
}

void memory_source_append_position(struct memory_source *memory, lsn_t position)
{
    pthread_mutex_lock(&memory->lock);
    add_entry(memory, position)->is_position = true;
    unlock_and_tell(memory);
}

void memory_source_set_lag(struct memory_source *memory, usec_t lag)
{
    pthread_mutex_lock(&memory->lock);
    memory->lag = lag;
    pthread_mutex_unlock(&memory->lock);
}

void memory_source_show(struct memory_source *memory, uint64_t changes)
{
    pthread_mutex_lock(&memory->lock);
    memory->shown = changes;
    unlock_and_tell(memory);
}

/* ---- handing out ---- */

/* The open transaction's place in the batch, made when it has none there yet. */
static uint32_t open_transaction(struct batch *batch, const struct entry *entry, bool continues)
{
    const struct transaction *last =
        batch->transaction_count ? &batch->transactions[batch->transaction_count - 1] : NULL;
    if (last == NULL || last->end_lsn != LSN_NONE) {
        struct transaction *opened = batch_add_transaction(batch);
        *opened = entry->transaction;
        opened->end_lsn = LSN_NONE;
        opened->first_change = batch->change_count;
        batch->begins_open = batch->begins_open || continues;
    }
    return batch->transaction_count - 1;
}

/* Gives what is at hand of the entry's changes, up to `limit` of them in the batch. True when
 * the entry is done. */
static bool give_changes(struct memory_source *memory, const struct entry *entry,
                         struct batch *batch, uint32_t limit)
{
    uint32_t transaction = open_transaction(batch, entry, memory->next_change > 0);
    while (memory->next_change < entry->count) {
        if (batch->change_count >= limit ||
            entry->changes_before + memory->next_change >= memory->shown)
            return false;
        struct change copy = copy_change(&batch->arena, &entry->changes[memory->next_change++]);
        copy.transaction = transaction;
        *batch_add_change(batch) = copy;
    }
    batch->transactions[transaction].end_lsn = entry->transaction.end_lsn;
    return true;
}

/* True when the entry is done and the next may follow. */
static bool give_entry(struct memory_source *memory, struct batch *batch, uint32_t limit)
{
    const struct entry *entry = &memory->log[memory->next];
    bool too_large = entry->count > limit;
    if (entry->count > 0 && memory->next_change == 0 && entry->changes_before >= memory->shown)
        return false;
    if (too_large && memory->next_change == 0 && batch->change_count > 0)
        return false; /* it begins in a batch of its own */
    if (!entry->is_position &&
        !give_changes(memory, entry, batch, too_large ? limit : UINT32_MAX))
        return false;
    batch->end_lsn = memory->tally.given = entry->transaction.end_lsn;
    memory->next++;
    memory->next_change = 0;
    return true;
}

static bool is_at_hand(const struct memory_source *memory)
{
    if (memory->next == memory->count)
        return false;
    const struct entry *entry = &memory->log[memory->next];
    return entry->count == 0 || entry->changes_before + memory->next_change < memory->shown;
}

/* Lock held. True when the batch is full: the rest waits for the next. */
static bool give(struct memory_source *memory, struct batch *batch)
{
    uint32_t limit = memory->config.batch_changes ? memory->config.batch_changes : UINT32_MAX;
    while (memory->next < memory->count && batch->change_count < limit)
        if (!give_entry(memory, batch, limit))
            break;
    batch->ends_open = memory->next_change > 0;
    pthread_cond_broadcast(&memory->changed);
    return batch->change_count >= limit || (is_at_hand(memory) && batch->change_count > 0);
}

/* Sleeps until there is more, the stream wakes us, or the deadline. */
static void wait_for_more(struct memory_source *memory, int wake_fd, usec_t until)
{
    eventfd_t count;
    usec_t left = until - clock_monotonic();
    const struct stop *stop = memory->config.stop;
    struct pollfd fds[] = {{.fd = memory->more_fd, .events = POLLIN},
                           {.fd = wake_fd, .events = POLLIN},
                           {.fd = stop ? stop_fd(stop) : -1, .events = POLLIN}};
    (void)poll(fds, 3, left > 0 ? (int)(left / USEC_PER_MS) + 1 : 0);
    (void)eventfd_read(memory->more_fd, &count);
}

static enum source_result memory_receive(struct source *source, struct batch *batch,
                                         int wake_fd, usec_t until, struct err *err)
{
    struct memory_source *memory = self(source);
    pthread_mutex_lock(&memory->lock);
    if (!memory->started)
        complain(memory, "receive without start");
    bool waits = !is_at_hand(memory);
    lsn_t given = memory->tally.given;
    pthread_mutex_unlock(&memory->lock);
    if (!allowed(memory, MEMORY_SOURCE_RECEIVE, given, err))
        return SOURCE_FAILED;
    if (waits)
        wait_for_more(memory, wake_fd, until);
    pthread_mutex_lock(&memory->lock);
    bool full = give(memory, batch);
    source->lag = memory->lag;
    pthread_mutex_unlock(&memory->lock);
    return full ? SOURCE_FULL : SOURCE_DRAINED;
}

/* ---- life cycle ---- */

static bool memory_start(struct source *source, lsn_t from, struct err *err)
{
    struct memory_source *memory = self(source);
    if (!allowed(memory, MEMORY_SOURCE_START, from, err))
        return false;
    pthread_mutex_lock(&memory->lock);
    if (memory->started)
        complain(memory, "start without stop");
    memory->started = true;
    memory->next = memory->next_change = 0;
    while (memory->next < memory->count &&
           memory->log[memory->next].transaction.end_lsn <= from)
        memory->next++;
    memory->tally.starts++;
    memory->tally.started_from = memory->tally.given = from;
    pthread_mutex_unlock(&memory->lock);
    return true;
}

static bool memory_feedback(struct source *source, lsn_t flushed, struct err *err)
{
    struct memory_source *memory = self(source);
    pthread_mutex_lock(&memory->lock);
    if (!memory->started)
        complain(memory, "feedback without start");
    if (flushed > memory->tally.told)
        memory->tally.told = flushed;
    memory->tally.feedbacks++;
    pthread_cond_broadcast(&memory->changed);
    pthread_mutex_unlock(&memory->lock);
    return allowed(memory, MEMORY_SOURCE_FEEDBACK, flushed, err);
}

static void memory_stop(struct source *source)
{
    struct memory_source *memory = self(source);
    pthread_mutex_lock(&memory->lock);
    memory->started = false;
    pthread_mutex_unlock(&memory->lock);
}

static void memory_destroy(struct source *source)
{
    struct memory_source *memory = self(source);
    pthread_cond_destroy(&memory->changed);
    pthread_mutex_destroy(&memory->lock);
    arena_free(&memory->arena);
    close(memory->more_fd);
    free(memory->log);
    free(memory);
}

/* ---- for the test ---- */

static bool await(struct memory_source *memory, const uint64_t *value, uint64_t wanted,
                  usec_t until)
{
    struct timespec deadline = clock_timespec(until);
    bool in_time = true;
    pthread_mutex_lock(&memory->lock);
    while (*value < wanted && in_time)
        in_time =
            pthread_cond_timedwait(&memory->changed, &memory->lock, &deadline) != ETIMEDOUT;
    bool reached = *value >= wanted;
    pthread_mutex_unlock(&memory->lock);
    return reached;
}

bool memory_source_await_given(struct memory_source *memory, lsn_t lsn, usec_t until)
{
    return await(memory, &memory->tally.given, lsn, until);
}

bool memory_source_await_feedback(struct memory_source *memory, uint64_t calls, usec_t until)
{
    return await(memory, &memory->tally.feedbacks, calls, until);
}

struct memory_source_tally memory_source_tally(struct memory_source *memory)
{
    pthread_mutex_lock(&memory->lock);
    struct memory_source_tally tally = memory->tally;
    pthread_mutex_unlock(&memory->lock);
    return tally;
}

struct source *memory_source_contract(struct memory_source *memory)
{
    return &memory->source;
}

struct memory_source *memory_source_create(const struct memory_source_config *config)
{
    static const struct source_ops OPS = {
        .start = memory_start,
        .receive = memory_receive,
        .feedback = memory_feedback,
        .stop = memory_stop,
        .destroy = memory_destroy,
    };
    struct memory_source *memory = mem_zero(1, sizeof *memory);
    pthread_condattr_t attributes;
    memory->source.ops = &OPS;
    memory->config = *config;
    memory->shown = UINT64_MAX;
    memory->more_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    arena_init(&memory->arena, 0);
    pthread_mutex_init(&memory->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&memory->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return memory;
}
