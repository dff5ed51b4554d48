#include "dice.h"

static uint64_t state;

void
dice_seed(uint64_t seed)
{
	state = seed | 1; /* xorshift stays at 0 */
}

uint64_t
draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}
