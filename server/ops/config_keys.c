/* SPDX-License-Identifier: ISC */
#include "ops/config_key.h"

#include <ctype.h>
#include <string.h>

#include "net/address.h"
#include "ops/config.h"
#include "policy/suggest.h"
#include "redis/url.h"

#define KEY_PREFIX_MAX 64
#define TLS_NAME_MAX 253

static int
check_address(const char *text, struct errinfo *ei)
{
	struct address address;

	if (strcmp(text, "none") == 0)
		return 0;
	return address_parse(text, &address, ei);
}

static int
check_store(const char *text, struct errinfo *ei)
{
	struct redis_url url;
	int rc;

	if (strcmp(text, "memory") == 0)
		return 0;
	if (!strchr(text, ':'))
		return err_set(ei, ERR_INVALID,
		    "is neither \"memory\" nor a URL such as redis://127.0.0.1:6379");
	rc = redis_url_parse(text, &url, ei);
	explicit_bzero(&url, sizeof(url));
	return rc;
}

static int
check_prefix(const char *text, struct errinfo *ei)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t len = strlen(text);

	if (len >= 1 && len <= KEY_PREFIX_MAX && strspn(text, allowed) == len)
		return 0;
	return err_set(ei, ERR_INVALID,
	    "a key prefix is 1 to %d characters of A-Z a-z 0-9 _ . -", KEY_PREFIX_MAX);
}

static int
check_tls_name(const char *text, struct errinfo *ei)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-:";
	size_t len = strlen(text);

	if (len >= 1 && len <= TLS_NAME_MAX && strspn(text, allowed) == len)
		return 0;
	return err_set(ei, ERR_INVALID, "is not a host's name or address");
}

static int
check_path(const char *text, struct errinfo *ei)
{
	if (*text)
		return 0;
	return err_set(ei, ERR_INVALID, "is empty; a file's path is needed");
}

#define IN_CONFIG(member) offsetof(struct config, member)

