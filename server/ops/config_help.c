/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "ops/config.h"
#include "ops/config_key.h"

#define HELP_COLUMN 28 /* where explanations begin */
#define HELP_WIDTH 80

static void
add_wrapped(struct buf *out, size_t column, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, " ");

		if (column > HELP_COLUMN && column + 1 + n >= HELP_WIDTH) {
			buf_printf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		} else if (column > HELP_COLUMN) {
			buf_add_char(out, ' ');
			column++;
		}
		buf_add(out, text, n);
		column += n;
		text += n;
		while (*text == ' ')
			text++;
	}
	buf_add_char(out, '\n');
}

static void
add_key(struct buf *out, const struct config_key *key)
{
	char left[CONFIG_NAME_MAX];
	char right[512];
	char min[DURATION_TEXT_MAX];
	char max[DURATION_TEXT_MAX];
	int n = snprintf(left, sizeof(left), "  --%s%s%s", key->name,
	    key->metavar ? " " : "", key->metavar ? key->metavar : "");

	if (key->type == CONFIG_NUMBER && key->def)
		snprintf(right, sizeof(right), "%s %lld to %lld. [%s]", key->help,
		    (long long)key->min, (long long)key->max, key->def);
	else if (key->type == CONFIG_DURATION)
		snprintf(right, sizeof(right), "%s %s to %s. [%s]", key->help,
		    duration_format(key->min, min), duration_format(key->max, max),
		    key->def);
	else if (key->def && key->type != CONFIG_BOOL)
		snprintf(right, sizeof(right), "%s [%s]", key->help, key->def);
	else
		snprintf(right, sizeof(right), "%s", key->help);
	buf_printf(out, "%-*s", HELP_COLUMN - 1, left);
	if (n >= HELP_COLUMN - 1)
		buf_printf(out, "\n%*s", HELP_COLUMN - 1, "");
	buf_add_char(out, ' ');
	add_wrapped(out, HELP_COLUMN, right);
}

void
config_help(struct buf *out)
{
	buf_add_str(out,
	    "Usage: rationd --policy FILE [--policy FILE]... [flags]\n"
	    "rationd answers check-and-increment requests: one shared quota for every\n"
	    "gateway, agent and replica.\n");
	for (const struct config_key *key = config_keys; key->name; key++) {
		if (key->group)
			buf_printf(out, "\n%s:\n", key->group);
		add_key(out, key);
	}
	buf_add_str(out,
	    "\nA flag may also be an environment variable (--listen-http is\n"
	    "RATION_LISTEN_HTTP, lists separated by commas) or a key of the JSON file "
	    "given\n"
	    "with --config (\"listen_http\"). Flags win over the environment, the\n"
	    "environment over the file, the file over the defaults in [brackets].\n"
	    "\nSignals: SIGTERM and SIGINT drain and exit; a second one stops at "
	    "once.\n"
	    "Exit: 0 done, 1 stopped with work left, 64 usage, 69 dependency, 73 "
	    "cannot\n"
	    "bind, 78 configuration.\n");
}
