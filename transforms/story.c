/* See story.h. */
#include "transforms/story.h"

#include "transforms/plan.h"
#include "transforms/text.h"

static void append_steps(const struct rule *rule, struct buf *text)
{
    if (rule->input) {
        append_steps(rule->input, text);
        buf_append_text(text, ", ");
    }
    buf_append_text(text, rule->kind->key);
}

static const char *rule_words(const struct rule *rule, struct arena *arena)
{
    struct buf text = {0};

    if (!rule->where)
        return "carried";
    append_steps(rule, &text);
    return text_take(arena, &text);
}

static struct column_story tell(const struct plan_column *column, struct arena *arena)
{
    uint16_t *inputs = arena_alloc(arena, (column->input_count + 1u) * sizeof(*inputs));

    for (uint16_t i = 0; i < column->input_count; i++)
        inputs[i] = column->inputs[i]->index;
    return (struct column_story){.rule = rule_words(column->rule, arena),
                                 .where = column->rule->where,
                                 .input_count = column->input_count,
                                 .inputs = inputs};
}

const struct column_story *table_story(const struct chain *chain, size_t table,
                                       struct arena *arena)
{
    const struct table_plan *plan = &((const struct chain_plan *)chain)->tables[table];
    uint16_t count = plan->bound->column_count;
    struct column_story *stories = arena_alloc(arena, (count + 1u) * sizeof(*stories));

    for (uint16_t i = 0; i < count; i++)
        stories[i] = tell(&plan->columns[i], arena);
    return stories;
}