const struct config_key config_keys[] = {
	{ .name = "policy",
	    .group = "Policies and counters",
	    .type = CONFIG_STRING,
	    .repeat = true,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(policy),
	    .metavar = "FILE",
	    .check = check_path,
	    .help = "A policy document; may repeat. The policy's name is the file's "
		    "name without folder and .json. At least one is needed." },
	{ .name = "watch",
	    .type = CONFIG_BOOL,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(watch),
	    .def = "true",
	    .help = "Read the policies, the token file and those of "
		    "--store-tls-* again when one of them changes; this is "
		    "the default. With --watch=false only on SIGHUP." },
	{ .name = "store",
	    .type = CONFIG_STRING,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(store),
	    .def = "memory",
	    .metavar = "URL",
	    .check = check_store,
	    .help = "Where counters live: memory (this process), "
		    "redis://[[user]:pass@]host[:port][/db], "
		    "redis+unix://[[user]:pass@]/path[?db=N], "
		    "redis+sentinel://[...@]host[:port],.../NAME[?db=N] or "
		    "redis+cluster://[...@]host[:port],...; rediss instead of"
		    " redis: over TLS." },
	{ .name = "store-tls-ca",
	    .type = CONFIG_STRING,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(store_tls_ca),
	    .metavar = "FILE",
	    .check = check_path,
	    .help = "With rediss: the CAs, in PEM, that may sign the "
		    "certificates of Redis; default: those that the system "
		    "trusts." },
	{ .name = "store-tls-cert",
	    .type = CONFIG_STRING,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(store_tls_cert),
	    .metavar = "FILE",
	    .check = check_path,
	    .help = "With rediss: the certificate to present, in PEM, "
		    "followed by its chain; needs --store-tls-key." },
	{ .name = "store-tls-key",
	    .type = CONFIG_STRING,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(store_tls_key),
	    .metavar = "FILE",
	    .check = check_path,
	    .help = "The private key of that certificate, in PEM, not encrypted." },
	{ .name = "store-tls-name",
	    .type = CONFIG_STRING,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(store_tls_name),
	    .metavar = "NAME",
	    .check = check_tls_name,
	    .help = "With rediss: the name to ask for (SNI) and to expect in "
		    "the certificate, where it is not the host's." },
	{ .name = "key-prefix",
	    .type = CONFIG_STRING,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(key_prefix),
	    .def = "ration",
	    .metavar = "NAME",
	    .check = check_prefix,
	    .help = "What the names of all counters start with." },
	{ .name = "store-max-counters",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(store_max_counters),
	    .min = 1,
	    .max = 1000000000,
	    .def = "10000000",
	    .metavar = "N",
	    .help = "How many counters may live at once in this process: with"
		    " store memory, or locally while Redis is away." },
	{ .name = "deadline-ms",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(deadline_ms),
	    .min = 1,
	    .max = 60000,
	    .def = "50",
	    .metavar = "MS",
	    .help = "How long the store has to answer a check; after that it "
		    "has failed." },
	{ .name = "on-store-failure",
	    .type = CONFIG_CHOICE,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(on_store_failure),
	    .def = "deny",
	    .choices = "deny|allow|local",
	    .metavar = "WORD",
	    .help = "What happens to a check that the store did not answer, "
		    "where the policy does not say: deny, allow, or local (a "
		    "share of its limits, counted in this process)." },
	{ .name = "dedup-ttl",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(dedup_ttl),
	    .min = 1,
	    .max = 86400,
	    .def = "600",
	    .metavar = "SECONDS",
	    .help = "How long request ids, and that a reservation was "
		    "settled, are remembered: a retry within this time gets "
		    "the first answer again." },
	{ .name = "deny-cache-ms",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(deny_cache_ms),
	    .min = 0,
	    .max = 10000,
	    .def = "250",
	    .metavar = "MS",
	    .help = "With Redis: how long a limit that was found full denies "
		    "without asking again; 0: always ask." },
	{ .name = "local-share",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(local_share),
	    .min = 1,
	    .max = 1000000,
	    .def = "1",
	    .metavar = "N",
	    .help = "How many daemons share the limits: limits that are "
		    "counted locally while the store is away are divided by "
		    "it." },

	{ .name = "listen-http",
	    .group = "Listeners",
	    .type = CONFIG_STRING,
	    .repeat = true,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(listen_http),
	    .def = "127.0.0.1:7480",
	    .metavar = "ADDR",
	    .check = check_address,
	    .help = "Serve HTTP on host:port, [v6]:port, :port (all addresses), "
		    "unix:/path or fd:N; may repeat; none switches HTTP off." },
	{ .name = "listen-resp",
	    .type = CONFIG_STRING,
	    .repeat = true,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(listen_resp),
	    .def = "127.0.0.1:7481",
	    .metavar = "ADDR",
	    .check = check_address,
	    .help = "The same for RESP, the protocol of Redis clients." },
	{ .name = "token-file",
	    .type = CONFIG_STRING,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(token_file),
	    .metavar = "FILE",
	    .check = check_path,
	    .help = "Secrets, one per line, of which callers must show one. "
		    "This or --insecure is needed where other hosts can reach"
		    " a listener." },
	{ .name = "insecure",
	    .type = CONFIG_BOOL,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(insecure),
	    .def = "false",
	    .help = "Serve other hosts without a token." },
	{ .name = "max-connections",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(max_connections),
	    .min = 1,
	    .max = 1000000,
	    .def = "16384",
	    .metavar = "N",
	    .help = "Client connections of all listeners together." },
	{ .name = "max-request-bytes",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(max_request_bytes),
	    .min = 1024,
	    .max = 67108864,
	    .def = "262144",
	    .metavar = "N",
	    .help = "The largest HTTP body or RESP command." },
	{ .name = "max-buffered-bytes",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(max_buffered_bytes),
	    .min = 1048576,
	    .max = INT64_C(1099511627776),
	    .def = "268435456",
	    .metavar = "N",
	    .help = "Memory for requests that have not arrived whole, of all "
		    "connections together." },
	{ .name = "idle-timeout-ms",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(idle_timeout_ms),
	    .min = 0,
	    .max = 86400000,
	    .def = "600000",
	    .metavar = "MS",
	    .help = "Close a connection that has been silent for this long; "
		    "0: never." },
	{ .name = "request-timeout-ms",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(request_timeout_ms),
	    .min = 1,
	    .max = 3600000,
	    .def = "10000",
	    .metavar = "MS",
	    .help = "The time allowed from a request's first byte to its "
		    "last." },
	{ .name = "write-timeout-ms",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(write_timeout_ms),
	    .min = 1,
	    .max = 3600000,
	    .def = "10000",
	    .metavar = "MS",
	    .help = "Close a connection that reads nothing of its answers for"
		    " this long." },

	{ .name = "config",
	    .group = "The process",
	    .type = CONFIG_STRING,
	    .where = CONFIG_IN_FLAGS | CONFIG_IN_ENV,
	    .offset = IN_CONFIG(config),
	    .metavar = "FILE",
	    .check = check_path,
	    .help = "A JSON file with these keys, written with _ or -; those "
		    "that may repeat take lists." },
	{ .name = "workers",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(workers),
	    .min = 1,
	    .max = 64,
	    .def = "1",
	    .metavar = "N",
	    .help = "Threads that serve, each with its own connection to the "
		    "store." },
	{ .name = "drain-delay",
	    .type = CONFIG_DURATION,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(drain_delay_ms),
	    .min = 0,
	    .max = 3600000,
	    .def = "0s",
	    .metavar = "TIME",
	    .help = "After SIGTERM or SIGINT, how long to go on serving while"
		    " not ready, so that balancers stop sending callers." },
	{ .name = "drain-timeout",
	    .type = CONFIG_DURATION,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(drain_timeout_ms),
	    .min = 0,
	    .max = 3600000,
	    .def = "10s",
	    .metavar = "TIME",
	    .help = "After that, how long to go on answering what is under "
		    "way." },
	{ .name = "drain-timeout-ms",
	    .type = CONFIG_NUMBER,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(drain_timeout_ms),
	    .min = 0,
	    .max = 3600000,
	    .newer = "drain-timeout",
	    .metavar = "MS",
	    .help = "The older spelling of --drain-timeout." },
	{ .name = "log-level",
	    .type = CONFIG_CHOICE,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(log_level),
	    .def = "info",
	    .choices = "error|warn|info|debug",
	    .metavar = "LEVEL",
	    .help = "error, warn, info or debug." },
	{ .name = "log-format",
	    .type = CONFIG_CHOICE,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(log_format),
	    .def = "auto",
	    .choices = "auto|text|json",
	    .metavar = "FORMAT",
	    .help = "auto, text or json; auto is text on a terminal, else json." },
	{ .name = "decision-log",
	    .type = CONFIG_STRING,
	    .where = CONFIG_EVERYWHERE,
	    .offset = IN_CONFIG(decision_log),
	    .metavar = "FILE",
	    .check = check_path,
	    .help = "Append one line of JSON for every decision: who, what "
		    "and why, with the names of arguments and never their "
		    "values; - is standard output. SIGHUP reopens the file." },

	{ .name = "check-config",
	    .group = "Instead of serving",
	    .type = CONFIG_BOOL,
	    .where = CONFIG_IN_FLAGS,
	    .offset = IN_CONFIG(check_config),
	    .help = "Read everything, report all errors or \"ok\", and exit." },
	{ .name = "version",
	    .type = CONFIG_BOOL,
	    .where = CONFIG_IN_FLAGS,
	    .offset = IN_CONFIG(version),
	    .help = "Print the version and exit." },
	{ .name = "help",
	    .type = CONFIG_BOOL,
	    .where = CONFIG_IN_FLAGS,
	    .offset = IN_CONFIG(help),
	    .help = "Print this and exit." },
	{ .name = NULL },
};

