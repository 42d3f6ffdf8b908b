/* Members by path (member.h). */
#include "observe/member.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NAME_MOST 64

const json_t *member_at(const json_t *document, const char *path)
{
    char name[NAME_MOST];
    for (;;) {
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        document = json_object_get(document, name);
        if (!path[length])
            return document;
        path += length + 1;
    }
}

const char *member_text(const json_t *document, const char *path)
{
    const char *text = json_string_value(member_at(document, path));
    return text ? text : "";
}

double member_number(const json_t *document, const char *path)
{
    const json_t *value = member_at(document, path);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

bool member_true(const json_t *document, const char *path)
{
    return json_is_true(member_at(document, path));
}

double member_share(const json_t *document, const char *path)
{
    double share = member_number(document, path);
    return share >= 0 && share <= 1 ? share : 0;
}
