/* SPDX-License-Identifier: ISC */
#include "wire/http_chunk.h"

#include <string.h>

#include "base/percent.h"

#define CHUNK_LINE_MAX 256 /* bytes of size and extensions, with the CRLF */

/* The size at the beginning of a chunk's line; *digits is how many digits it has. */
static uint64_t
read_size(struct slice line, size_t *digits)
{
	uint64_t size = 0;
	size_t i = 0;

	for (; i < line.len && percent_hex_digit(line.ptr[i]) >= 0; i++)
		/* Larger than any body_max: which digits follow does not matter. */
		if (size < UINT64_MAX / 256)
			size = size * 16 + (uint64_t)percent_hex_digit(line.ptr[i]);
	*digits = i;
	return size;
}

/* Reads "size [;extensions] CRLF". Returns the line's length, ERR_AGAIN or a refusal. */
static ptrdiff_t
read_line(struct slice rest, uint64_t *size, const struct http_fault *fault)
{
	struct slice line = rest;
	size_t i;

	if (line.len > CHUNK_LINE_MAX)
		line.len = CHUNK_LINE_MAX;
	*size = read_size(line, &i);
	if (i == 0 && line.len > 0)
		return http_refuse(
		    fault, 400, "a chunk must begin with its size in hex");
	if (i < line.len && line.ptr[i] == ';')
		while (i < line.len &&
		    (line.ptr[i] == '\t' ||
			((unsigned char)line.ptr[i] >= 0x20 && line.ptr[i] != 0x7f)))
			i++;
	if (i == CHUNK_LINE_MAX || (i == CHUNK_LINE_MAX - 1 && line.len > i))
		return http_refuse(fault, 400, "a chunk's line is longer than %d bytes",
		    CHUNK_LINE_MAX);
	if (i < line.len && line.ptr[i] != '\r')
		return http_refuse(fault, 400, "a chunk's line has the byte 0x%02x",
		    (unsigned char)line.ptr[i]);
	if (i + 1 >= line.len)
		return ERR_AGAIN;
	if (line.ptr[i + 1] != '\n')
		return http_refuse(fault, 400, "a chunk's line must end in CRLF");
	return (ptrdiff_t)i + 2;
}

static ptrdiff_t
again(struct http_reader *r, size_t need)
{
	r->body_need = need;
	return ERR_AGAIN;
}

/* Reads trailers up to the empty line that ends them. They are checked, but not kept. */
static ptrdiff_t
scan_trailers(
    struct http_reader *r, const char *data, size_t len, const struct http_fault *fault)
{
	/* An empty line always fits. */
	size_t max = r->trailer_at + (HTTP_HEAD_MAX - r->head_len) + 2;
	size_t visible = len < max ? len : max;
	struct http_field field;
	const char *newline;

	while ((newline = memchr(data + r->scanned, '\n', visible - r->scanned))) {
		size_t end = (size_t)(newline - data);
		struct slice line = slice_make(data + r->chunk_at, end - r->chunk_at);
		int rc;

		if (line.len == 0 || line.ptr[line.len - 1] != '\r')
			return http_refuse(
			    fault, 400, "a line must end in CRLF, not in LF");
		r->scanned = r->chunk_at = end + 1;
		line.len--;
		if (line.len == 0)
			return (ptrdiff_t)r->chunk_at;
		rc = http_field_parse(line, &field, fault);
		if (rc < 0)
			return rc;
	}
	r->scanned = visible;
	if (visible == max)
		return http_refuse(fault, 431,
		    "head and trailers are longer than %d bytes", HTTP_HEAD_MAX);
	return again(r, len + 1);
}

/* Steps over one complete chunk. 0, ERR_AGAIN or a refusal. */
static int
step(struct http_reader *r, const char *data, size_t len, size_t body_max,
    const struct http_fault *fault)
{
	struct slice rest = slice_make(data + r->chunk_at, len - r->chunk_at);
	uint64_t size;
	ptrdiff_t line_len = read_line(rest, &size, fault);
	size_t end;

	if (line_len == ERR_AGAIN)
		return (int)again(r, len + 1);
	if (line_len < 0)
		return (int)line_len;
	if (size > body_max - r->chunk_body)
		return http_refuse(
		    fault, 413, "the body is longer than %zu bytes", body_max);
	if (r->chunk_lines + (uint64_t)line_len + 2 >
	    HTTP_HEAD_MAX + (uint64_t)body_max)
		return http_refuse(fault, 413, "the body is cut into too many chunks");
	end = r->chunk_at + (size_t)line_len + (size_t)size;
	if (size > 0) {
		if (len < end + 2)
			return (int)again(r, end + 2);
		if (data[end] != '\r' || data[end + 1] != '\n')
			return http_refuse(
			    fault, 400, "a chunk's data must end in CRLF");
		end += 2;
	} else {
		r->trailer_at = r->scanned = end;
	}
	r->chunk_at = end;
	r->chunk_body += size;
	r->chunk_lines += (uint64_t)line_len + 2;
	return 0;
}

ptrdiff_t
http_chunk_scan(struct http_reader *r, const char *data, size_t len, size_t body_max,
    const struct http_fault *fault)
{
	while (r->trailer_at == 0) {
		int rc = step(r, data, len, body_max, fault);

		if (rc < 0)
			return rc;
	}
	return scan_trailers(r, data, len, fault);
}

void
http_chunk_join(const char *data, size_t head_len, struct buf *out)
{
	const char *p = data + head_len;
	size_t digits;
	uint64_t size;

	/* The scan saw every line and its end, so nothing here can run out. */
	while ((size = read_size(slice_make(p, CHUNK_LINE_MAX), &digits)) > 0) {
		p = memchr(p, '\n', CHUNK_LINE_MAX);
		buf_add(out, ++p, (size_t)size);
		p += size + 2;
	}
}
