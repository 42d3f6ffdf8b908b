/* A table's lanes (lane.h). */
#include "backfill/lane.h"

#include "backfill/chunk_key.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void free_after(struct lane *lane, uint16_t count)
{
    for (uint16_t i = 0; lane->after != NULL && i < count; i++)
        free(lane->after[i]);
    free(lane->after);
    lane->after = NULL;
}

static void free_lane(struct lane *lane, uint16_t key_count)
{
    for (size_t i = 0; i < lane->chunk_count; i++) {
        buf_free(&lane->chunks[i].upto);
        snapshot_free(&lane->chunks[i].snapshot);
    }
    free(lane->chunks);
    buf_free(&lane->lower);
    free_after(lane, key_count);
    snapshot_free(&lane->snapshot);
    unseen_free(&lane->required);
}

void lanes_free(struct lanes *lanes)
{
    for (size_t i = 0; i < lanes->count; i++)
        free_lane(&lanes->items[i], lanes->key->count);
    free(lanes->items);
    copy_plan_free(&lanes->plan);
    *lanes = (struct lanes){0};
}

/* Where the lane behind a bound begins. */
static bool encode_lower(const struct lanes *lanes, size_t bound, struct buf *lower)
{
    char *const *values = lanes->plan.bounds[bound];
    if (copy_key_is_asked(lanes->key)) {
        chunk_key_append_place((uint32_t)bound + 1, lower);
        return true;
    }
    for (uint16_t i = 0; values[i] != NULL; i++)
        if (i >= lanes->key->count ||
            !chunk_key_append_text(&lanes->key->columns[i], values[i], lower))
            return false;
    return true;
}

bool lanes_plan(struct lanes *lanes, const struct copy_key *key, struct copy_plan *plan,
                struct err *err)
{
    *lanes = (struct lanes){.key = key, .plan = *plan, .count = plan->bound_count + 1};
    *plan = (struct copy_plan){0};
    lanes->items = mem_zero(lanes->count, sizeof *lanes->items);
    for (size_t i = 0; i < lanes->plan.bound_count; i++) {
        struct buf *lower = &lanes->items[i + 1].lower;
        size_t size = copy_bound_size((const char *const *)lanes->plan.bounds[i]);
        if (size > lanes->bound_columns)
            lanes->bound_columns = (uint16_t)size;
        if (!encode_lower(lanes, i, lower) ||
            chunk_key_compare(&lanes->items[i].lower, lower) >= 0)
            return err_set(err, ERR_CORRUPT, "\"%.60s\" does not bound a lane",
                           lanes->plan.bounds[i][0] == NULL ? "" : lanes->plan.bounds[i][0]);
    }
    return true;
}

static bool encode_upto(const struct lanes *lanes, const struct chunk_record *record,
                        struct buf *upto)
{
    for (uint16_t i = 0; record->upto != NULL && i < lanes->key->count; i++)
        if (!chunk_key_append_text(&lanes->key->columns[i], record->upto[i], upto))
            return false;
    return true;
}

static void note_after(struct lanes *lanes, struct lane *lane,
                       const struct chunk_record *record)
{
    uint16_t count = lanes->key->count;
    free_after(lane, count);
    lane->ended = record->upto == NULL;
    if (lane->ended)
        return;
    lane->after = mem_zero(count, sizeof *lane->after);
    for (uint16_t i = 0; i < count; i++)
        lane->after[i] = mem_string(record->upto[i]);
}

bool lanes_add(struct lanes *lanes, const struct chunk_record *record, struct err *err)
{
    struct chunk chunk = {.judges = true, .lsn = record->lsn};
    struct lane *lane = record->lane < lanes->count ? &lanes->items[record->lane] : NULL;
    if (lane == NULL || lane->ended || record->number != lane->loaded ||
        !encode_upto(lanes, record, &chunk.upto)) {
        buf_free(&chunk.upto);
        return err_set(err, ERR_CORRUPT, "chunk %u of lane %u does not follow the one before",
                       record->number, record->lane);
    }
    if (!snapshot_parse(record->snapshot, &chunk.snapshot, err)) {
        buf_free(&chunk.upto);
        return false;
    }
    lane->chunks = mem_grow(lane->chunks, lane->chunk_count + 1, sizeof *lane->chunks);
    lane->chunks[lane->chunk_count++] = chunk;
    lane->loaded++;
    lane->rows += record->rows;
    note_after(lanes, lane, record);
    if (record->lsn > lanes->last)
        lanes->last = record->lsn;
    return true;
}