/* One letter of a name with its spelling taken off. */
static char
plain(char c)
{
	if (c == '_')
		return '-';
	return (char)tolower((unsigned char)c);
}

const struct config_key *
config_key_find(struct slice name)
{
	for (const struct config_key *key = config_keys; key->name; key++) {
		size_t i = 0;

		if (strlen(key->name) != name.len)
			continue;
		while (i < name.len && plain(name.ptr[i]) == key->name[i])
			i++;
		if (i == name.len)
			return key;
	}
	return NULL;
}

const char *
config_key_guess(struct slice name)
{
	const char *best = NULL;
	int least = SUGGEST_FAR;

	for (const struct config_key *key = config_keys; key->name; key++) {
		int d = suggest_distance(name, key->name);

		if (d >= least)
			continue;
		least = d;
		best = key->name;
	}
	return best;
}

void
config_key_spell(const char *name, enum config_spelling as, char out[CONFIG_NAME_MAX])
{
	static const char *const prefix[] = { "--", "RATION_", "" };
	size_t n = strlen(prefix[as]);

	memcpy(out, prefix[as], n);
	for (; *name && n < CONFIG_NAME_MAX - 1; name++) {
		char c = *name;

		if (c == '-' && as != CONFIG_AS_FLAG)
			c = '_';
		out[n++] = as == CONFIG_AS_ENV ? (char)toupper((unsigned char)c) : c;
	}
	out[n] = '\0';
}
