/* The quarantine of a run (quarantine.h). */
#include "pipeline/quarantine.h"

#include "base/mem.h"
#include "pipeline/parked_keys.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASONS 8 /* that are told apart */

/* Reasons are alike where they fail alike; which rows they are of is of no matter. */
struct reason {
    uint64_t count;
    char text[256];
};

struct guard {
    struct breaker breaker;
    struct reason reasons[REASONS];
    bool turned; /* open or closed anew, and not told yet */
};

struct quarantine {
    struct quarantine_config config; /* set at creation */

    pthread_mutex_t lock; /* guards what follows */
    struct parked_keys *keys;
    struct guard *guards; /* by table */
    uint64_t last_id;
    bool loaded;                   /* last_id is more than that of any letter at the target */
    struct copied_letters *copied; /* of each worker */
};

struct quarantine *quarantine_create(const struct quarantine_config *config)
{
    struct quarantine *q = mem_zero(1, sizeof *q);
    q->config = *config;
    q->keys = parked_keys_create(config->table_count);
    q->guards = mem_zero(config->table_count + 1, sizeof *q->guards);
    pthread_mutex_init(&q->lock, NULL);
    return q;
}

void quarantine_free(struct quarantine *q)
{
    if (q == NULL)
        return;
    pthread_mutex_destroy(&q->lock);
    parked_keys_free(q->keys);
    free(q->guards);
    free(q);
}

bool quarantine_takes(const struct quarantine *q)
{
    return q != NULL && !q->config.stops;
}

const struct parked_identity *quarantine_identity(const struct quarantine *q, uint32_t table)
{
    return &q->config.identities[table];
}

/* Lock held. */
static void show_keys(struct quarantine *q, uint32_t table)
{
    counter_set(&q->config.counters[table].parked_keys, parked_keys_count(q->keys, table));
}

static void show_all_keys(struct quarantine *q)
{
    for (uint32_t i = 0; i < q->config.table_count; i++)
        show_keys(q, i);
}

/* ---- what the target has ---- */

/* Lock held. */
static void list_under_way(const struct quarantine *q, struct buf *ids)
{
    const char *separator = "";
    buf_append_char(ids, '{');
    for (const struct copied_letters *copied = q->copied; copied != NULL; copied = copied->next)
        for (size_t i = 0; i < copied->count; i++, separator = ",")
            buf_append_format(ids, "%s%llu", separator, (unsigned long long)copied->ids[i]);
    buf_append_char(ids, '}');
}

void quarantine_forget(struct quarantine *q, uint64_t *upto, struct buf *under_way)
{
    pthread_mutex_lock(&q->lock);
    parked_keys_forget(q->keys);
    show_all_keys(q);
    for (uint32_t i = 0; i < q->config.table_count; i++)
        counter_set(&q->config.counters[i].dead_letters, 0);
    for (const struct copied_letters *copied = q->copied; copied != NULL; copied = copied->next)
        quarantine_note_letters(q, copied->table, copied->told);
    list_under_way(q, under_way);
    *upto = q->loaded ? q->last_id : INT64_MAX; /* the copy begins when it is loaded */
    q->loaded = true;
    pthread_mutex_unlock(&q->lock);
}

void quarantine_note_id(struct quarantine *q, uint64_t id)
{
    pthread_mutex_lock(&q->lock);
    q->last_id = id > q->last_id ? id : q->last_id;
    pthread_mutex_unlock(&q->lock);
}

void quarantine_note_letters(struct quarantine *q, uint32_t table, uint64_t more)
{
    counter_add(&q->config.counters[table].dead_letters, more);
}

/* As text, without zeros at the end of the fraction: 1.50 is 1.5, 1.0 is 1. */
static uint32_t size_of_number(const char *text, uint32_t size)
{
    if (size == 0 || memchr(text, '.', size) == NULL)
        return size;
    while (text[size - 1] == '0')
        size--;
    return text[size - 1] == '.' ? size - 1 : size;
}

static uint32_t size_without_blanks(const char *text, uint32_t size)
{
    while (size > 0 && text[size - 1] == ' ')
        size--;
    return size;
}