struct lane *lanes_find(struct lanes *lanes, const struct buf *key)
{
    size_t low = 0; /* the last lane whose lower is not above the key: in low..high-1 */
    size_t high = lanes->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (chunk_key_compare(&lanes->items[middle].lower, key) <= 0)
            low = middle;
        else
            high = middle;
    }
    return &lanes->items[low];
}

const struct chunk *lane_find(const struct lane *lane, const struct buf *key)
{
    size_t bounded = lane->ended ? lane->chunk_count - 1 : lane->chunk_count;
    size_t low = 0; /* the first chunk that reaches the key: in low..high */
    size_t high = bounded;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (chunk_key_compare(&lane->chunks[middle].upto, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < lane->chunk_count ? &lane->chunks[low] : NULL;
}

/* The mean of the ended lanes; of only one, it counts as much as what was thought before. -1:
 * not known. */
static double rows_of_a_lane(const struct lanes *lanes, int64_t expected)
{
    double before = expected < 0 ? -1.0 : (double)expected / (double)lanes->count;
    double rows = 0;
    size_t ended = 0;
    for (size_t i = 0; i < lanes->count; i++) {
        if (!lanes->items[i].ended)
            continue;
        ended++;
        rows += (double)lanes->items[i].rows;
    }
    if (ended == 0)
        return before;
    return ended > 1 || before < 0 ? rows / (double)ended : (rows + before) / 2.0;
}

int64_t lanes_expected_rows(const struct lanes *lanes, int64_t expected)
{
    if (lanes->count == 0)
        return expected;
    double each = rows_of_a_lane(lanes, expected);
    double sum = 0;
    bool told = true;
    for (size_t i = 0; i < lanes->count; i++) {
        const struct lane *lane = &lanes->items[i];
        told = told && (lane->ended || each >= 0);
        sum += lane->ended || (double)lane->rows > each ? (double)lane->rows : each;
    }
    return told ? (int64_t)sum : -1;
}

bool lanes_all_ended(const struct lanes *lanes)
{
    for (size_t i = 0; i < lanes->count; i++)
        if (!lanes->items[i].ended)
            return false;
    return lanes->count > 0;
}

bool lanes_any_claimed(const struct lanes *lanes)
{
    for (size_t i = 0; i < lanes->count; i++)
        if (lanes->items[i].claimed)
            return true;
    return false;
}

/* What is passed is told by its end alone. Not one by one: the others move. */
static void merge_passed(struct lane *lane)
{
    size_t merged = lane->first_judging - 1;
    if (lane->first_judging < 2 || 2 * lane->first_judging < lane->chunk_count)
        return;
    for (size_t i = 0; i < merged; i++)
        buf_free(&lane->chunks[i].upto);
    lane->chunk_count -= merged;
    lane->first_judging = 1;
    memmove(lane->chunks, lane->chunks + merged, lane->chunk_count * sizeof *lane->chunks);
    lane->chunks = mem_grow(lane->chunks, lane->chunk_count, sizeof *lane->chunks);
}

/* A lane's snapshots were taken one after the other. */
static void pass_lane(struct lane *lane, lsn_t durable)
{
    while (lane->first_judging < lane->chunk_count &&
           lane->chunks[lane->first_judging].lsn <= durable) {
        struct chunk *chunk = &lane->chunks[lane->first_judging++];
        chunk->judges = false;
        snapshot_free(&chunk->snapshot);
    }
    merge_passed(lane);
}

bool lanes_pass(struct lanes *lanes, lsn_t durable)
{
    for (size_t i = 0; i < lanes->count; i++)
        pass_lane(&lanes->items[i], durable);
    return lanes_all_ended(lanes) && lanes->last <= durable;
}
