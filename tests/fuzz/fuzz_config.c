/* A configuration file, to where a database would be needed: YAML, every key, the rules of its
 * tables. */
#include "cli/config.h"
#include "fuzz.h"
#include "transforms/rules.h"

static void refused(const struct err *err)
{
    fuzz_must(err->class == ERR_CONFIG, "what is wrong with a file is the operator's to mend");
    fuzz_must(err->message[0], "a refusal says what is wrong");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct options options = {.config_file = fuzz_file(data, size)};
    struct config config;
    struct rules *rules;
    struct err err = {0};
    if (!config_load(&options, &config, &err)) {
        refused(&err);
        return 0;
    }
    if (rules_load(config.tables, &rules, &err))
        rules_free(rules);
    else
        refused(&err);
    config_free(&config);
    return 0;
}