#define NUMERIC_HEAD 8 /* numeric_send(): digits, weight, sign, and */
#define NUMERIC_SCALE                                                                          \
    6 /* how many digits of the fraction are shown, which is no part of the value */

static void append_known(struct buf *key, const struct value *value,
                         enum parked_compare compare)
{
    uint32_t size = value->size;
    if (compare == PARKED_NUMERIC && value->kind == VALUE_TEXT)
        size = size_of_number(value->data, size);
    if (compare == PARKED_PADDED)
        size = size_without_blanks(value->data, size);
    buf_append_u32(key, size);
    size_t at = key->size;
    buf_append(key, value->data, size);
    if (compare == PARKED_NUMERIC && value->kind == VALUE_BINARY && size >= NUMERIC_HEAD)
        memset(key->data + at + NUMERIC_SCALE, 0, NUMERIC_HEAD - NUMERIC_SCALE);
}

/* The kind belongs to it: a NULL is no empty text, and text may look like another's binary. */
static void append_value(struct buf *key, const struct value *value,
                         enum parked_compare compare)
{
    static const char KINDS[] = {[VALUE_ABSENT] = 'a',
                                 [VALUE_NULL] = 'n',
                                 [VALUE_UNCHANGED] = 'a',
                                 [VALUE_TEXT] = 't',
                                 [VALUE_BINARY] = 'b'};
    if (compare == PARKED_NOT)
        return;
    buf_append_char(key, KINDS[value->kind]);
    if (value->kind == VALUE_TEXT || value->kind == VALUE_BINARY)
        append_known(key, value, compare);
    else
        buf_append_u32(key, 0);
}

static enum parked_compare compare_of(const struct parked_identity *identity, uint16_t column)
{
    return identity->compares == NULL ? PARKED_AS_WRITTEN : identity->compares[column];
}

void quarantine_note_key(struct quarantine *q, uint32_t table, const struct value *values,
                         uint64_t chain)
{
    const struct parked_identity *identity = &q->config.identities[table];
    struct buf key = {0};
    for (uint16_t i = 0; i < identity->count; i++)
        append_value(&key, &values[i], compare_of(identity, i));
    pthread_mutex_lock(&q->lock);
    parked_keys_put(q->keys, table, buf_text(&key), key.size, chain);
    show_keys(q, table);
    pthread_mutex_unlock(&q->lock);
    buf_free(&key);
}

void quarantine_half_open(struct quarantine *q, uint32_t table)
{
    pthread_mutex_lock(&q->lock);
    struct guard *guard = &q->guards[table];
    if (guard->breaker.state == BREAKER_CLOSED)
        breaker_half_open(&guard->breaker);
    counter_set(&q->config.counters[table].breaker, guard->breaker.state);
    pthread_mutex_unlock(&q->lock);
}

void quarantine_clear(struct quarantine *q, uint32_t table)
{
    pthread_mutex_lock(&q->lock);
    parked_keys_clear(q->keys, table);
    parked_keys_keep(q->keys);
    counter_set(&q->config.counters[table].dead_letters, 0);
    show_keys(q, table);
    pthread_mutex_unlock(&q->lock);
}

/* ---- letters of the copy ---- */

void quarantine_copy_join(struct quarantine *q, struct copied_letters *copied)
{
    *copied = (struct copied_letters){0};
    if (q == NULL)
        return;
    pthread_mutex_lock(&q->lock);
    copied->next = q->copied;
    q->copied = copied;
    pthread_mutex_unlock(&q->lock);
}

void quarantine_copy_leave(struct quarantine *q, struct copied_letters *copied)
{
    if (q == NULL)
        return;
    pthread_mutex_lock(&q->lock);
    struct copied_letters **at = &q->copied;
    while (*at != copied)
        at = &(*at)->next;
    *at = copied->next;
    pthread_mutex_unlock(&q->lock);
    free(copied->ids);
}

