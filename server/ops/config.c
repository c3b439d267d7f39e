/* SPDX-License-Identifier: ISC */
#include "ops/config.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/num.h"
#include "net/address.h"
#include "ops/config_key.h"

#define ENV_PREFIX "RATION_"

/* --- one value ------------------------------------------------------------------ */

static void *
member(const struct config_key *key, struct config *config)
{
	return (char *)config + key->offset;
}

static int
set_string(const struct config_key *key, struct config *config, const char *text,
    struct errinfo *ei)
{
	char **at = member(key, config);
	char *copy = strdup(text);

	if (!copy)
		return err_set(ei, ERR_NOMEM, "out of memory");
	if (key->repeat) {
		struct config_list *list = member(key, config);
		char **items = realloc(list->items, (list->n + 1) * sizeof(*items));

		if (!items) {
			free(copy);
			return err_set(ei, ERR_NOMEM, "out of memory");
		}
		list->items = items;
		list->items[list->n++] = copy;
		return 0;
	}
	free(*at);
	*at = copy;
	return 0;
}

static int
set_number(const struct config_key *key, struct config *config, const char *text,
    struct errinfo *ei)
{
	int64_t *at = member(key, config);
	int64_t value;

	int rc = num_parse(slice_str(text), &value);

	if (rc == 0 && value >= key->min && value <= key->max) {
		*at = value;
		return 0;
	}
	return err_set(ei, rc == ERR_SYNTAX ? ERR_SYNTAX : ERR_INVALID,
	    "\"%.64s\" is not a whole number from %lld to %lld", text,
	    (long long)key->min, (long long)key->max);
}

static int
set_bool(const struct config_key *key, struct config *config, const char *text,
    struct errinfo *ei)
{
	bool *at = member(key, config);

	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return err_set(
		    ei, ERR_SYNTAX, "\"%.64s\" is neither true nor false", text);
	*at = text[0] == 't';
	return 0;
}

static int
set_choice(const struct config_key *key, struct config *config, const char *text,
    struct errinfo *ei)
{
	int64_t *at = member(key, config);
	const char *p = key->choices;
	size_t len = strlen(text);

	for (int64_t i = 0; p; i++) {
		size_t n = strcspn(p, "|");

		if (n == len && memcmp(p, text, n) == 0) {
			*at = i;
			return 0;
		}
		p = p[n] ? p + n + 1 : NULL;
	}
	return err_set(
	    ei, ERR_SYNTAX, "\"%.64s\" is not one of %s", text, key->choices);
}

static int
set_duration(const struct config_key *key, struct config *config, const char *text,
    struct errinfo *ei)
{
	int64_t *at = member(key, config);
	char min[DURATION_TEXT_MAX];
	char max[DURATION_TEXT_MAX];
	int64_t value;
	int rc = duration_parse(slice_str(text), &value);

	if (rc == 0 && value >= key->min && value <= key->max) {
		*at = value;
		return 0;
	}
	return err_set(ei, rc == ERR_SYNTAX ? ERR_SYNTAX : ERR_INVALID,
	    "\"%.64s\" is not a time from %s to %s, such as 5s, 500ms, 2m, or 5 for "
	    "seconds",
	    text, duration_format(key->min, min), duration_format(key->max, max));
}

static int (*const setters[])(
    const struct config_key *, struct config *, const char *, struct errinfo *) = {
	[CONFIG_STRING] = set_string,
	[CONFIG_NUMBER] = set_number,
	[CONFIG_BOOL] = set_bool,
	[CONFIG_CHOICE] = set_choice,
	[CONFIG_DURATION] = set_duration,
};

int
config_key_set(const struct config_key *key, struct config *config, const char *text,
    struct errinfo *ei)
{
	return setters[key->type](key, config, text, ei);
}

void
config_key_clear(const struct config_key *key, struct config *config)
{
	struct config_list *list = member(key, config);
	char **at = member(key, config);

	if (key->type != CONFIG_STRING)
		return;
	if (!key->repeat) {
		free(*at);
		*at = NULL;
		return;
	}
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct config_list){ 0 };
}

/* --- faults --------------------------------------------------------------------- */

