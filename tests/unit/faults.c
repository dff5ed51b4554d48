#include "faults.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

static char faults[1 << 16];
static size_t len;

void
faults_take(int level, const char *text)
{
	(void)level;
	len += (size_t)snprintf(faults + len, sizeof(faults) - len, "%s\n", text);
	assert_true(len < sizeof(faults));
}

const char *
faults_taken(void)
{
	static char taken[sizeof(faults)];

	memcpy(taken, faults, len);
	taken[len] = '\0';
	len = 0;
	return taken;
}

struct config *
config_of(const char *text)
{
	struct config *config = config_parse(text, "FILE", 0, faults_take);

	assert_string_equal(faults_taken(), "");
	assert_non_null(config);
	return config;
}

const char *
faults_of(const char *text)
{
	struct config *config = config_parse(text, "FILE", 0, faults_take);

	assert_null(config);
	return faults_taken();
}
