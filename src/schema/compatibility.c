/* See compatibility.h. Sources: the input and output functions in src/backend/utils/adt;
 * chapter 8 of the manual. */
#include "schema/compatibility.h"

#include <string.h>

enum category {
    CATEGORY_BOOLEAN,
    CATEGORY_INTEGER,
    CATEGORY_OID,
    CATEGORY_NUMERIC,
    CATEGORY_FLOAT,
    CATEGORY_MONEY,
    CATEGORY_TEXT,
    CATEGORY_NAME,
    CATEGORY_BYTES,
    CATEGORY_DATE,
    CATEGORY_TIMESTAMP,
    CATEGORY_TIMESTAMPTZ,
    CATEGORY_TIME,
    CATEGORY_TIMETZ,
    CATEGORY_INTERVAL,
    CATEGORY_UUID,
    CATEGORY_JSON,
    CATEGORY_JSONB,
    CATEGORY_INET,
    CATEGORY_MAC,
    CATEGORY_BIT,
    CATEGORY_ENUM,
    CATEGORY_COMPOSITE,
    CATEGORY_RANGE,
    CATEGORY_ARRAY,
    CATEGORY_CLOSED,  /* built in, and takes nothing but itself and text */
    CATEGORY_UNKNOWN, /* an extension's or a user's own base type */
    CATEGORY_ANY,     /* in the table of pairs only */
};

/* rank orders the types of a category: a value fits where the rank is no smaller. */
struct known_type {
    const char *name;
    enum category category;
    int rank;
    int max_length; /* of the text form; 0: no limit, or by the modifier */
};

static const struct known_type known_types[] = {
    {"bool", CATEGORY_BOOLEAN, 0, 1},
    {"int2", CATEGORY_INTEGER, 1, 6},
    {"int4", CATEGORY_INTEGER, 2, 11},
    {"int8", CATEGORY_INTEGER, 3, 20},
    {"oid", CATEGORY_OID, 0, 10},
    {"numeric", CATEGORY_NUMERIC, 0, 0},
    {"float4", CATEGORY_FLOAT, 1, 24},
    {"float8", CATEGORY_FLOAT, 2, 24},
    {"money", CATEGORY_MONEY, 0, 0},
    {"text", CATEGORY_TEXT, 0, 0},
    {"varchar", CATEGORY_TEXT, 0, 0},
    {"bpchar", CATEGORY_TEXT, 0, 0},
    {"citext", CATEGORY_TEXT, 0, 0},
    {"name", CATEGORY_NAME, 2, 63},
    {"char", CATEGORY_NAME, 1, 4},
    {"bytea", CATEGORY_BYTES, 0, 0},
    {"date", CATEGORY_DATE, 0, 16},
    {"timestamp", CATEGORY_TIMESTAMP, 0, 40},
    {"timestamptz", CATEGORY_TIMESTAMPTZ, 0, 48},
    {"time", CATEGORY_TIME, 0, 15},
    {"timetz", CATEGORY_TIMETZ, 0, 24},
    {"interval", CATEGORY_INTERVAL, 0, 0},
    {"uuid", CATEGORY_UUID, 0, 36},
    {"json", CATEGORY_JSON, 0, 0},
    {"jsonb", CATEGORY_JSONB, 0, 0},
    {"cidr", CATEGORY_INET, 1, 0},
    {"inet", CATEGORY_INET, 2, 0},
    {"macaddr", CATEGORY_MAC, 1, 17},
    {"macaddr8", CATEGORY_MAC, 2, 23},
    {"bit", CATEGORY_BIT, 1, 0},
    {"varbit", CATEGORY_BIT, 2, 0},
};

/* What becomes of a pair of different types. The first line that matches counts; what no line
 * names cannot be cast. The two by rank: WIDENS where the source's rank is no larger. */
struct pair {
    enum category source;
    enum category target;
    enum {
        WIDENS,
        FITS,
        NARROWS,
        ROUNDS,
        DROPS_ZONE,
        CONVERTS,
        NARROWS_BY_RANK,
        ROUNDS_BY_RANK
    } result;
    const char *why;
};

