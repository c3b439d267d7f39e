/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/log.h"
#include "ops/config.h"
#include "ops/config_key.h"
#include "ops/file.h"

static struct config config;
static struct errlist errors;
static char file_path[64];

#define ARGS(...) ((const char *[]){ "rationd", __VA_ARGS__, NULL })
#define ENV(...) ((const char *[]){ __VA_ARGS__, NULL })

static int
load(const char **argv, const char **env)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	/* Nothing is written to; main() just has no const. */
	return config_load(&config, argc, (char *const *)(uintptr_t)argv,
	    (char *const *)(uintptr_t)env, &errors);
}

static void
write_file(const char *text)
{
	int fd;

	snprintf(file_path, sizeof(file_path), "/tmp/ration-config-XXXXXX");
	fd = mkstemp(file_path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int
done(void **state)
{
	(void)state;
	config_fini(&config);
	errlist_fini(&errors);
	if (file_path[0])
		unlink(file_path);
	file_path[0] = '\0';
	return 0;
}

/* The i-th fault as it would be printed, with the temporary file's name as FILE. */
static const char *
fault(size_t i)
{
	static char line[1400];
	char raw[1400];

	assert_true(i < errors.n);
	err_format(&errors.items[i], raw, sizeof(raw));
	if (file_path[0] && strncmp(raw, file_path, strlen(file_path)) == 0)
		snprintf(line, sizeof(line), "FILE%s", raw + strlen(file_path));
	else
		snprintf(line, sizeof(line), "%s", raw);
	return line;
}

static void
test_defaults(void **state)
{
	(void)state;
	assert_int_equal(load((const char *[]){ "rationd", NULL }, NULL), 0);
	assert_string_equal(config.store, "memory");
	assert_string_equal(config.key_prefix, "ration");
	assert_int_equal(config.deadline_ms, 50);
	assert_int_equal(config.dedup_ttl, 600);
	assert_int_equal(config.listen_http.n, 1);
	assert_string_equal(config.listen_http.items[0], "127.0.0.1:7480");
	assert_string_equal(config.listen_resp.items[0], "127.0.0.1:7481");
	assert_int_equal(config.max_connections, 16384);
	assert_int_equal(config.max_request_bytes, 262144);
	assert_int_equal(config.idle_timeout_ms, 600000);
	assert_int_equal(config.request_timeout_ms, 10000);
	assert_int_equal(config.drain_delay_ms, 0);
	assert_int_equal(config.drain_timeout_ms, 10000);
	assert_int_equal(config.log_level, LOG_INFO);
	assert_int_equal(config.log_format, LOG_AUTO);
	assert_int_equal(config.policy.n, 0);
	assert_null(config.token_file);
	assert_false(config.insecure);
}

static void
test_flags_of_every_type(void **state)
{
	(void)state;
	assert_int_equal(
	    load(ARGS("--policy", "a.json", "--policy=b.json", "--deadline-ms=7",
		     "--insecure", "--log-format", "json", "--listen-http", "none",
		     "--listen-resp", "unix:/tmp/x", "--listen-resp", "[::1]:0",
		     "--log-level=debug"),
		NULL),
	    0);
	assert_int_equal(config.policy.n, 2);
	assert_string_equal(config.policy.items[1], "b.json");
	assert_int_equal(config.deadline_ms, 7);
	assert_true(config.insecure);
	assert_int_equal(config.log_format, LOG_JSON);
	assert_int_equal(config.log_level, LOG_DEBUG);
	assert_true(config_list_is_none(&config.listen_http));
	assert_int_equal(config.listen_resp.n, 2);
}

/* flag > environment > file > default, for single values and for whole lists. */
static void
test_durations(void **state)
{
	(void)state;
	write_file("{\"drain_delay\": 5, \"drain_timeout\": \"2m\"}");
	char flag[80];

	snprintf(flag, sizeof(flag), "--config=%s", file_path);
	assert_int_equal(load(ARGS(flag), NULL), 0);
	assert_int_equal(config.drain_delay_ms, 5000);
	assert_int_equal(config.drain_timeout_ms, 120000);
	done(NULL);
	assert_int_equal(load(ARGS("--drain-delay=500ms"),
			     ENV("RATION_DRAIN_DELAY=3", "RATION_DRAIN_TIMEOUT=7s")),
	    0);
	assert_int_equal(config.drain_delay_ms, 500);
	assert_int_equal(config.drain_timeout_ms, 7000);
	done(NULL);
	assert_int_equal(load(ARGS("--drain-timeout-ms", "250"), NULL), 0);
	assert_int_equal(config.drain_timeout_ms, 250);
	done(NULL);
	/* In whatever sources. */
	assert_int_equal(
	    load(ARGS("--drain-timeout=1"), ENV("RATION_DRAIN_TIMEOUT_MS=5")), 78);
}

static void
test_precedence(void **state)
{
	char flag[80];

	(void)state;
	write_file("{\"deadline_ms\": 1, \"workers\": 1, \"max_connections\": 11,\n"
		   "\"idle_timeout_ms\": 21, \"policy\": [\"f1\", \"f2\"],\n"
		   "\"insecure\": true, \"listen_http\": \"127.0.0.1:1\"}");
	snprintf(flag, sizeof(flag), "--config=%s", file_path);
	assert_int_equal(load(ARGS(flag, "--deadline-ms", "3", "--policy", "flag"),
			     ENV("RATION_DEADLINE_MS=2", "RATION_MAX_CONNECTIONS=12",
				 "RATION_POLICY=e1,e2,e3", "HOME=/",
				 "RATION_LISTEN_HTTP=127.0.0.1:2,none2:3")),
	    0);
	assert_int_equal(config.deadline_ms, 3);
	assert_int_equal(config.max_connections, 12);
	assert_int_equal(config.idle_timeout_ms, 21);
	assert_int_equal(config.policy.n, 1);
	assert_string_equal(config.policy.items[0], "flag");
	assert_int_equal(config.listen_http.n, 2);
	assert_string_equal(config.listen_http.items[0], "127.0.0.1:2");
	assert_true(config.insecure);
}

static void
test_config_file_from_environment(void **state)
{
	char variable[96];

	(void)state;
	write_file("{\"deadline_ms\": 9, \"idle-timeout-ms\": 8}");
	snprintf(variable, sizeof(variable), "RATION_CONFIG=%s", file_path);
	assert_int_equal(load((const char *[]){ "rationd", NULL }, ENV(variable)), 0);
	assert_int_equal(config.deadline_ms, 9);
	assert_int_equal(config.idle_timeout_ms, 8); /* the flag's spelling will do */
}

struct bad {
	const char *args[4];
	int code;
	const char *says;
};

static const struct bad bad_flags[] = {
	{ { "--listen-htp", "x" }, 64,
	    "--listen-htp: unknown flag; did you mean --listen-http?" },
	{ { "--zzzzqqqq", "x" }, 64, "--zzzzqqqq: unknown flag; see rationd --help" },
	{ { "--listen_http", "x" }, 64,
	    "--listen_http: unknown flag; did you mean --listen-http?" },
	{ { "--Store", "memory" }, 64,
	    "--Store: unknown flag; did you mean "
	    "--store?" },
	{ { "policy.json" }, 64, "policy.json: is not a flag; see rationd --help" },
	{ { "-p" }, 64, "-p: is not a flag; see rationd --help" },
	{ { "--" }, 64, "--: is not a flag; see rationd --help" },
	{ { "--store" }, 64, "--store: needs a value" },
	{ { "--deadline-ms", "0" }, 78,
	    "--deadline-ms: \"0\" is not a whole number from 1 to 60000" },
	{ { "--deadline-ms", "60001" }, 78,
	    "--deadline-ms: \"60001\" is not a whole number from 1 to 60000" },
	{ { "--deadline-ms=5x" }, 64,
	    "--deadline-ms: \"5x\" is not a whole number from 1 to 60000" },
	{ { "--deadline-ms=" }, 64,
	    "--deadline-ms: \"\" is not a whole number from 1 to 60000" },
	{ { "--deadline-ms=99999999999999999999" }, 78,
	    "--deadline-ms: \"99999999999999999999\" is not a whole number "
	    "from 1 "
	    "to 60000" },
	{ { "--log-format", "xml" }, 64,
	    "--log-format: \"xml\" is not one of auto|text|json" },
	{ { "--log-format", "auto|text" }, 64,
	    "--log-format: \"auto|text\" is not one of auto|text|json" },
	{ { "--insecure=yes" }, 64, "--insecure: \"yes\" is neither true nor false" },
	{ { "--store=memory", "--store=memory" }, 64, "--store: is given twice" },
	{ { "--store", "postgres" }, 78,
	    "--store: is neither \"memory\" nor a URL such as "
	    "redis://127.0.0.1:6379" },
	{ { "--key-prefix", "a:b" }, 78,
	    "--key-prefix: a key prefix is 1 to 64 characters of A-Z a-z 0-9 _ "
	    ". "
	    "-" },
	{ { "--workers", "65" }, 78,
	    "--workers: \"65\" is not a whole number from 1 to 64" },
	{ { "--workers", "0" }, 78,
	    "--workers: \"0\" is not a whole number from 1 to 64" },
	{ { "--decision-log=" }, 78,
	    "--decision-log: is empty; a file's path is needed" },
	{ { "--local-share=0" }, 78,
	    "--local-share: \"0\" is not a whole number from 1 to 1000000" },
	{ { "--on-store-failure=open" }, 64,
	    "--on-store-failure: \"open\" is not one of deny|allow|local" },
	{ { "--deny-cache-ms=10001" }, 78,
	    "--deny-cache-ms: \"10001\" is not a whole number from 0 to "
	    "10000" },
	{ { "--local-share=1000001" }, 78,
	    "--local-share: \"1000001\" is not a whole number from 1 to 1000000" },
	{ { "--drain-delay=soon" }, 64,
	    "--drain-delay: \"soon\" is not a time from 0s to 1h, such as 5s, 500ms, "
	    "2m, or 5 for seconds" },
	{ { "--drain-timeout=61m" }, 78,
	    "--drain-timeout: \"61m\" is not a time from 0s to 1h, such as 5s, 500ms, "
	    "2m, or 5 for seconds" },
	{ { "--drain-timeout-ms=5", "--drain-timeout=5" }, 78,
	    "--drain-timeout-ms: is the older spelling of --drain-timeout; give one of "
	    "the two" },
	{ { "--token-file=" }, 78, "--token-file: is empty; a file's path is needed" },
	{ { "--listen-http=none", "--listen-http=127.0.0.1:1" }, 78,
	    "--listen-http: \"none\" stands beside other addresses" },
	{ { "--listen-http=none", "--listen-resp=none" }, 78,
	    "--listen-http: HTTP and RESP are both switched off; nothing is "
	    "left "
	    "to serve" },
	{ { "--listen-http=127.0.0.1:1", "--listen-resp=127.0.0.1:1" }, 78,
	    "--listen-resp: 127.0.0.1:1 is listened on already" },
	{ { "--listen-http=unix:/a", "--listen-http=unix:/a" }, 78,
	    "--listen-http: unix:/a is listened on already" },
	{ { "--listen-http=fd:7", "--listen-resp=fd:07" }, 78,
	    "--listen-resp: fd:07 is listened on already" },
	{ { "--listen-resp=LOCALHOST:5", "--listen-resp=localhost:5" }, 78,
	    "--listen-resp: localhost:5 is listened on already" },
	{ { "--config", "/nonexistent/x.json" }, 78,
	    "/nonexistent/x.json: cannot open: No such file or directory" },
	{ { "--config", "/" }, 78, "/: is a directory; a regular file is needed" },
};

static void
test_bad_flags(void **state)
{

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_flags); i++) {
		const char *argv[6] = { "rationd" };

		memcpy(argv + 1, bad_flags[i].args, sizeof(bad_flags[i].args));
		assert_int_equal(load(argv, NULL), bad_flags[i].code);
		assert_int_equal(errors.n, 1);
		assert_string_equal(fault(0), bad_flags[i].says);
		done(NULL);
	}
}

