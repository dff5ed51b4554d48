#include "chat/remains.h"

#include <inttypes.h>

#include "base/log.h"
#include "wire/ledger.h"

/* Returns how many bytes had no room. */
static uint64_t
say_all(struct exchange *exchange)
{
	const struct outbox *outbox = &exchange->rest.outbox;
	uint64_t place = outbox_end(outbox, outbox->confirmed), lost = 0;
	bool has_room = !exchange->pool->config->chat;
	struct outbox_part part;

	while (place < outbox->end) {
		uint64_t next = outbox_part(outbox, place, &part);

		if (place >= exchange->rest.from) {
			has_room = has_room && exchange_say_part(exchange, outbox, place);
			lost += has_room ? 0 : part.len;
		}
		place = next;
	}
	return lost;
}

/* What was said and that it is not on the way any more counts at once, or not at all. */
static void
settle(struct exchange *exchange)
{
	if (exchange->channel != NULL)
		persist_record(exchange->channel);
	else
		persist_forget();
	ledger_settle();
	if (exchange->channel != NULL)
		persist_settled(exchange->channel);
}

void
remains_say(struct exchange *exchange)
{
	const char *why = exchange->channel != NULL ? "another stream" : "no longer set";
	struct broadcast *broadcast = exchange->broadcast;
	uint64_t lines = broadcast->lines, lost;

	if (exchange->rest.outbox.bytes == NULL)
		return;
	lost = say_all(exchange);
	lines = broadcast->lines - lines;
	settle(exchange);
	broadcast_hand_out(broadcast);
	exchange->rest = (struct persist_rest){0};
	if (lines > 0)
		log_warn("cluster: %s; %" PRIu64 " line%s that had not come back %s said here now",
		    why, lines, lines == 1 ? "" : "s", lines == 1 ? "is" : "are");
	if (lost > 0)
		log_warn(
		    "cluster: %s; %" PRIu64 " bytes that had not come back are lost", why, lost);
}