static const struct pair pairs[] = {
    {CATEGORY_BYTES, CATEGORY_TEXT, CONVERTS, "the bytes become hexadecimal text"},
    {CATEGORY_TEXT, CATEGORY_NAME, NARROWS, "text longer than 63 bytes is cut"},
    {CATEGORY_NAME, CATEGORY_NAME, NARROWS_BY_RANK, "longer names are cut"},
    {CATEGORY_TEXT, CATEGORY_TEXT, WIDENS, ""},
    {CATEGORY_NAME, CATEGORY_TEXT, WIDENS, ""},
    {CATEGORY_ANY, CATEGORY_TEXT, FITS, ""},
    {CATEGORY_TEXT, CATEGORY_ANY, CONVERTS,
     "text that is no value of the target's type is refused"},
    {CATEGORY_NAME, CATEGORY_ANY, CONVERTS,
     "text that is no value of the target's type is refused"},
    {CATEGORY_UNKNOWN, CATEGORY_ANY, CONVERTS,
     "the text form of one must be input of the other"},
    {CATEGORY_ANY, CATEGORY_UNKNOWN, CONVERTS,
     "the text form of one must be input of the other"},

    {CATEGORY_INTEGER, CATEGORY_INTEGER, NARROWS_BY_RANK, "values may be out of range"},
    {CATEGORY_INTEGER, CATEGORY_NUMERIC, WIDENS, ""},
    {CATEGORY_INTEGER, CATEGORY_FLOAT, ROUNDS_BY_RANK, "large numbers lose digits"},
    {CATEGORY_INTEGER, CATEGORY_OID, NARROWS, "values may be out of range"},
    {CATEGORY_INTEGER, CATEGORY_MONEY, NARROWS, "values may be out of range"},
    {CATEGORY_INTEGER, CATEGORY_BOOLEAN, NARROWS, "only 0 and 1 are accepted"},
    {CATEGORY_INTEGER, CATEGORY_JSON, FITS, ""},
    {CATEGORY_INTEGER, CATEGORY_JSONB, FITS, ""},
    {CATEGORY_OID, CATEGORY_INTEGER, NARROWS, "values may be out of range"},
    {CATEGORY_OID, CATEGORY_NUMERIC, WIDENS, ""},
    {CATEGORY_NUMERIC, CATEGORY_INTEGER, NARROWS,
     "fractions are refused, values may be out of range"},
    {CATEGORY_NUMERIC, CATEGORY_FLOAT, ROUNDS, "digits may be lost"},
    {CATEGORY_NUMERIC, CATEGORY_MONEY, ROUNDS, "values are rounded or out of range"},
    {CATEGORY_FLOAT, CATEGORY_FLOAT, ROUNDS_BY_RANK, "digits may be lost"},
    {CATEGORY_FLOAT, CATEGORY_NUMERIC, CONVERTS, "infinities may be refused"},
    {CATEGORY_FLOAT, CATEGORY_INTEGER, NARROWS,
     "fractions are refused, values may be out of range"},

    {CATEGORY_DATE, CATEGORY_TIMESTAMP, WIDENS, ""},
    {CATEGORY_DATE, CATEGORY_TIMESTAMPTZ, CONVERTS,
     "midnight is taken in the session's time zone"},
    {CATEGORY_TIMESTAMP, CATEGORY_DATE, ROUNDS, "the time of day is lost"},
    {CATEGORY_TIMESTAMP, CATEGORY_TIMESTAMPTZ, CONVERTS,
     "times are taken in the session's time zone"},
    {CATEGORY_TIMESTAMP, CATEGORY_TIME, ROUNDS, "the date is lost"},
    {CATEGORY_TIMESTAMPTZ, CATEGORY_TIMESTAMP, DROPS_ZONE, "the time zone is lost"},
    {CATEGORY_TIMESTAMPTZ, CATEGORY_DATE, DROPS_ZONE,
     "the time of day and the time zone are lost"},
    {CATEGORY_TIMESTAMPTZ, CATEGORY_TIME, DROPS_ZONE, "the date and the time zone are lost"},
    {CATEGORY_TIMESTAMPTZ, CATEGORY_TIMETZ, ROUNDS, "the date is lost"},
    {CATEGORY_TIME, CATEGORY_TIMETZ, CONVERTS, "times are taken in the session's time zone"},
    {CATEGORY_TIME, CATEGORY_INTERVAL, FITS, ""},
    {CATEGORY_TIMETZ, CATEGORY_TIME, DROPS_ZONE, "the time zone is lost"},
    {CATEGORY_INTERVAL, CATEGORY_TIME, NARROWS, "only intervals below a day are accepted"},

    {CATEGORY_JSON, CATEGORY_JSONB, CONVERTS, "repeated keys and the order of keys are lost"},
    {CATEGORY_JSONB, CATEGORY_JSON, FITS, ""},
    {CATEGORY_INET, CATEGORY_INET, NARROWS_BY_RANK, "addresses with host bits are refused"},
    {CATEGORY_MAC, CATEGORY_MAC, NARROWS_BY_RANK,
     "only addresses with FF:FE in the middle are accepted"},
    {CATEGORY_BIT, CATEGORY_BIT, NARROWS_BY_RANK, "the length must be the target's"},
    {CATEGORY_ENUM, CATEGORY_ENUM, NARROWS, "labels that the target's enum lacks are refused"},
    {CATEGORY_COMPOSITE, CATEGORY_COMPOSITE, CONVERTS,
     "the fields must agree in number and type"},
    {CATEGORY_RANGE, CATEGORY_RANGE, CONVERTS, "bounds must be values of the target's subtype"},
    {CATEGORY_ARRAY, CATEGORY_ARRAY, CONVERTS, "elements must be values of the target's type"},
};