static void
test_bad_environment(void **state)
{
	(void)state;
	assert_int_equal(
	    load((const char *[]){ "rationd", NULL },
		ENV("RATION_DEADLINE_MS=x", "RATION_STOR=memory", "RATION_store=memory",
		    "RATION_VERSION=true", "RATION_CHECK_CONFIG=", "RATION_version=x")),
	    78);
	assert_int_equal(errors.n, 6);
	assert_string_equal(fault(0),
	    "RATION_DEADLINE_MS: \"x\" is not a whole number from 1 to 60000");
	assert_string_equal(fault(1),
	    "RATION_STOR: unknown environment variable; did "
	    "you mean RATION_STORE?");
	assert_string_equal(fault(2),
	    "RATION_store: unknown environment variable; did "
	    "you mean RATION_STORE?");
	assert_string_equal(fault(3),
	    "RATION_VERSION: cannot be set here, it is only a flag: --version");
	assert_string_equal(fault(4),
	    "RATION_CHECK_CONFIG: cannot be set here, it is only a flag: "
	    "--check-config");
	assert_non_null(strstr(fault(5), "unknown environment variable"));
}

/* Kubernetes gives these to every pod beside a service called "ration". */
static void
test_foreign_environment(void **state)
{
	(void)state;
	assert_int_equal(
	    load((const char *[]){ "rationd", NULL },
		ENV("RATION_SERVICE_HOST=10.0.0.1", "RATION_SERVICE_PORT=7480",
		    "RATION_SERVICE_PORT_HTTP=7480", "RATION_PORT=tcp://10.0.0.1:7480",
		    "RATION_PORT_7480_TCP_ADDR=10.0.0.1",
		    "RATION_HTTP_SERVICE_HOST=10.0.0.1", "RATION_SERVER=x",
		    "RATION_TOKEN=x", "RATION_URL=http://127.0.0.1:7480",
		    "RATION_TOKEN_FILE=", "RATION_STORE=", "RATIONX=1")),
	    0);
	assert_string_equal(config.store, "memory");
	assert_null(config.token_file);
}