void
config_fault(struct config_reader *r, const struct config_place *place, int code,
    const char *fmt, ...)
{
	struct errinfo text;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text.text, sizeof(text.text), fmt, ap);
	va_end(ap);
	snprintf(r->errors->file, sizeof(r->errors->file), "%s", place->where);
	errlist_add(r->errors, code, place->line, place->column, NULL, "%s", text.text);
}

void
config_fault_unknown(struct config_reader *r, const struct config_place *place,
    const char *what, struct slice name, enum config_spelling as)
{
	const char *guess = config_key_guess(name);
	char spelt[CONFIG_NAME_MAX];

	if (!guess) {
		config_fault(
		    r, place, ERR_INVALID, "unknown %s; see rationd --help", what);
		return;
	}
	config_key_spell(guess, as, spelt);
	config_fault(
	    r, place, ERR_INVALID, "unknown %s; did you mean %s?", what, spelt);
}

bool
config_assign(struct config_reader *r, const struct config_key *key, const char *text,
    const struct config_place *place)
{
	struct errinfo ei;
	char spelt[CONFIG_NAME_MAX];
	int rc = config_key_set(key, r->config, text, &ei);

	assert(key - config_keys < CONFIG_KEYS_MAX);
	r->given[key - config_keys] = true;
	/* Only a command line that cannot be parsed is a usage error; see enum config_exit. */
	if (rc == ERR_SYNTAX && strncmp(place->where, "--", 2) == 0)
		r->usage = true;
	if (rc == 0 && key->check)
		rc = key->check(text, &ei);
	config_key_spell(key->name, CONFIG_AS_FILE, spelt);
	if (rc < 0 && place->line > 0) /* a file's name does not tell which key it is */
		config_fault(r, place, rc, "%s: %s", spelt, ei.text);
	else if (rc < 0)
		config_fault(r, place, rc, "%s", ei.text);
	return rc == 0;
}

/* --- sources, weakest first ----------------------------------------------------- */

static void
read_defaults(struct config_reader *r)
{
	struct config_place place = { "(default)", 0, 0 };

	for (const struct config_key *key = config_keys; key->name; key++)
		if (key->def)
			config_assign(r, key, key->def, &place);
	memset(r->given, 0, sizeof(r->given));
}

/* Variables that container platforms set for a service called "ration", and those of its
 * clients: they are none of our business. */
static bool
env_is_foreign(struct slice name)
{
	static const char *const clients[] = { "SERVER", "TOKEN", "URL" };
	static const char *const inside[] = { "SERVICE_HOST", "SERVICE_PORT",
		"_PORT_" };
	char text[256];

	snprintf(text, sizeof(text), "_%.*s_", SLICE_ARG(name));
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		if (slice_eq_str(name, clients[i]))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(inside); i++)
		if (strstr(text, inside[i]))
			return true;
	return false;
}

static void
assign_list(struct config_reader *r, const struct config_key *key, const char *text,
    const struct config_place *place)
{
	char *copy = strdup(text);
	char *rest = copy;
	char *item;

	if (!copy) {
		config_fault(r, place, ERR_NOMEM, "out of memory");
		return;
	}
	while ((item = strsep(&rest, ",")))
		config_assign(r, key, item, place);
	free(copy);
}

/* One "RATION_NAME=value". */
static void
read_variable(struct config_reader *r, const char *variable)
{
	const char *value = strchr(variable, '=') + 1;
	size_t skip = strlen(ENV_PREFIX);
	struct slice name = { variable + skip, (size_t)(value - variable) - 1 - skip };
	const struct config_key *key = config_key_find(name);
	char spelt[CONFIG_NAME_MAX] = "";
	char where[CONFIG_NAME_MAX * 2];
	struct config_place place = { where, 0, 0 };

	snprintf(where, sizeof(where), "%s%.*s", ENV_PREFIX, SLICE_ARG(name));
	if (key)
		config_key_spell(key->name, CONFIG_AS_ENV, spelt);
	if (!key || !(key->where & CONFIG_IN_ENV) || strcmp(spelt, where) != 0) {
		if (key && strcmp(spelt, where) == 0)
			config_fault(r, &place, ERR_INVALID,
			    "cannot be set here, it is only a flag: --%s", key->name);
		else if (!env_is_foreign(name))
			config_fault_unknown(
			    r, &place, "environment variable", name, CONFIG_AS_ENV);
		return;
	}
	if (!*value)
		return;
	config_key_clear(key, r->config);
	if (key->repeat)
		assign_list(r, key, value, &place);
	else
		config_assign(r, key, value, &place);
}