static bool type_built_in(const char *base_type)
{
    return strncmp(base_type, "pg_catalog.", 11) == 0;
}

static const char *type_short_name(const char *base_type)
{
    const char *dot = strrchr(base_type, '.');

    return dot ? dot + 1 : base_type;
}

static struct known_type type_lookup(const struct catalog_column *column)
{
    const char *name = type_short_name(column->base_type);
    bool built_in = type_built_in(column->base_type);
    struct known_type other = {name, built_in ? CATEGORY_CLOSED : CATEGORY_UNKNOWN, 0, 0};

    if (column->array)
        other.category = CATEGORY_ARRAY;
    else if (column->type_kind == 'e')
        other = (struct known_type){name, CATEGORY_ENUM, 0, 63};
    else if (column->type_kind == 'c')
        other.category = CATEGORY_COMPOSITE;
    else if (column->type_kind == 'r' || column->type_kind == 'm')
        other.category = CATEGORY_RANGE;
    if (other.category != CATEGORY_CLOSED && strcmp(name, "citext") != 0)
        return other;
    for (size_t i = 0; i < sizeof(known_types) / sizeof(known_types[0]); i++)
        if (strcmp(known_types[i].name, name) == 0)
            return known_types[i];
    return other;
}

bool type_length_limit(const struct catalog_column *column, int *limit)
{
    bool limited = strcmp(column->base_type, "pg_catalog.varchar") == 0 ||
                   strcmp(column->base_type, "pg_catalog.bpchar") == 0;

    if (!limited || column->type_modifier < 4)
        return false;
    *limit = column->type_modifier - 4;
    return true;
}

int type_max_length(const struct catalog_column *column)
{
    int limit;

    if (type_length_limit(column, &limit))
        return limit;
    return type_lookup(column).max_length;
}

/* numeric(precision, scale): see numerictypmodin(). The scale is a signed 11-bit number. */
static int numeric_scale(int32_t modifier)
{
    int scale = (modifier - 4) & 0x7ff;

    return (scale ^ 1024) - 1024;
}

static int numeric_integer_digits(int32_t modifier)
{
    return (((modifier - 4) >> 16) & 0xffff) - numeric_scale(modifier);
}

struct verdict {
    enum fit fit;
    enum type_change change;
    const char *why;
};

static const struct verdict every_value_fits = {FIT_ALWAYS, TYPE_WIDENED, ""};

static struct verdict narrows(const char *why)
{
    return (struct verdict){FIT_PERHAPS, TYPE_NARROWED, why};
}

static struct verdict rounds(const char *why)
{
    return (struct verdict){FIT_PERHAPS, TYPE_LESS_PRECISE, why};
}

static struct verdict fit_text_length(const struct catalog_column *source,
                                      const struct catalog_column *target)
{
    int limit, longest = type_max_length(source);

    if (type_length_limit(target, &limit) && (longest == 0 || longest > limit))
        return narrows("longer text is refused");
    return every_value_fits;
}

static struct verdict fit_numeric_digits(const struct catalog_column *source,
                                         const struct catalog_column *target)
{
    static const int integer_digits[] = {10, 5, 10, 19}; /* by rank; 0 is oid */
    int32_t to = target->type_modifier, from = source->type_modifier;
    struct known_type type = type_lookup(source);

    if (to < 4)
        return every_value_fits;
    if (type.category != CATEGORY_NUMERIC)
        return numeric_integer_digits(to) >= integer_digits[type.rank]
                   ? every_value_fits
                   : narrows("values may be out of range");
    if (from < 4 || numeric_integer_digits(from) > numeric_integer_digits(to))
        return narrows("values may be out of range");
    return numeric_scale(from) > numeric_scale(to)
               ? rounds("values are rounded to fewer digits")
               : every_value_fits;
}

static struct verdict fit_time_precision(const struct catalog_column *source,
                                         const struct catalog_column *target)
{
    int from = source->type_modifier < 0 ? 6 : source->type_modifier;
    int to = target->type_modifier < 0 ? 6 : target->type_modifier;

    return from > to ? rounds("fractions of a second are rounded") : every_value_fits;
}

