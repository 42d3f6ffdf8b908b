/* What stands around the tables of two live databases: encoding, collation, extensions,
 * sequences, large objects. */
#include "schema/comparison.h"

#include "schema/ident.h"

#include <inttypes.h>
#include <string.h>

/* ---- encoding and collation ---- */

static bool is(const char *encoding, const char *name)
{
    return encoding && strcmp(encoding, name) == 0;
}

/* UTF8 takes every text of a named encoding; SQL_ASCII takes and gives any bytes. */
static void compare_encoding(struct comparison *c)
{
    const char *source = c->before->encoding, *target = c->after->encoding;
    if (!source || !target || is(source, target))
        return;
    bool fits = (is(target, "UTF8") && !is(source, "SQL_ASCII")) || is(target, "SQL_ASCII");
    findings_put(c->findings,
                 &(struct finding){
                     .id = "database.encoding",
                     .severity = fits ? SEVERITY_NON_BREAKING : SEVERITY_POTENTIALLY_BREAKING,
                     .object = "target",
                     .what = compare_say(c, "the source's encoding is %s, the target's %s",
                                         source, target),
                     .impact = fits ? "texts are converted"
                                    : "a text that the target cannot hold stops "
                                      "the run",
                     .fix = fits ? "" : "create the target database with ENCODING 'UTF8'"});
}

static void compare_collation(struct comparison *c)
{
    const char *source = c->before->collation, *target = c->after->collation;
    if (!source || !target || is(source, target))
        return;
    findings_put(c->findings,
                 &(struct finding){.id = "database.collation",
                                   .severity = SEVERITY_NON_BREAKING,
                                   .object = "target",
                                   .what = compare_say(c,
                                                       "the source's collation is %s, the "
                                                       "target's %s",
                                                       source, target),
                                   .impact = "ORDER BY and ranges of text give other results",
                                   .fix = "create the target database with the same locale, if "
                                          "the order counts"});
}

/* ---- extensions ---- */

static const struct catalog_extension *find_extension(const struct catalog *catalog,
                                                      const char *name)
{
    for (size_t i = 0; i < catalog->extension_count; i++)
        if (strcmp(catalog->extensions[i].name, name) == 0)
            return &catalog->extensions[i];
    return NULL;
}

static void compare_extension(struct comparison *c, const struct catalog_extension *source)
{
    const struct catalog_extension *target = find_extension(c->after, source->name);
    const char *name = compare_ident(c, source->name);
    if (!target)
        findings_put(c->findings,
                     &(struct finding){
                         .id = "extension.missing",
                         .severity = SEVERITY_NON_BREAKING,
                         .object = source->name,
                         .what = compare_say(c, "extension %s is not installed at the target",
                                             source->name),
                         .impact = "the application may miss its functions after the cutover",
                         .sql = compare_say(c, "CREATE EXTENSION %s;", name),
                         .rollback_sql = compare_say(c, "DROP EXTENSION %s;", name)});
    else if (strcmp(source->version, target->version) != 0)
        findings_put(c->findings,
                     &(struct finding){.id = "extension.version",
                                       .severity = SEVERITY_NON_BREAKING,
                                       .object = source->name,
                                       .what = compare_say(c,
                                                           "extension %s is %s at the source, "
                                                           "%s at the target",
                                                           source->name, source->version,
                                                           target->version)});
}

/* ---- sequences ---- */

static const struct catalog_sequence *find_sequence(const struct catalog *catalog,
                                                    const struct catalog_sequence *like)
{
    for (size_t i = 0; i < catalog->sequence_count; i++)
        if (strcmp(catalog->sequences[i].name, like->name) == 0 &&
            strcmp(catalog->sequences[i].schema, like->schema) == 0)
            return &catalog->sequences[i];
    return NULL;
}

static void compare_sequence(struct comparison *c, const struct catalog_sequence *source)
{
    const struct catalog_sequence *target = find_sequence(c->after, source);
    const char *name = compare_keep(c, ident_display(source->schema, source->name));
    struct finding finding = {.severity = SEVERITY_NON_BREAKING, .object = name};
    if (!target) {
        finding.id = "sequence.missing";
        finding.what = compare_say(c, "sequence %s is not at the target", name);
        finding.impact = "its value has nowhere to go at the cutover";
        finding.fix = "create it, or check that another one takes its place";
    } else if (target->increment != source->increment || target->cycle != source->cycle ||
               (target->increment > 0 && target->max < source->max) ||
               (target->increment < 0 && target->min > source->min)) {
        finding.id = "sequence.differs";
        finding.what = compare_say(c,
                                   "sequence %s: increment %" PRId64 ", %" PRId64 " to %" PRId64
                                   " becomes "
                                   "increment %" PRId64 ", %" PRId64 " to %" PRId64,
                                   name, source->increment, source->min, source->max,
                                   target->increment, target->min, target->max);
        finding.impact = "it gives other values, or ends sooner";
    } else {
        return;
    }
    findings_put(c->findings, &finding);
}

static void note_sequences(struct comparison *c)
{
    if (c->before->sequence_count == 0)
        return;
    findings_put(
        c->findings,
        &(struct finding){
            .id = "sequence.not_carried",
            .severity = SEVERITY_NON_BREAKING,
            .object = "source",
            .what = compare_say(c, "%zu sequence(s): their values are not in the stream",
                                c->before->sequence_count),
            .impact = "the target's would give values that are in use",
            .fix = "set them, with headroom, when writes move to the target"});
}

/* ---- large objects ---- */

static void note_large_objects(struct comparison *c)
{
    if (c->before->large_objects == 0)
        return;
    findings_put(c->findings,
                 &(struct finding){
                     .id = "source.large_objects",
                     .severity = SEVERITY_POTENTIALLY_BREAKING,
                     .object = "source",
                     .what = compare_say(c,
                                         "the source holds %" PRId64 " large object(s), which "
                                         "are not replicated",
                                         c->before->large_objects),
                     .impact = "columns that refer to them refer to nothing at the target",
                     .fix =
                         "move them into bytea columns, or copy them with pg_dump --blobs when "
                         "writes have stopped"});
}

void compare_databases(struct comparison *c)
{
    compare_encoding(c);
    compare_collation(c);
    for (size_t i = 0; i < c->before->extension_count; i++)
        compare_extension(c, &c->before->extensions[i]);
    for (size_t i = 0; i < c->before->sequence_count; i++)
        compare_sequence(c, &c->before->sequences[i]);
    note_sequences(c);
    note_large_objects(c);
}
