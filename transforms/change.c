/* See change.h.
 *
 * Old row images. A table matched by key needs of the old row only the target key, and only
 * where it differs from the new one; a table matched by row needs all of it:
 *
 *     in                     match key                         match row
 *     UPDATE, no old         UPDATE, OLD_NONE                  refused
 *     UPDATE, old key        OLD_KEY if the target key differs refused
 *     UPDATE, old row        OLD_KEY if the target key differs OLD_FULL
 *     DELETE, old key or row DELETE, OLD_KEY                   OLD_FULL; refused with a key
 * only */
#include "transforms/change.h"

#include "transforms/evaluate.h"

#include <string.h>

/* --- images --- */

bool change_check_count(const struct relation *from, const struct row *row, struct err *err)
{
    if (row->values && row->count == from->column_count)
        return true;
    return err_set(err, ERR_BUG, "a row of %s.%s has %u values, its relation %u columns",
                   from->schema, from->name, row->values ? row->count : 0, from->column_count);
}

const struct value *change_line_up(const struct shape *shape, const struct row *row,
                                   struct value *room)
{
    uint16_t count = shape->plan->bound->source_relation->column_count;

    if (shape->direct)
        return row->values;
    for (uint16_t i = 0; i < count; i++)
        room[i] = shape->places[i] == SHAPE_MISSING ? (struct value){.kind = VALUE_ABSENT}
                                                    : row->values[shape->places[i]];
    return room;
}

/* Fills unchanged values from the old image. */
static const struct value *complete(const struct shape *shape, const struct value *values,
                                    const struct value *old, struct value *room)
{
    uint16_t count = shape->plan->bound->source_relation->column_count;

    for (uint16_t i = 0; i < count; i++) {
        if (values[i].kind != VALUE_UNCHANGED || !value_is_known(&old[i]))
            continue;
        if (values != room) {
            memcpy(room, values, count * sizeof(*room));
            values = room;
        }
        room[i] = old[i];
    }
    return values;
}

/* What the old row must have been where no old image came: its identity is the new row's. */
static const struct value *same_identity(const struct shape *shape, const struct value *values,
                                         struct value *room)
{
    uint16_t count = shape->plan->bound->source_relation->column_count;

    for (uint16_t i = 0; i < count; i++)
        room[i] = shape->fixed[i] ? values[i] : (struct value){.kind = VALUE_ABSENT};
    return room;
}

/* The change as one target's rules see it. */
struct images {
    struct evaluation new; /* values NULL: there is no new row */
    struct evaluation old; /* values NULL: there is no old row; what is not known is absent */
    bool has_old;          /* an old image was sent */
};

static struct images see(const struct task *task, const struct shape *shape)
{
    const struct change *change = task->in;
    const struct evaluation none = {.arena = &task->out->arena, .lookups = task->lookups};
    struct images images = {.new = none, .old = none, .has_old = change->old_image != OLD_NONE};

    if (change->kind != CHANGE_DELETE)
        images.new.values = change_line_up(shape, &task->new, task->room_new);
    if (change->kind == CHANGE_INSERT)
        return images;
    if (images.has_old) {
        images.old.values = change_line_up(shape, &change->old, task->room_old);
        if (images.new.values)
            images.new.values =
                complete(shape, images.new.values, images.old.values, task->room_new);
        return images;
    }
    images.new.fixed = shape->fixed;
    if (evaluate_has_condition(shape->plan))
        images.old.values = same_identity(shape, images.new.values, task->room_old);
    return images;
}

static bool is_whole(const struct shape *shape, const struct value *values)
{
    for (uint16_t i = 0; i < shape->plan->bound->source_relation->column_count; i++)
        if (values[i].kind == VALUE_UNCHANGED)
            return false;
    return true;
}

/* --- reading again --- */

static bool refuse_unsent(const struct task *task, struct err *err)
{
    const struct relation *from = task->set->from;

    err_set(err, ERR_DATA,
            "source table %s.%s: a value that was not sent because it did not change (TOAST) "
            "decides where the row goes, or belongs to a row that enters a target",
            from->schema, from->name);
    return err_remedy(err, "Set REPLICA IDENTITY FULL at the source so that it is sent.");
}

/* Completes task->new, or learns that the row is gone. Once a change. */
static bool read_again(struct task *task, struct err *err)
{
    struct row read = {0}, whole;

    if (task->gone)
        return true;
    if (!task->reader)
        return refuse_unsent(task, err);
    switch (task->reader->ops->read(task->reader, task->set->from, &task->new, task->xid,
                                    &task->out->arena, &read, err)) {
    case ROW_FAILED:
        return err_wrap(err, "reading a row of %s.%s again", task->set->from->schema,
                        task->set->from->name);
    case ROW_GONE:
        task->gone = true;
        return true;
    case ROW_READ:
        break;
    }
    whole = batch_row(task->out, task->new.count);
    for (uint16_t i = 0; i < whole.count; i++)
        whole.values[i] =
            task->new.values[i].kind == VALUE_UNCHANGED ? read.values[i] : task->new.values[i];
    task->new = whole;
    return true;
}

