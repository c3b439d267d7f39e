/* SPDX-License-Identifier: ISC */
#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/visible.h"
#include "net/listener.h"
#include "ops/process.h"

/* --- loading: finds everything that can be wrong before a socket is bound --------- */

static void
load_store(struct server *s, struct errlist *errors)
{
	struct memory_options options = { .max_counters =
					      s->config->store_max_counters };
	struct errinfo ei;

	bool embedded = strcmp(s->config->store, "memory") == 0;
	struct memory *memory = memory_new(&options);

	if (embedded)
		s->memory = memory;
	else
		s->local = memory;
	if (!memory)
		err_set(&ei, ERR_NOMEM, "out of memory");
	else if (embedded || redis_url_parse(s->config->store, &s->redis, &ei) == 0)
		return;
	errlist_add_info(errors, "--store", &ei);
}

/* Whether both names are the same existing file. */
static bool
is_same_file(const char *one, const char *other)
{
	struct stat a, b;

	return other && stat(one, &a) == 0 && stat(other, &b) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A decision log must not be one of the files that are read: the first line appended would
 * break it. */
static bool
is_read_too(const struct config *config, const char *file)
{
	const char *other;

	for (size_t i = 0; (other = documents_file_at(config, i)); i++)
		if (is_same_file(file, other))
			return true;
	return is_same_file(file, config->config);
}

static void
open_decision_log(struct server *s, struct errlist *errors)
{
	const char *file = s->config->decision_log;
	struct errinfo ei;

	if (!file)
		return;
	if (is_read_too(s->config, file)) {
		err_set(
		    &ei, ERR_INVALID, "%s is read as well; name another file", file);
		errlist_add_info(errors, "--decision-log", &ei);
		return;
	}
	if (s->config->check_config) {
		if (log_writer_check(file, &ei) < 0)
			errlist_add_info(errors, "--decision-log", &ei);
		return;
	}
	s->decision_log = log_writer_open(file, &ei);
	if (!s->decision_log)
		errlist_add_info(errors, "--decision-log", &ei);
}

/* For a listener that other hosts can reach, somebody must have decided who may call. */
static int
check_exposure(
    const struct server *s, const struct address *address, struct errinfo *ei)
{
	if (s->config->token_file || s->config->insecure || address_is_local(address))
		return 0;
	return err_set(ei, ERR_INVALID,
	    "other hosts can reach %s: give --token-file FILE so that "
	    "callers must show a token, or --insecure to serve anyone",
	    address->text);
}

static void
check_listeners(const struct server *s, const struct config_list *list,
    const char *flag, struct errlist *errors)
{
	struct address address;
	struct errinfo ei;

	for (size_t i = 0; i < list->n && !config_list_is_none(list); i++) {
		int rc = address_parse(list->items[i], &address, &ei);

		if (rc == 0)
			rc = listener_check(&address, &ei);
		if (rc == 0)
			rc = check_exposure(s, &address, &ei);
		if (rc < 0)
			errlist_add_info(errors, flag, &ei);
	}
}

int
server_load(struct server *s, const struct config *config, struct errlist *errors)
{
	struct errinfo ei;

	memset(s, 0, sizeof(*s));
	s->config = config;
	s->started_us = clock_real_us();
	s->tls = tls_source_new();
	if (!s->tls || crew_init(&s->crew, (size_t)config->workers) < 0 ||
	    hash_start() < 0) {
		err_set(&ei, ERR_NOMEM, "out of memory, or libsodium does not start");
		errlist_add_info(errors, "rationd", &ei);
		return EXIT_CODE_DEPENDENCY;
	}
	documents_load(&s->documents, config, errors);
	load_store(s, errors);
	if (s->documents.tls)
		tls_source_set(s->tls, s->documents.tls);
	check_listeners(s, &config->listen_http, "--listen-http", errors);
	check_listeners(s, &config->listen_resp, "--listen-resp", errors);
	open_decision_log(s, errors);
	return errors->n + errors->more == 0 ? EXIT_CODE_OK : EXIT_CODE_CONFIG;
}

static void
add_list(struct buf *out, const char *name, const struct config_list *list)
{
	buf_printf(out, "%s:", name);
	for (size_t i = 0; i < list->n; i++)
		buf_printf(out, " %s", list->items[i]);
	buf_add_char(out, '\n');
}

static const char *
plural(size_t n)
{
	return n == 1 ? "" : "s";
}

void
server_summary(const struct server *s, struct buf *out)
{
	for (size_t i = 0; i < policy_set_count(s->documents.policies); i++) {
		const struct policy *p = policy_set_at(s->documents.policies, i);

		buf_add_str(out, "policy ");
		visible_add(out, slice_str(policy_name(p)));
		buf_printf(out, ": %zu tool%s, %zu limit%s, sha256 %.12s\n",
		    policy_tool_count(p), plural(policy_tool_count(p)),
		    policy_limit_count(p), plural(policy_limit_count(p)),
		    policy_hash(p));
	}
	buf_printf(out, "store: %s\n", s->memory ? "memory" : s->redis.shown);
	if (s->documents.tls)
		buf_printf(out, "store tls: %s, %s\n",
		    s->config->store_tls_ca ? s->config->store_tls_ca
					    : "the CAs that this system trusts",
		    s->config->store_tls_cert ? s->config->store_tls_cert
					      : "no certificate of ours");
	add_list(out, "http", &s->config->listen_http);
	add_list(out, "resp", &s->config->listen_resp);
	buf_printf(out, "token: %s\n", s->documents.tokens ? "asked for" : "none");
}

/* --- serving -------------------------------------------------------------------- */

static void
stop(struct server *s, int exit_code)
{
	if (s->phase == SERVER_STOPPED)
		return;
	s->phase = SERVER_STOPPED;
	s->exit_code = exit_code;
	loop_stop(crew_loop(&s->crew));
}

static void
on_turn(void *arg)
{
	struct server *s = arg;

	if (s->phase != SERVER_DRAINING || s->stage != DRAIN_CLOSING ||
	    !crew_is_idle(&s->crew))
		return;
	log_info("server", "drained: everything was answered");
	stop(s, EXIT_CODE_OK);
}

static void
enter_stage(struct server *s, enum drain_stage stage)
{
	int64_t delay_ms = s->config->drain_delay_ms;
	const int64_t stay_ms[DRAIN_STAGES] = {
		[DRAIN_UNREADY] = delay_ms / 2,
		[DRAIN_PARTING] = delay_ms - delay_ms / 2,
		[DRAIN_CLOSING] = s->config->drain_timeout_ms,
	};

	if (stage == DRAIN_CLOSING)
		log_info("server", "draining %zu connections for at most %lld ms",
		    crew_connections(&s->crew), (long long)stay_ms[stage]);
	s->stage = stage;
	loop_timer_set(s->drain_timer, stay_ms[stage] * 1000);
	crew_drain(&s->crew, stage);
}

static void
on_drain_timer(void *arg)
{
	struct server *s = arg;

	if (s->stage != DRAIN_CLOSING) {
		enter_stage(s, s->stage + 1);
		return;
	}
	log_warn("server", "drain timeout: closing %zu connections",
	    crew_connections(&s->crew));
	stop(s, EXIT_CODE_OK);
}

static void
on_stop(void *arg, const char *signal_name)
{
	struct server *s = arg;
	if (s->phase != SERVER_SERVING) {
		log_warn("server", "%s again: stopping at once, %zu connections open",
		    signal_name, crew_connections(&s->crew));
		s->cut = true;
		stop(s, EXIT_CODE_OK);
		return;
	}
	log_info("server", "%s: not ready any more; serving for another %lld ms",
	    signal_name, (long long)s->config->drain_delay_ms);
	s->phase = SERVER_DRAINING;
	enter_stage(s, s->config->drain_delay_ms > 0 ? DRAIN_UNREADY : DRAIN_CLOSING);
}

static void
on_reload(void *arg)
{
	struct server *s = arg;

	if (s->decision_log)
		log_writer_reopen(s->decision_log);
	if (s->phase != SERVER_SERVING)
		return;
	log_info("server", "SIGHUP: reading the policies again");
	reload_request(s->reload, RELOAD_SIGNAL);
}

static void
on_failed(void *arg)
{
	log_error("server", "the event loop of a worker failed");
	stop(arg, EXIT_CODE_DEPENDENCY);
}

static void
on_taken(void *arg)
{
	reload_taken(((struct server *)arg)->reload);
}

static bool
swap_documents(void *arg, struct documents *next)
{
	struct server *s = arg;

	if (next->tls_stamp != s->documents.tls_stamp)
		log_info("server",
		    "the files of TLS to the store changed: new connections use them");
	documents_fini(&s->documents);
	s->documents = *next;
	*next = (struct documents){ 0 };
	if (s->documents.tls)
		tls_source_set(s->tls, s->documents.tls);
	return crew_take(&s->crew, &s->documents);
}

static struct reload *
open_reload(struct server *s)
{
	struct reload_options options = { .loop = crew_loop(&s->crew),
		.config = s->config,
		.cells = s->crew.cells[0],
		.in_force = &s->in_force,
		.stamp = s->documents.stamp,
		.swap = swap_documents,
		.arg = s };

	return reload_new(&options);
}

static int
open_workers(struct server *s, struct errinfo *ei)
{
	const struct crew_events events = { on_taken, on_turn, on_failed, s };
	struct worker_shared shared = { .config = s->config,
		.policies = s->documents.policies,
		.memory = s->memory,
		.local = s->local,
		.redis = s->memory ? NULL : &s->redis,
		.tls = s->documents.tls ? s->tls : NULL,
		.denials = &s->denials,
		.tokens = s->documents.tokens,
		.started_us = s->started_us,
		.in_force = &s->in_force,
		.decision_log = s->decision_log };
	int rc = crew_open(&s->crew, &shared, &events, ei);

	if (rc < 0)
		return rc;
	s->signals = (struct signals_handler){ on_stop, on_reload, s };
	s->drain_timer = loop_timer_new(crew_loop(&s->crew), on_drain_timer, s);
	s->reload = open_reload(s);
	if (!s->drain_timer || !s->reload ||
	    signals_start(crew_loop(&s->crew), &s->signals) < 0)
		return err_set(ei, ERR_NOMEM, "out of memory");
	return 0;
}

int
server_run(struct server *s)
{
	struct errinfo ei;
	int rc;

	process_raise_files(s->config->max_connections, s->config->workers);
	process_ignore_sigpipe();
	log_info("server", "rationd %s, %zu %s, store %s", RATION_VERSION,
	    policy_set_count(s->documents.policies),
	    policy_set_count(s->documents.policies) == 1 ? "policy" : "policies",
	    s->memory ? "memory" : s->redis.shown);
	in_force_init(&s->in_force, s->documents.policies);
	s->is_open = true;
	rc = open_workers(s, &ei);
	if (rc == 0)
		rc = crew_start(&s->crew, &ei);
	if (rc < 0) {
		log_error("server", "%s", ei.text);
		return rc == ERR_NOMEM ? EXIT_CODE_DEPENDENCY : EXIT_CODE_BIND;
	}
	if (s->config->insecure && !s->documents.tokens)
		log_warn("server", "--insecure: whoever reaches a listener is served");
	rc = loop_run(crew_loop(&s->crew));
	process_hold_reload(); /* SIGHUP's handler is about to go */
	if (crew_stop(&s->crew) && s->cut)
		s->exit_code = EXIT_CODE_CUT;
	if (rc < 0) {
		log_error("server", "the event loop failed");
		return EXIT_CODE_DEPENDENCY;
	}
	return s->exit_code;
}

void
server_close(struct server *s)
{
	reload_free(s->reload);
	if (s->drain_timer)
		loop_timer_free(s->drain_timer);
	crew_fini(&s->crew);
	log_writer_close(s->decision_log);
	memory_free(s->memory);
	memory_free(s->local);
	tls_source_free(s->tls);
	documents_fini(&s->documents);
	if (s->is_open)
		in_force_fini(&s->in_force);
	explicit_bzero(&s->redis, sizeof(s->redis));
	memset(s, 0, sizeof(*s));
}
