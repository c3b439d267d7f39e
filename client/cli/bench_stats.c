/* SPDX-License-Identifier: ISC */
#include "bench_stats.h"

#include <stddef.h>
#include <string.h>

#include "text.h"

static const char *const words[] = {
#define X(name, word) [BENCH_##name] = word,
	BENCH_OUTCOMES(X)
#undef X
};

const char *
bench_outcome_word(enum bench_outcome outcome)
{
	return words[outcome];
}

uint64_t
bench_stats_sent(const struct bench_stats *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < BENCH_N_OUTCOMES; i++)
		n += s->outcomes[i];
	return n;
}

uint64_t
bench_stats_answers(const struct bench_stats *s)
{
	return bench_stats_sent(s) - s->outcomes[BENCH_TIMEOUT] -
	    s->outcomes[BENCH_LOST];
}

uint64_t
bench_stats_errors(const struct bench_stats *s)
{
	uint64_t n = 0;

	for (size_t i = BENCH_FIRST_ERROR; i < BENCH_N_OUTCOMES; i++)
		n += s->outcomes[i];
	return n;
}

void
bench_stats_merge(struct bench_stats *into, const struct bench_stats *s)
{
	for (size_t i = 0; i < BENCH_N_OUTCOMES; i++)
		into->outcomes[i] += s->outcomes[i];
	into->degraded += s->degraded;
	into->missed += s->missed;
	into->bytes_sent += s->bytes_sent;
	into->bytes_received += s->bytes_received;
	bench_histogram_merge(&into->latency, &s->latency);
}

void
bench_trouble_merge(struct bench_trouble *into, const struct bench_trouble *t)
{
	into->connect_failures += t->connect_failures;
	into->reconnects += t->reconnects;
	if (!into->first_error[0])
		memcpy(into->first_error, t->first_error, sizeof(into->first_error));
}

void
bench_trouble_note(struct bench_trouble *t, struct slice said)
{
	struct buf line = { 0 };

	if (t->first_error[0])
		return;
	if (said.len > STATS_WORDS_MAX)
		said.len = STATS_WORDS_MAX;
	text_add_clean(&line, said);
	if (!line.failed && line.len > 0) {
		memcpy(t->first_error, line.data, line.len);
		t->first_error[line.len] = '\0';
	}
	buf_fini(&line);
}
