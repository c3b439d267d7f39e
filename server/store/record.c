/* SPDX-License-Identifier: ISC */
#include "store/record.h"

#include "base/num.h"

const char *const record_words[] = {
	[ALGORITHM_FIXED] = "fixed",
	[ALGORITHM_SLIDING] = "sliding",
	[ALGORITHM_TOKEN_BUCKET] = "bucket",
	[ALGORITHM_CONCURRENCY] = "slots",
};

/* Takes the next word; false when there is none. The rest then begins with the space
 * before the following word. */
static bool
next_word(struct slice *rest, struct slice *word)
{
	const char *end;

	if (rest->len < 2 || rest->ptr[0] != ' ')
		return false;
	rest->ptr++;
	rest->len--;
	end = memchr(rest->ptr, ' ', rest->len);
	*word = slice_make(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
	rest->ptr += word->len;
	rest->len -= word->len;
	return word->len > 0;
}

/* A number as both Lua and we write it: no sign, no leading zero. */
static bool
next_number(struct slice *rest, int64_t *out)
{
	struct slice word;

	if (!next_word(rest, &word) || word.ptr[0] == '-' ||
	    (word.ptr[0] == '0' && word.len > 1))
		return false;
	return num_parse(word, out) == 0 && *out <= NUM_MAX;
}

static bool
next_algorithm(struct slice *rest, enum algorithm *out)
{
	struct slice word;

	if (!next_word(rest, &word))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(record_words); i++) {
		if (!slice_eq_str(word, record_words[i]))
			continue;
		*out = (enum algorithm)i;
		return true;
	}
	return false;
}

static bool
next_charge(struct slice *rest, struct record_charge *out)
{
	int64_t corrects;

	if (!next_word(rest, &out->key) || !next_number(rest, &out->cost) ||
	    !next_number(rest, &corrects) || corrects > 1 ||
	    !next_algorithm(rest, &out->algorithm) || !next_number(rest, &out->a) ||
	    !next_number(rest, &out->b))
		return false;
	out->corrects = corrects == 1;
	/* charged_correct() divides by a bucket's interval. */
	return out->algorithm != ALGORITHM_TOKEN_BUCKET || out->b > 0;
}

/* Whether a part comes next; reads its key. */
static bool
next_part(struct slice *rest, struct slice *key)
{
	struct slice ahead = *rest;
	struct slice word;

	if (!next_word(&ahead, &word) || !slice_eq_str(word, RECORD_PART) ||
	    !next_word(&ahead, key))
		return false;
	*rest = ahead;
	return true;
}

int
record_parse(struct slice text, struct record *out)
{
	struct slice rest = text;

	out->n = out->n_parts = 0;
	out->settled = slice_eq_str(text, RECORD_SETTLED);
	if (out->settled)
		return 0;
	if (text.len == 0 || text.ptr[0] != 'h')
		return ERR_SYNTAX;
	rest.ptr++;
	rest.len--;
	while (rest.len > 0) {
		if (out->n_parts < TAKE_CHARGES_MAX &&
		    next_part(&rest, &out->parts[out->n_parts])) {
			out->n_parts++;
			continue;
		}
		if (out->n == TAKE_CHARGES_MAX || out->n_parts > 0 ||
		    !next_charge(&rest, &out->charges[out->n]))
			return ERR_SYNTAX;
		out->n++;
	}
	return 0;
}

void
record_format(const struct record *record, struct buf *out)
{
	buf_add_str(out, record->settled ? RECORD_SETTLED : "h");
	for (size_t i = 0; i < record->n; i++) {
		const struct record_charge *c = &record->charges[i];
		int64_t numbers[] = { c->a, c->b };

		buf_add_char(out, ' ');
		buf_add_slice(out, c->key);
		buf_add_char(out, ' ');
		buf_add_int(out, c->cost);
		buf_add_str(out, c->corrects ? " 1 " : " 0 ");
		buf_add_str(out, record_words[c->algorithm]);
		for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
			buf_add_char(out, ' ');
			buf_add_int(out, numbers[k]);
		}
	}
	for (size_t i = 0; i < record->n_parts; i++) {
		buf_add_str(out, " " RECORD_PART " ");
		buf_add_slice(out, record->parts[i]);
	}
}
