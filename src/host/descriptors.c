#include "host/descriptors.h"

#include <stdint.h>
#include <sys/param.h>

#include "base/log.h"
#include "base/systemd.h"
#include "chat/exchange.h"
#include "host/handover.h"

rlim_t
descriptors_raise(const struct config *config, int kept)
{
	rlim_t places = (rlim_t)MAX(kept + 1, (int)config->limits.clients);
	rlim_t need = places + config->n_endpoints + DESCRIPTORS_SPARE +
		      (systemd_keeps_descriptors() ? HANDOVER_FDS : 0) +
		      (cluster_is_set(&config->cluster) ? EXCHANGE_FDS : 0);
	struct rlimit limit, want;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return need;
	want = limit;
	want.rlim_cur = need;
	want.rlim_max = MAX(limit.rlim_max, need);
	if (setrlimit(RLIMIT_NOFILE, &want) == 0)
		return need;
	want.rlim_cur = want.rlim_max = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &want) == 0)
		limit = want;
	if (limit.rlim_cur < need)
		log_warn("limits.clients is %u, but %ju open files allow about %ju clients",
		    config->limits.clients, (uintmax_t)limit.rlim_cur,
		    (uintmax_t)(limit.rlim_cur - MIN(limit.rlim_cur, need - places)));
	return limit.rlim_cur;
}