/* --- decisions --- */

static bool old_membership(const struct shape *shape, const struct images *images,
                           enum truth *member, struct err *err)
{
    return evaluate_membership(shape->plan, &images->old, false, member, err);
}

/* A new row whose place hangs on a value that was not sent is read again; one that is gone by
 * now goes nowhere: what took it away follows. */
static bool new_membership(struct task *task, const struct shape *shape, struct images *images,
                           enum truth *member, struct err *err)
{
    if (!evaluate_membership(shape->plan, &images->new, true, member, err))
        return false;
    if (*member != TRUTH_UNKNOWN)
        return true;
    if (!read_again(task, err))
        return false;
    *images = see(task, shape);
    if (task->gone) {
        *member = TRUTH_FALSE;
        return true;
    }
    return evaluate_membership(shape->plan, &images->new, true, member, err) &&
           (*member != TRUTH_UNKNOWN || refuse_unsent(task, err));
}

static struct decision decide_update(const struct images *images, enum truth was, enum truth is)
{
    struct decision decision = {.blind = was == TRUTH_UNKNOWN};

    decision.writes = is == TRUTH_TRUE;
    decision.as_update = decision.writes && was == TRUTH_TRUE;
    decision.removes =
        was != TRUTH_FALSE && !decision.as_update && (!decision.writes || images->has_old);
    return decision;
}

/* What is written whole must be known whole: a row that enters, and one that moves to another
 * key, for it may be missing there where an earlier reading found it gone. */
static bool make_whole(struct task *task, const struct shape *shape,
                       const struct images *images, struct decision *decision, struct err *err)
{
    bool moves = decision->as_update && images->has_old;

    if (!decision->writes || (decision->as_update && !moves) ||
        is_whole(shape, images->new.values))
        return true;
    if (!read_again(task, err))
        return false;
    if (task->gone)
        *decision = (struct decision){.removes = moves || decision->removes, .blind = true};
    return true;
}

static bool decide_by_condition(struct task *task, const struct shape *shape,
                                struct decision *decision, struct err *err)
{
    struct images images = see(task, shape);
    enum truth was = TRUTH_FALSE, is = TRUTH_FALSE;

    if (images.new.values && !new_membership(task, shape, &images, &is, err))
        return false;
    if (images.old.values && !old_membership(shape, &images, &was, err))
        return err_wrap(err, "old row");
    *decision = decide_update(&images, was, is);
    return make_whole(task, shape, &images, decision, err);
}

static bool decide(struct task *task, size_t i, struct err *err)
{
    const struct shape *shape = &task->set->shapes[i];
    struct decision *decision = &task->decisions[i];

    if (evaluate_has_condition(shape->plan))
        return decide_by_condition(task, shape, decision, err);
    *decision = (struct decision){.removes = task->in->kind == CHANGE_DELETE,
                                  .writes = task->in->kind != CHANGE_DELETE,
                                  .as_update = task->in->kind == CHANGE_UPDATE};
    if (task->in->kind != CHANGE_INSERT && !task->in->unsure)
        return true;
    /* A row that the copy did not bring, or may not have: what was left unsent is needed. */
    struct images images = see(task, shape);
    return make_whole(task, shape, &images, decision, err);
}

/* --- writing --- */

static enum match match_of(const struct shape *shape)
{
    return shape->plan->bound->target_relation->match;
}

static void emit(const struct task *task, const struct shape *shape, enum change_kind kind,
                 bool blind, struct row old, struct row new)
{
    struct change *change = batch_add_change(task->out);

    change->kind = kind;
    change->relation = shape->plan->bound->target_relation;
    change->blind = blind;
    change->old = old;
    change->new = new;
    change->lsn = task->in->lsn;
    change->transaction = task->in->transaction;
    change->old_image = !old.values                    ? OLD_NONE
                        : match_of(shape) == MATCH_ROW ? OLD_FULL
                                                       : OLD_KEY;
}

/* The target key of an image, unless it is that of `same`; old->values stays NULL then. */
static bool old_key(const struct task *task, const struct shape *shape,
                    const struct evaluation *image, const struct row *same, struct row *old,
                    struct err *err)
{
    const struct table_plan *plan = shape->plan;
    struct value *room = task->room_target;

    if (!evaluate_key(plan, image, room, err) || !evaluate_check_key(plan, room, err))
        return err_wrap(err, "old row");
    if (same && evaluate_keys_equal(plan, room, same->values))
        return true;
    *old = (struct row){.count = plan->bound->column_count};
    old->values = arena_copy(&task->out->arena, room, old->count * sizeof(*room));
    return true;
}

static bool old_row(const struct task *task, const struct shape *shape,
                    const struct evaluation *image, struct row *old, struct err *err)
{
    struct row row = batch_row(task->out, shape->plan->bound->column_count);

    if (!evaluate_row(shape->plan, image, row.values, err))
        return err_wrap(err, "old row");
    *old = row;
    return true;
}

