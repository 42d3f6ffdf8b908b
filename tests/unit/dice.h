/* Random values for property tests: the same ones in every run, and others on demand.
 *
 *   uint64_t dice = dice_seed();       prints the seed; UNIT_SEED=n ./test_... gives another
 *   uint32_t n = dice_below(&dice, 6); 0..5
 */
#ifndef UNIT_DICE_H
#define UNIT_DICE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define DICE_USUAL_SEED 20261121

static inline uint64_t dice_seed(void)
{
    const char *given = getenv("UNIT_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : DICE_USUAL_SEED;
    printf("seed: UNIT_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

/* splitmix64 */
static inline uint64_t dice_roll(uint64_t *dice)
{
    uint64_t z = *dice += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

static inline uint32_t dice_below(uint64_t *dice, uint32_t sides)
{
    return (uint32_t)(dice_roll(dice) % sides);
}

static inline bool dice_one_in(uint64_t *dice, uint32_t sides)
{
    return dice_below(dice, sides) == 0;
}

#endif