void quarantine_copy_begin(struct quarantine *q, struct copied_letters *copied, uint32_t table)
{
    if (q == NULL)
        return;
    pthread_mutex_lock(&q->lock);
    copied->table = table;
    copied->told = copied->count = 0;
    pthread_mutex_unlock(&q->lock);
}

void quarantine_copy_end(struct quarantine *q, struct copied_letters *copied)
{
    quarantine_copy_begin(q, copied, copied->table);
}

uint64_t quarantine_copy_id(struct quarantine *q, struct copied_letters *copied)
{
    pthread_mutex_lock(&q->lock);
    uint64_t id = ++q->last_id;
    if (copied->count == copied->capacity) {
        copied->capacity = copied->capacity == 0 ? 64 : 2 * copied->capacity;
        copied->ids = mem_grow(copied->ids, copied->capacity, sizeof *copied->ids);
    }
    copied->ids[copied->count++] = id;
    pthread_mutex_unlock(&q->lock);
    return id;
}

void quarantine_copy_tell(struct quarantine *q, struct copied_letters *copied, uint64_t letters)
{
    pthread_mutex_lock(&q->lock);
    copied->told += letters;
    quarantine_note_letters(q, copied->table, letters);
    pthread_mutex_unlock(&q->lock);
}

void quarantine_copy_take_back(struct quarantine *q, struct copied_letters *copied)
{
    if (q == NULL)
        return;
    pthread_mutex_lock(&q->lock);
    counter_add(&q->config.counters[copied->table].dead_letters, -copied->told);
    copied->told = 0;
    pthread_mutex_unlock(&q->lock);
}

/* ---- parking ---- */

uint64_t quarantine_next_id(struct quarantine *q)
{
    pthread_mutex_lock(&q->lock);
    uint64_t id = ++q->last_id;
    pthread_mutex_unlock(&q->lock);
    return id;
}

bool quarantine_holds_any(const struct quarantine *q, uint32_t table)
{
    return counter_get(&q->config.counters[table].parked_keys) > 0;
}

static bool append_key(const struct parked_identity *identity, const struct relation *relation,
                       const struct row *image, const struct row *other, struct buf *key)
{
    static const struct value ABSENT = {.kind = VALUE_ABSENT};
    bool known = true;
    for (uint16_t i = 0; i < identity->count; i++) {
        int column = relation_column(relation, identity->columns[i]);
        const struct value *value = column < 0 ? &ABSENT : &image->values[column];
        if (column >= 0 && !value_is_known(value) && other != NULL && other->values != NULL)
            value = &other->values[column];
        append_value(key, value, compare_of(identity, i));
        known = known && value_is_known(value);
    }
    return known;
}

bool quarantine_append_key(const struct quarantine *q, uint32_t table,
                           const struct relation *relation, const struct row *image,
                           const struct row *other, struct buf *key)
{
    return append_key(&q->config.identities[table], relation, image, other, key);
}

bool quarantine_append_written(const struct quarantine *q, uint32_t table,
                               const struct relation *relation, const struct row *image,
                               struct buf *key)
{
    struct parked_identity identity = q->config.identities[table];
    identity.compares = NULL;
    return append_key(&identity, relation, image, NULL, key);
}

uint64_t quarantine_find(struct quarantine *q, uint32_t table, const struct buf *key)
{
    pthread_mutex_lock(&q->lock);
    uint64_t chain = parked_keys_find(q->keys, table, buf_text(key), key->size);
    pthread_mutex_unlock(&q->lock);
    return chain;
}

void quarantine_park(struct quarantine *q, uint32_t table, const struct buf *key,
                     uint64_t chain)
{
    pthread_mutex_lock(&q->lock);
    parked_keys_add(q->keys, table, buf_text(key), key->size, chain);
    show_keys(q, table);
    pthread_mutex_unlock(&q->lock);
}

void quarantine_join(struct quarantine *q, uint64_t from, uint64_t into)
{
    pthread_mutex_lock(&q->lock);
    parked_keys_join(q->keys, from, into);
    pthread_mutex_unlock(&q->lock);
}

void quarantine_empty(struct quarantine *q, uint32_t table)
{
    pthread_mutex_lock(&q->lock);
    parked_keys_clear(q->keys, table);
    show_keys(q, table);
    pthread_mutex_unlock(&q->lock);
}