static void
read_env(struct config_reader *r, char *const *env)
{
	for (; env && *env; env++)
		if (strncmp(*env, ENV_PREFIX, strlen(ENV_PREFIX)) == 0 &&
		    strchr(*env, '='))
			read_variable(r, *env);
}

/* One flag as it was on the command line. */
struct flag {
	const struct config_key *key;
	const char *value;
};

static void
usage_fault(struct config_reader *r, const char *flag, const char *text)
{
	struct config_place place = { flag, 0, 0 };

	r->usage = true;
	config_fault(r, &place, ERR_INVALID, "%s", text);
}

/* Reads argv[*i] (and its value) into *out. False: a fault was added. */
static bool
read_flag(
    struct config_reader *r, char *const *argv, int argc, int *i, struct flag *out)
{
	const char *arg = argv[*i];
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
	char where[CONFIG_NAME_MAX * 2];
	struct config_place place = { where, 0, 0 };

	snprintf(where, sizeof(where), "%.*s", (int)(len < 100 ? len : 100), arg);
	if (strcmp(arg, "-h") == 0)
		arg = "--help", len = 6;
	if (strncmp(arg, "--", 2) != 0 || len < 3) {
		usage_fault(r, where, "is not a flag; see rationd --help");
		return false;
	}
	out->key = config_key_find(slice_make(arg + 2, len - 2));
	if (!out->key || strncmp(arg + 2, out->key->name, len - 2) != 0) {
		r->usage = true;
		config_fault_unknown(
		    r, &place, "flag", slice_make(arg + 2, len - 2), CONFIG_AS_FLAG);
		/* What follows is most likely its value; that is one fault, not two. */
		if (!equals && *i + 1 < argc && argv[*i + 1][0] != '-')
			++*i;
		return false;
	}
	out->value = equals ? equals + 1 : "true";
	if (equals || out->key->type == CONFIG_BOOL)
		return true;
	if (++*i == argc) {
		usage_fault(r, where, "needs a value");
		return false;
	}
	out->value = argv[*i];
	return true;
}

/* Fills `flags`, which has room for argc of them, and returns how many there are. Applies
 * --config at once. */
static size_t
read_flags(struct config_reader *r, int argc, char *const *argv, struct flag *flags)
{
	size_t n = 0;

	for (int i = 1; i < argc; i++) {
		char where[CONFIG_NAME_MAX];

		if (!read_flag(r, argv, argc, &i, &flags[n]))
			continue;
		config_key_spell(flags[n].key->name, CONFIG_AS_FLAG, where);
		for (size_t k = 0; k < n && !flags[n].key->repeat; k++)
			if (flags[k].key == flags[n].key) {
				usage_fault(r, where, "is given twice");
				break;
			}
		n++;
	}
	return n;
}

static void
assign_flags(struct config_reader *r, const struct flag *flags, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char where[CONFIG_NAME_MAX];
		struct config_place place = { where, 0, 0 };
		bool first = true;

		for (size_t k = 0; k < i; k++)
			first = first && flags[k].key != flags[i].key;
		if (first)
			config_key_clear(flags[i].key, r->config);
		config_key_spell(flags[i].key->name, CONFIG_AS_FLAG, where);
		config_assign(r, flags[i].key, flags[i].value, &place);
	}
}

/* Finds the file's name, which is given in a stronger source than the file. */
static const char *
find_config_file(const struct flag *flags, size_t n, char *const *env)
{
	static const char variable[] = ENV_PREFIX "CONFIG=";

	for (size_t i = 0; i < n; i++)
		if (strcmp(flags[i].key->name, "config") == 0)
			return flags[i].value;
	for (; env && *env; env++)
		if (strncmp(*env, variable, strlen(variable)) == 0)
			return *env + strlen(variable);
	return "";
}

