/* Conflicts (conflicts.h). */
#include "cli/conflicts.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

static const struct {
    const char *what;
    size_t counter; /* its place in struct table_counters */
} KINDS[] = {
    {"inserts found their key there, and overwrote it",
     offsetof(struct table_counters, conflict_insert_exists)},
    {"updates found no row there", offsetof(struct table_counters, conflict_update_missing)},
    {"deletes found no row there", offsetof(struct table_counters, conflict_delete_missing)},
};
#define KIND_COUNT (sizeof KINDS / sizeof *KINDS)

struct kind_look {
    uint64_t number; /* at the look before */
    bool said;
};

struct conflicts {
    const char *const *names;
    const struct table_counters *tables;
    size_t count;
    struct kind_look (*looks)[KIND_COUNT];
};

struct conflicts *conflicts_create(const char *const *names,
                                   const struct table_counters *tables, size_t count)
{
    struct conflicts *conflicts = mem_alloc(sizeof *conflicts);
    *conflicts = (struct conflicts){.names = names,
                                    .tables = tables,
                                    .count = count,
                                    .looks = mem_zero(count + 1, sizeof *conflicts->looks)};
    return conflicts;
}

static uint64_t number_of(const struct table_counters *table, size_t kind)
{
    return counter_get((const counter_t *)((const char *)table + KINDS[kind].counter));
}

static void look_at(struct conflicts *conflicts, size_t table, bool backfill_complete)
{
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        struct kind_look *look = &conflicts->looks[table][kind];
        uint64_t before = look->number;
        look->number = number_of(&conflicts->tables[table], kind);
        if (look->said || !backfill_complete || look->number == before)
            continue;
        look->said = true;
        log_event(LOG_WARN, "changes met other rows at the target than the source had",
                  log_text("table", conflicts->names[table]),
                  log_text("what", KINDS[kind].what),
                  log_text("remedy", "look who else writes to the target's table; the count is "
                                     "in its conflicts in /status"));
    }
}

void conflicts_look(struct conflicts *conflicts, bool backfill_complete)
{
    for (size_t i = 0; i < conflicts->count; i++)
        look_at(conflicts, i, backfill_complete);
}

void conflicts_free(struct conflicts *conflicts)
{
    if (conflicts == NULL)
        return;
    free(conflicts->looks);
    free(conflicts);
}
