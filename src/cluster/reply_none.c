/*
 * In the place of reply.c where chatd is built without hiredis: there never is a reply.
 */
#include "cluster/reply.h"

bool
reply_is_built(void)
{
	return false;
}

int
reply_open(struct replies *replies)
{
	*replies = (struct replies){0};
	return -1;
}

void
reply_close(struct replies *replies)
{
	(void)replies;
}

int
reply_feed(struct replies *replies, const char *data, size_t len)
{
	(void)replies;
	(void)data;
	(void)len;
	return -1;
}

int
reply_next(struct replies *replies, struct redisReply **reply)
{
	(void)replies;
	*reply = NULL;
	return -1;
}

void
reply_free(struct redisReply *reply)
{
	(void)reply;
}

enum reply_kind
reply_kind(const struct redisReply *reply)
{
	(void)reply;
	return REPLY_NIL;
}

const char *
reply_text(const struct redisReply *reply, size_t *len)
{
	(void)reply;
	*len = 0;
	return "";
}

size_t
reply_count(const struct redisReply *reply)
{
	(void)reply;
	return 0;
}

const struct redisReply *
reply_at(const struct redisReply *reply, size_t i)
{
	(void)reply;
	(void)i;
	return NULL;
}