size_t quarantine_mark(struct quarantine *q)
{
    pthread_mutex_lock(&q->lock);
    size_t mark = parked_keys_mark(q->keys);
    pthread_mutex_unlock(&q->lock);
    return mark;
}

void quarantine_undo(struct quarantine *q, size_t mark)
{
    pthread_mutex_lock(&q->lock);
    parked_keys_undo(q->keys, mark);
    show_all_keys(q);
    pthread_mutex_unlock(&q->lock);
}

void quarantine_keep(struct quarantine *q, const struct letters *letters)
{
    pthread_mutex_lock(&q->lock);
    parked_keys_keep(q->keys);
    pthread_mutex_unlock(&q->lock);
    for (uint32_t i = 0; i < letters->emptied_count; i++)
        counter_set(&q->config.counters[letters->emptied[i].table].dead_letters, 0);
    for (uint32_t i = 0; i < letters->count; i++)
        if (!letters->items[i].moot)
            quarantine_note_letters(q, letters->items[i].table, 1);
}

/* ---- breakers ---- */

static void note_reason(struct guard *guard, const struct err *why)
{
    struct reason *free_one = &guard->reasons[REASONS - 1];
    for (size_t i = 0; i < REASONS; i++) {
        struct reason *reason = &guard->reasons[i];
        if (reason->count > 0 &&
            strncmp(reason->text, why->message, sizeof reason->text - 1) == 0) {
            reason->count++;
            return;
        }
        if (reason->count == 0) {
            free_one = reason;
            break;
        }
    }
    *free_one = (struct reason){.count = 1};
    snprintf(free_one->text, sizeof free_one->text, "%.*s", (int)sizeof free_one->text - 1,
             why->message);
}

static const char *most_common(const struct guard *guard)
{
    const struct reason *most = &guard->reasons[0];
    for (size_t i = 1; i < REASONS; i++)
        if (guard->reasons[i].count > most->count)
            most = &guard->reasons[i];
    return most->text;
}

static bool refuse(const struct quarantine *q, uint32_t table, struct err *err)
{
    const struct guard *guard = &q->guards[table];
    err_set(
        err, ERR_DATA,
        "the circuit breaker of %s is open: %.3g %% of its last %.0f rows are bad, more than "
        "is parked; mostly: %s",
        q->config.sources[table], 100 * breaker_share(&guard->breaker), guard->breaker.seen,
        most_common(guard));
    return err_remedy(err,
                      "mend the rule or the target, then run again: it resumes exactly before "
                      "this batch, and `slackwater dlq retry --all` makes what was parked; "
                      "or allow a larger share (apply.breaker.max_bad_share)");
}

bool quarantine_count(struct quarantine *q, uint32_t table, uint64_t good, uint64_t bad,
                      const struct err *why, struct err *err)
{
    struct guard *guard = &q->guards[table];
    pthread_mutex_lock(&q->lock);
    enum breaker_state before = guard->breaker.state;
    if (why != NULL)
        note_reason(guard, why);
    enum breaker_state state =
        breaker_count(&guard->breaker, &q->config.limits, good, bad, clock_monotonic());
    guard->turned = guard->turned || state != before;
    counter_set(&q->config.counters[table].breaker, state);
    bool open = state == BREAKER_OPEN;
    if (open)
        refuse(q, table, err);
    pthread_mutex_unlock(&q->lock);
    return !open;
}

bool quarantine_next_turn(struct quarantine *q, uint32_t *table, enum breaker_state *state,
                          char reason[512])
{
    bool found = false;
    pthread_mutex_lock(&q->lock);
    for (uint32_t i = 0; !found && i < q->config.table_count; i++) {
        struct guard *guard = &q->guards[i];
        found = guard->turned;
        guard->turned = false;
        if (!found)
            continue;
        *table = i;
        *state = guard->breaker.state;
        snprintf(reason, 512, "%s", most_common(guard));
    }
    pthread_mutex_unlock(&q->lock);
    return found;
}