struct bad_file {
	const char *text;
	size_t n;
	const char *says[4];
};

static void
test_bad_files(void **state)
{
	static const struct bad_file table[] = {
		{ "{\"store\": \"memory\",\n  \"listen_htp\": \"x\"}", 1,
		    { "FILE:2:3: unknown key; did you mean listen_http?" } },
		{ "{\"listen-http\": \"127.0.0.1:1\",\n\"listen_http\": \"none\"}", 1,
		    { "FILE:1:2: listen-http is given twice, the other time as "
		      "listen_http" } },
		{ "{\"log_format\": \"json\",\n\"log-format\": \"json\"}", 1,
		    { "FILE:2:1: log-format is given twice, the other time as "
		      "log_format" } },
		{ "{\"drain-timeout_ms\": 5}", 1,
		    { "FILE:1:2: unknown key; did you mean drain_timeout_ms?" } },
		{ "{\"deadline-ms\": \"50\"}", 1,
		    { "FILE:1:2: deadline-ms must be a whole number" } },
		{ "{\"--store\": \"memory\"}", 1,
		    { "FILE:1:2: unknown key; did you mean store?" } },
		{ "{\n\"deadline_ms\": \"50\"}", 1,
		    { "FILE:2:1: deadline_ms must be a whole number" } },
		{ "{\n\"deadline_ms\": 50.5}", 1,
		    { "FILE:2:1: deadline_ms must be a whole number" } },
		{ "{\n\"deadline_ms\": 0,\n\"insecure\": 1}", 2,
		    { "FILE:2:1: deadline_ms: \"0\" is not a whole number from 1 to "
		      "60000",
			"FILE:3:1: insecure must be true or false" } },
		{ "{\"policy\": [\"a\",\n 7]}", 1,
		    { "FILE:2:2: policy/1 must be a string, or a list of them" } },
		{ "{\"policy\": []}", 1, { "FILE:1:2: policy is an empty list" } },
		{ "{\"store\": [\"memory\"]}", 1,
		    { "FILE:1:2: store must be a string" } },
		{ "{\"store\": null}", 1, { "FILE:1:2: store must be a string" } },
		{ "{\"config\": \"x\"}", 1,
		    { "FILE:1:2: \"config\" cannot stand in a file; it is --config" } },
		{ "{\"help\": true}", 1,
		    { "FILE:1:2: \"help\" cannot stand in a file; it is --help" } },
		{ "{\"local_share\": \"1\"}", 1,
		    { "FILE:1:2: local_share must be a whole number" } },
		{ "{\"drain_delay\": true}", 1,
		    { "FILE:1:2: drain_delay must be a whole number of seconds, or a "
		      "string such as \"500ms\"" } },
		{ "{\"drain_delay\": 0.5}", 1,
		    { "FILE:1:2: drain_delay must be a whole number of seconds, or a "
		      "string such as \"500ms\"" } },
		{ "[]", 1,
		    { "FILE:1:1: the file must be a JSON object, such as {\"store\": "
		      "\"memory\"}" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char flag[80];

		write_file(table[i].text);
		snprintf(flag, sizeof(flag), "--config=%s", file_path);
		assert_int_equal(load(ARGS(flag), NULL), 78);
		assert_int_equal(errors.n, table[i].n);
		for (size_t k = 0; k < table[i].n; k++)
			assert_string_equal(fault(k), table[i].says[k]);
		done(NULL);
	}
}

static void
test_syntax_and_duplicates(void **state)
{
	char flag[80];

	(void)state;
	write_file("{\"store\": \"memory\",\n \"store\": \"memory\"}");
	snprintf(flag, sizeof(flag), "--config=%s", file_path);
	assert_int_equal(load(ARGS(flag), NULL), 78);
	assert_int_equal(errors.n, 1);
	assert_int_equal(errors.items[0].line, 2);
	done(NULL);

	write_file("{\"store\": \n memory}");
	snprintf(flag, sizeof(flag), "--config=%s", file_path);
	assert_int_equal(load(ARGS(flag), NULL), 78);
	assert_int_equal(errors.n, 1);
	assert_int_equal(errors.items[0].line, 2);
	assert_non_null(strstr(errors.items[0].text, "not JSON"));
	done(NULL);

	write_file("");
	snprintf(flag, sizeof(flag), "--config=%s", file_path);
	assert_int_equal(load(ARGS(flag), NULL), 78);
	assert_int_equal(errors.n, 1);
}

/* All faults of all sources at once; a usage error sets the code. */
static void
test_all_at_once(void **state)
{
	char flag[80];

	(void)state;
	write_file("{\"deadline_ms\": 0}");
	snprintf(flag, sizeof(flag), "--config=%s", file_path);
	assert_int_equal(load(ARGS(flag, "--workers=99", "--log-level=loud"),
			     ENV("RATION_KEY_PREFIX=?")),
	    64);
	assert_int_equal(errors.n, 4);
}

/* A password never comes back in a message. */
static void
test_secret_stays(void **state)
{
	(void)state;
	assert_int_equal(load(ARGS("--store", "redis://u:sesame@h:99999/x"), NULL), 78);
	for (size_t i = 0; i < errors.n; i++)
		assert_null(strstr(fault(i), "sesame"));
}

static void
test_help_wins(void **state)
{
	(void)state;
	assert_int_equal(load(ARGS("--help", "--nonsense"), NULL), 0);
	assert_true(config.help);
	done(NULL);
	assert_int_equal(load(ARGS("-h"), NULL), 0);
	assert_true(config.help);
	done(NULL);
	assert_int_equal(load(ARGS("--version"), NULL), 0);
	assert_true(config.version);
}

static void
test_help_text(void **state)
{
	struct buf text = { 0 };
	const char *line;

	(void)state;
	config_help(&text);
	line = buf_cstr(&text);
	assert_non_null(line);
	for (const struct config_key *key = config_keys; key->name; key++) {
		char flag[CONFIG_NAME_MAX];

		snprintf(flag, sizeof(flag), "  --%s", key->name);
		assert_non_null(strstr(line, flag));
	}
	for (; *line; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") <= 80);
	buf_fini(&text);
}

/* docs/configuration.md has every key's row, with its default and its range. */
static void
test_documents(void **state)
{
	struct buf text = { 0 };
	struct errinfo ei;
	char min[DURATION_TEXT_MAX];
	char max[DURATION_TEXT_MAX];
	const char *doc;

	(void)state;
	assert_int_equal(
	    file_read(TEST_SOURCE_DIR "/../docs/configuration.md", 1 << 20, &text, &ei),
	    0);
	doc = buf_cstr(&text);
	assert_non_null(doc);
	for (const struct config_key *key = config_keys; key->name; key++) {
		char row[128];

		if (key->newer)
			snprintf(row, sizeof(row),
			    "| `%s` | – | older spelling of `%s`", key->name,
			    key->newer);
		else if (key->type == CONFIG_DURATION)
			snprintf(row, sizeof(row), "| `%s` | `%s` | %s to %s; ",
			    key->name, key->def, duration_format(key->min, min),
			    duration_format(key->max, max));
		else if (key->type == CONFIG_NUMBER)
			snprintf(row, sizeof(row), "| `%s` | `%s` | %lld to %lld; ",
			    key->name, key->def, (long long)key->min,
			    (long long)key->max);
		else if (key->def && strcmp(key->def, "false") != 0)
			snprintf(
			    row, sizeof(row), "| `%s` | `%s` |", key->name, key->def);
		else
			snprintf(row, sizeof(row), "| `%s` | – |", key->name);
		if (!strstr(doc, row))
			fail_msg("docs/configuration.md lacks the row %s", row);
	}
	buf_fini(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_defaults, done),
		cmocka_unit_test_teardown(test_flags_of_every_type, done),
		cmocka_unit_test_teardown(test_durations, done),
		cmocka_unit_test_teardown(test_precedence, done),
		cmocka_unit_test_teardown(test_config_file_from_environment, done),
		cmocka_unit_test_teardown(test_bad_flags, done),
		cmocka_unit_test_teardown(test_bad_environment, done),
		cmocka_unit_test_teardown(test_foreign_environment, done),
		cmocka_unit_test_teardown(test_bad_files, done),
		cmocka_unit_test_teardown(test_syntax_and_duplicates, done),
		cmocka_unit_test_teardown(test_all_at_once, done),
		cmocka_unit_test_teardown(test_secret_stays, done),
		cmocka_unit_test_teardown(test_help_wins, done),
		cmocka_unit_test(test_help_text),
		cmocka_unit_test(test_documents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
