/*
 * dice: random numbers that a seed repeats. Each process has its own.
 */
#ifndef DICE_H
#define DICE_H

#include <stdint.h>

void dice_seed(uint64_t seed);
/* From 0 to below - 1. */
uint64_t draw(uint64_t below);

#endif
