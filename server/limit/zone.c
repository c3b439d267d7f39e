/* SPDX-License-Identifier: ISC */
#include "limit/zone.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_LEN 44
#define TIME_LEN 8
#define TYPE_LEN 6
/* More than any zone's clock ever differed from UTC; RFC 9636, 3.2. */
#define OFFSET_MIN (-89999)
#define OFFSET_MAX 93599

struct zone_turn {
	int64_t at_s;
	int32_t offset_s; /* from then on */
};

struct zone {
	int32_t first_offset_s; /* before the first turn */
	bool has_rule;          /* after the last one */
	struct zone_rule rule;
	size_t n;
	struct zone_turn turns[];
};

/* The six counts of a header, in the file's order. */
struct header {
	char version;
	uint32_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
};

static int
bad(struct errinfo *ei, const char *what)
{
	return err_set(ei, ERR_SYNTAX, "not a time zone file of version 2: %s", what);
}

static uint32_t
read_u32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static int64_t
read_i64(const char *p)
{
	return (int64_t)((uint64_t)read_u32(p) << 32 | read_u32(p + 4));
}

/* Reads a header and steps over it. */
static int
read_header(struct slice *bytes, struct header *out, struct errinfo *ei)
{
	const char *p = bytes->ptr;

	if (bytes->len < HEADER_LEN || memcmp(p, "TZif", 4) != 0)
		return bad(ei, "it does not begin with \"TZif\"");
	*out =
	    (struct header){ p[4], read_u32(p + 20), read_u32(p + 24), read_u32(p + 28),
		    read_u32(p + 32), read_u32(p + 36), read_u32(p + 40) };
	if (out->version < '2')
		return bad(ei, "its version is older");
	bytes->ptr += HEADER_LEN;
	bytes->len -= HEADER_LEN;
	return 0;
}

/* How many bytes of data follow a header. Cannot overflow: it sums up 32-bit numbers. */
static uint64_t
data_len(const struct header *h, uint64_t time_len)
{
	return h->timecnt * (time_len + 1) + (uint64_t)h->typecnt * TYPE_LEN +
	    h->charcnt + h->leapcnt * (time_len + 4) + h->isstdcnt + h->isutcnt;
}

static int
read_offset(const char *types, uint32_t i, int32_t *out, struct errinfo *ei)
{
	*out = (int32_t)read_u32(types + (size_t)i * TYPE_LEN);
	return *out < OFFSET_MIN || *out > OFFSET_MAX ? bad(ei, "an offset is too far")
						      : 0;
}

static int
read_turns(
    struct zone *zone, const char *data, const struct header *h, struct errinfo *ei)
{
	const char *indices = data + (size_t)h->timecnt * TIME_LEN;
	const char *types = indices + h->timecnt;
	int rc = read_offset(types, 0, &zone->first_offset_s, ei);

	for (size_t i = 0; rc == 0 && i < h->timecnt; i++) {
		struct zone_turn *turn = &zone->turns[i];
		unsigned char type = (unsigned char)indices[i];

		turn->at_s = read_i64(data + i * TIME_LEN);
		if (type >= h->typecnt || (i > 0 && turn->at_s <= turn[-1].at_s))
			return bad(ei, "its changes are out of order");
		rc = read_offset(types, type, &turn->offset_s, ei);
	}
	zone->n = h->timecnt;
	return rc;
}

/* "\n" rule "\n" */
static int
read_footer(struct zone *zone, struct slice footer, struct errinfo *ei)
{
	if (footer.len < 2 || footer.ptr[0] != '\n' ||
	    footer.ptr[footer.len - 1] != '\n')
		return bad(ei, "its end is missing");
	zone->has_rule = footer.len > 2;
	if (zone->has_rule &&
	    zone_rule_parse(slice_make(footer.ptr + 1, footer.len - 2), &zone->rule) <
		0)
		return bad(ei, "its rule cannot be read");
	return 0;
}

/* Reads the second header and what follows it. */
static int
read_data(struct slice bytes, struct zone **out, struct errinfo *ei)
{
	struct header h;
	uint64_t len;
	int rc = read_header(&bytes, &h, ei);

	if (rc < 0)
		return rc;
	len = data_len(&h, TIME_LEN);
	if (len > bytes.len || h.typecnt == 0)
		return bad(ei, "it is cut short");
	if (h.leapcnt > 0)
		return err_set(ei, ERR_UNSUPPORTED, "it counts leap seconds");
	*out = calloc(1, sizeof(**out) + h.timecnt * sizeof((*out)->turns[0]));
	if (!*out)
		return err_set(ei, ERR_NOMEM, "out of memory");
	rc = read_turns(*out, bytes.ptr, &h, ei);
	if (rc < 0)
		return rc;
	return read_footer(*out, slice_make(bytes.ptr + len, bytes.len - len), ei);
}

int
zone_parse(struct slice bytes, struct zone **out, struct errinfo *ei)
{
	struct header h;
	uint64_t len;
	int rc = read_header(&bytes, &h, ei);

	*out = NULL;
	if (rc < 0)
		return rc;
	/* The first block has 32-bit times; the second one repeats it with 64 bits. */
	len = data_len(&h, 4);
	if (len > bytes.len)
		return bad(ei, "it is cut short");
	rc = read_data(slice_make(bytes.ptr + len, bytes.len - len), out, ei);
	if (rc < 0) {
		zone_free(*out);
		*out = NULL;
	}
	return rc;
}

void
zone_free(struct zone *zone)
{
	free(zone);
}

/* How many turns (changes of the clock) lie at or before t_s. */
static size_t
count_turns(const struct zone *zone, int64_t t_s)
{
	size_t low = 0;
	size_t high = zone->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (zone->turns[mid].at_s <= t_s)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void
zone_at(const struct zone *zone, int64_t t_s, struct zone_span *out)
{
	size_t i;

	*out = (struct zone_span){ INT64_MIN, INT64_MAX, 0 };
	if (!zone)
		return;
	i = count_turns(zone, t_s);
	if (i == zone->n && zone->has_rule) {
		zone_rule_at(&zone->rule, t_s, out);
		if (i > 0 && out->from_s < zone->turns[i - 1].at_s)
			out->from_s = zone->turns[i - 1].at_s;
		return;
	}
	out->offset_s = i > 0 ? zone->turns[i - 1].offset_s : zone->first_offset_s;
	if (i > 0)
		out->from_s = zone->turns[i - 1].at_s;
	if (i < zone->n)
		out->until_s = zone->turns[i].at_s;
}

int64_t
zone_first_s(const struct zone *zone, int64_t local_s)
{
	/* Earlier than any clock can show it. */
	int64_t t_s = local_s - OFFSET_MAX - 1;

	for (;;) {
		struct zone_span span;

		zone_at(zone, t_s, &span);
		if (local_s - span.offset_s < span.until_s)
			return local_s - span.offset_s > span.from_s
			    ? local_s - span.offset_s
			    : span.from_s;
		t_s = span.until_s;
	}
}