/* A blind delete of a row that has no key here is no delete: it could never have been written. */
static bool write_delete(const struct task *task, const struct shape *shape, bool blind,
                         struct err *err)
{
    struct images images = see(task, shape);
    struct row old = {0};
    bool known = match_of(shape) == MATCH_ROW
                     ? old_row(task, shape, &images.old, &old, err)
                     : old_key(task, shape, &images.old, NULL, &old, err);

    if (!known && blind && err->class == ERR_DATA) {
        err_clear(err);
        return true;
    }
    if (known)
        emit(task, shape, CHANGE_DELETE, blind, old, (struct row){0});
    return known;
}

/* The new row; where a rule needs a value that was not sent, it is read again. */
static bool new_row(struct task *task, const struct shape *shape, struct images *images,
                    struct row *new, struct err *err)
{
    const struct table_plan *plan = shape->plan;

    *new = batch_row(task->out, plan->bound->column_count);
    if (evaluate_row(plan, &images->new, new->values, err))
        return evaluate_check_key(plan, new->values, err);
    if (err->class != ERR_DATA || task->in->kind != CHANGE_UPDATE || !task->reader ||
        is_whole(shape, images->new.values))
        return false;
    err_clear(err);
    if (!read_again(task, err))
        return false;
    *images = see(task, shape);
    return evaluate_known_part(plan, &images->new, new->values, err) &&
           evaluate_check_key(plan, new->values, err);
}

/* What an update tells the target of the old row; old->values stays NULL when nothing. */
static bool updated_row(const struct task *task, const struct shape *shape,
                        const struct images *images, const struct row *new, struct row *old,
                        struct err *err)
{
    if (!images->has_old)
        return true;
    return match_of(shape) == MATCH_ROW ? old_row(task, shape, &images->old, old, err)
                                        : old_key(task, shape, &images->old, new, old, err);
}

static bool write_new(struct task *task, const struct shape *shape,
                      const struct decision *decision, struct err *err)
{
    struct images images = see(task, shape);
    struct row old = {0}, new;

    if (!new_row(task, shape, &images, &new, err))
        return false;
    if (decision->as_update && !updated_row(task, shape, &images, &new, &old, err))
        return false;
    emit(task, shape, decision->as_update ? CHANGE_UPDATE : CHANGE_INSERT, decision->blind, old,
         new);
    return true;
}

/* --- the whole --- */

/* Whether the source's identity, as this relation version has it, still names the row. */
static bool check_identity(const struct task *task, const struct shape *shape, struct err *err)
{
    const struct catalog_table *source = shape->plan->bound->source;
    const struct change *change = task->in;
    enum match match = match_of(shape);
    bool has_old = change->kind == CHANGE_DELETE || match == MATCH_ROW;
    const char *problem = NULL;

    if (match == MATCH_NONE)
        problem =
            "the table was bound without a replica identity, and an update or delete came";
    else if (match == MATCH_ROW && change->old_image != OLD_FULL)
        problem = "its rows are matched whole, and the old row was not sent";
    else if (has_old && change->old_image == OLD_NONE)
        problem = "a delete came without the old key";
    else if (!shape->identifies)
        problem = "its replica identity no longer holds the columns that the key is made of";
    if (!problem)
        return true;
    err_set(err, ERR_SHAPE, "source table %s.%s: %s", source->schema, source->name, problem);
    return err_remedy(
        err,
        "The replica identity was changed. Run again to bind the rules anew; if that "
        "is refused, restore the identity; if this change is older than the identity "
        "that the table has: `slackwater run --redo %s.%s` copies the table anew.",
        source->schema, source->name);
}

static bool check_change(const struct task *task, struct err *err)
{
    const struct change *change = task->in;
    const struct relation *from = task->set->from;

    if (change->kind > CHANGE_DELETE)
        return err_set(err, ERR_BUG, "a change of unknown kind %d", (int)change->kind);
    for (size_t i = 0; i < task->set->count && change->kind != CHANGE_INSERT; i++)
        if (!check_identity(task, &task->set->shapes[i], err))
            return false;
    if (change->kind != CHANGE_DELETE && !change_check_count(from, &change->new, err))
        return false;
    return change->kind == CHANGE_INSERT || change->old_image == OLD_NONE ||
           change_check_count(from, &change->old, err);
}

bool change_transform(struct task *task, struct err *err)
{
    const struct shape_set *set = task->set;

    task->new = task->in->new;
    if (!check_change(task, err))
        return false;
    for (size_t i = 0; i < set->count; i++)
        if (!decide(task, i, err))
            return false;
    /* Children before parents, and parents before children, where the file has them so. */
    for (size_t i = set->count; i > 0; i--)
        if (task->decisions[i - 1].removes &&
            !write_delete(task, &set->shapes[i - 1], task->decisions[i - 1].blind, err))
            return false;
    for (size_t i = 0; i < set->count; i++)
        if (task->decisions[i].writes &&
            !write_new(task, &set->shapes[i], &task->decisions[i], err))
            return false;
    return true;
}