static struct verdict fit_bit_length(const struct catalog_column *source,
                                     const struct catalog_column *target)
{
    if (target->type_modifier < 0 || source->type_modifier == target->type_modifier)
        return every_value_fits;
    if (strcmp(target->base_type, "pg_catalog.varbit") == 0 && source->type_modifier >= 0 &&
        source->type_modifier < target->type_modifier)
        return every_value_fits;
    return narrows("the length must be the target's");
}

/* A value of the right type must also be within the target's length and precision. */
static struct verdict fit_modifier(const struct catalog_column *source,
                                   const struct catalog_column *target)
{
    switch ((int)type_lookup(target).category) {
    case CATEGORY_TEXT:
        return fit_text_length(source, target);
    case CATEGORY_NUMERIC:
        return fit_numeric_digits(source, target);
    case CATEGORY_TIMESTAMP:
    case CATEGORY_TIMESTAMPTZ:
    case CATEGORY_TIME:
    case CATEGORY_TIMETZ:
        return fit_time_precision(source, target);
    case CATEGORY_BIT:
        return fit_bit_length(source, target);
    default:
        return every_value_fits;
    }
}

static const struct pair *pair_find(enum category source, enum category target)
{
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if ((pairs[i].source == source || pairs[i].source == CATEGORY_ANY) &&
            (pairs[i].target == target || pairs[i].target == CATEGORY_ANY))
            return &pairs[i];
    return NULL;
}

static enum type_change pair_change(const struct pair *pair, int source_rank, int target_rank)
{
    switch (pair->result) {
    case WIDENS:
        return TYPE_WIDENED;
    case FITS:
    case CONVERTS:
        return TYPE_CONVERTED;
    case NARROWS:
        return TYPE_NARROWED;
    case ROUNDS:
        return TYPE_LESS_PRECISE;
    case DROPS_ZONE:
        return TYPE_WITHOUT_ZONE;
    case NARROWS_BY_RANK:
        return source_rank > target_rank ? TYPE_NARROWED : TYPE_WIDENED;
    case ROUNDS_BY_RANK:
        return source_rank > target_rank ? TYPE_LESS_PRECISE : TYPE_WIDENED;
    }
    return TYPE_INCOMPATIBLE;
}

/* Another type: the pair's line decides, and where every value fits, the modifier. */
static struct verdict judge_pair(const struct catalog_column *source,
                                 const struct catalog_column *target)
{
    struct known_type from = type_lookup(source), to = type_lookup(target);
    const struct pair *pair = pair_find(from.category, to.category);
    struct verdict verdict;
    enum type_change change;

    if (!pair)
        return (struct verdict){FIT_NEVER, TYPE_INCOMPATIBLE, ""};
    change = pair_change(pair, from.rank, to.rank);
    if (change != TYPE_WIDENED && pair->result != FITS)
        return (struct verdict){FIT_PERHAPS, change, pair->why};
    verdict = fit_modifier(source, target);
    if (verdict.fit == FIT_ALWAYS)
        verdict.change = change;
    return verdict;
}

static bool same_extension_type(const struct catalog_column *source,
                                const struct catalog_column *target)
{
    const struct catalog_type *from = catalog_beneath_domains(source->type);
    const struct catalog_type *to = catalog_beneath_domains(target->type);

    return from && to && from->extension && catalog_same_type_name(from, to);
}

static struct verdict judge(const struct catalog_column *source,
                            const struct catalog_column *target)
{
    struct verdict verdict;

    if (strcmp(source->base_type, target->base_type) != 0 &&
        !same_extension_type(source, target))
        return judge_pair(source, target);
    verdict = fit_modifier(source, target);
    if (verdict.fit == FIT_ALWAYS)
        verdict.fit = FIT_SAME;
    if (verdict.fit == FIT_SAME && strcmp(source->type_name, target->type_name) == 0)
        verdict.change = TYPE_UNCHANGED;
    return verdict;
}

enum fit type_fit(const struct catalog_column *source, const struct catalog_column *target,
                  const char **why)
{
    struct verdict verdict = judge(source, target);

    *why = verdict.why;
    return verdict.fit;
}

enum type_change type_change(const struct catalog_column *source,
                             const struct catalog_column *target, const char **why)
{
    struct verdict verdict = judge(source, target);

    *why = verdict.why;
    return verdict.change;
}

const char *type_change_id(enum type_change change)
{
    static const char *const ids[TYPE_CHANGE_COUNT] = {
        [TYPE_WIDENED] = "column.type_widened",
        [TYPE_NARROWED] = "column.type_narrowed",
        [TYPE_LESS_PRECISE] = "column.precision_lost",
        [TYPE_WITHOUT_ZONE] = "column.timezone_lost",
        [TYPE_CONVERTED] = "column.type_converted",
        [TYPE_INCOMPATIBLE] = "column.type_cannot_cast",
    };

    return ids[change];
}
