/* SPDX-License-Identifier: ISC */
#include "policy/quote.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/json_text.h"
#include "base/utf8.h"

const char *
quote_name(char out[QUOTE_MAX], struct slice name)
{
	bool cut = name.len > QUOTE_NAME_MAX;
	struct buf text = { 0 };
	const char *quoted;

	if (cut)
		name.len = utf8_cut(name.ptr, QUOTE_NAME_MAX);
	json_text_quote(&text, name);
	quoted = buf_cstr(&text);
	snprintf(out, QUOTE_MAX, "%s%s", quoted ? quoted : "\"\"", cut ? "..." : "");
	buf_fini(&text);
	return out;
}