/* Whether both are the same address; port 0 never is, it is a new one each time. */
static bool
is_same_address(const char *one, const char *other)
{
	struct address a, b;

	if (address_parse(one, &a, NULL) < 0 || address_parse(other, &b, NULL) < 0 ||
	    a.kind != b.kind)
		return false;
	if (a.kind == ADDRESS_UNIX)
		return strcmp(a.path, b.path) == 0;
	if (a.kind == ADDRESS_FD)
		return a.fd == b.fd;
	return strcmp(a.port, "0") != 0 && strcmp(a.port, b.port) == 0 &&
	    strcasecmp(a.host, b.host) == 0;
}

static const char *
address_at(const struct config *c, size_t i)
{
	if (i < c->listen_http.n)
		return c->listen_http.items[i];
	i -= c->listen_http.n;
	return i < c->listen_resp.n ? c->listen_resp.items[i] : NULL;
}

static void
check_twice(struct config_reader *r)
{
	const struct config *c = r->config;
	struct config_place place = { NULL, 0, 0 };

	for (size_t i = 1; address_at(c, i); i++)
		for (size_t k = 0; k < i; k++) {
			if (!is_same_address(address_at(c, i), address_at(c, k)))
				continue;
			place.where =
			    i < c->listen_http.n ? "--listen-http" : "--listen-resp";
			config_fault(r, &place, ERR_INVALID,
			    "%s is listened on already", address_at(c, i));
			break;
		}
}

/* "none" must be alone, something must be served, and no address given twice. */
static void
check_listeners(struct config_reader *r)
{
	const struct config *c = r->config;
	const struct config_list *lists[] = { &c->listen_http, &c->listen_resp };
	static const char *const names[] = { "--listen-http", "--listen-resp" };
	struct config_place place = { names[0], 0, 0 };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (size_t k = 0; k < lists[i]->n && lists[i]->n > 1; k++)
			if (strcmp(lists[i]->items[k], "none") == 0) {
				place.where = names[i];
				config_fault(r, &place, ERR_INVALID,
				    "\"none\" stands beside other addresses");
			}
	if (config_list_is_none(&c->listen_http) &&
	    config_list_is_none(&c->listen_resp))
		config_fault(r, &place, ERR_INVALID,
		    "HTTP and RESP are both switched off; nothing is left to serve");
	check_twice(r);
}

/* A key given in both its spellings is a fault: which one holds would depend on their
 * order. */
static void
check_spellings(struct config_reader *r)
{
	for (const struct config_key *key = config_keys; key->name; key++) {
		const struct config_key *newer =
		    key->newer ? config_key_find(slice_str(key->newer)) : NULL;
		char where[CONFIG_NAME_MAX];
		struct config_place place = { where, 0, 0 };

		if (!newer || !r->given[key - config_keys] ||
		    !r->given[newer - config_keys])
			continue;
		config_key_spell(key->name, CONFIG_AS_FLAG, where);
		config_fault(r, &place, ERR_INVALID,
		    "is the older spelling of --%s; give one of the two", newer->name);
	}
}

int
config_load(struct config *config, int argc, char *const *argv, char *const *env,
    struct errlist *errors)
{
	struct config_reader r = { .config = config, .errors = errors };
	struct flag *flags = calloc((size_t)argc + 1, sizeof(*flags));
	const char *file;
	size_t n;

	memset(config, 0, sizeof(*config));
	errlist_init(errors, NULL);
	if (!flags)
		return EXIT_CODE_DEPENDENCY;
	n = read_flags(&r, argc, argv, flags);
	read_defaults(&r);
	file = find_config_file(flags, n, env);
	if (*file)
		config_file_read(&r, file);
	read_env(&r, env);
	assign_flags(&r, flags, n);
	free(flags);
	check_spellings(&r);
	if (config->help || config->version)
		return EXIT_CODE_OK;
	if (errors->n == 0) {
		check_listeners(&r);
		config_check_tls(&r);
	}
	if (errors->n == 0 && errors->more == 0)
		return EXIT_CODE_OK;
	return r.usage ? EXIT_CODE_USAGE : EXIT_CODE_CONFIG;
}

void
config_fini(struct config *config)
{
	for (const struct config_key *key = config_keys; key->name; key++)
		config_key_clear(key, config);
}

bool
config_list_is_none(const struct config_list *list)
{
	return list->n == 1 && strcmp(list->items[0], "none") == 0;
}
