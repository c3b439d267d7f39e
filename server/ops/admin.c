/* SPDX-License-Identifier: ISC */
#include "ops/admin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/percent.h"
#include "limit/key.h"
#include "ops/metrics.h"
#include "ops/process.h"

#define POLICIES_PATH "/v1/policies"
#define POLICY_NAME_MAX CALL_NAME_MAX

#define JSON_TYPE "application/json"
#define TEXT_TYPE "text/plain; charset=utf-8"

#define ENDPOINTS_MAX 8

struct admin {
	struct admin_options options;
	bool draining;
	int64_t settled_us; /* clock_mono_us() */
	struct process_usage usage;
	struct http_endpoint endpoints[ENDPOINTS_MAX];
};

static struct metrics_input
metrics_of(const struct admin *admin)
{
	const struct admin_options *o = &admin->options;

	return (struct metrics_input){ o->cells, o->n_cells, o->started_us,
		o->memory ? memory_count(o->memory) : -1, &admin->usage };
}

/* Whether every worker can take charges. If not, or if not for some counters, *why says
 * why. */
static bool
is_ready(const struct admin *admin, struct errinfo *why)
{
	const struct admin_options *o = &admin->options;
	size_t others = 0;

	if (!store_ready(o->store, why))
		return false;
	for (size_t i = 0; i < o->n_cells; i++)
		others += i != o->worker && !metric_get(o->cells[i], METRIC_STORE_UP);
	if (others > 0)
		err_set(why, ERR_IO, "the store takes no charges of %zu of %zu workers",
		    others, o->n_cells);
	return others == 0;
}

/* --- HTTP ----------------------------------------------------------------------- */

static void
answer_livez(void *arg, const struct http_request *req, struct http_response *resp)
{
	(void)arg;
	(void)req;
	resp->status = 200;
	resp->content_type = TEXT_TYPE;
	buf_add_str(&resp->body, "ok\n");
}

/* Whether calls are to go ahead without the store, as the daemon's flags or all documents
 * say. Then a store that is away must not make the daemon unready: since all daemons share
 * it, they would all be taken out of service at once. */
static bool
is_lenient(const struct admin *admin)
{
	const struct policy_set *set;
	bool lenient = true;

	if (admin->options.lenient)
		return true;
	set = in_force_lock(admin->options.in_force)->policies;
	for (size_t i = 0; i < policy_set_count(set); i++) {
		enum store_failure says =
		    policy_on_store_failure(policy_set_at(set, i));

		lenient &= says == STORE_FAILURE_ALLOW || says == STORE_FAILURE_LOCAL;
	}
	in_force_unlock(admin->options.in_force);
	return lenient;
}

static void
answer_readyz(void *arg, const struct http_request *req, struct http_response *resp)
{
	struct admin *admin = arg;
	struct errinfo why = { .text = "draining" };
	bool taking = !admin->draining && is_ready(admin, &why);
	bool partly = taking && why.text[0] != '\0';
	bool without = !admin->draining && !taking && is_lenient(admin) &&
	    clock_mono_us() >= admin->settled_us;
	bool ready = taking || without;
	struct json_text j;

	resp->status = ready ? 200 : 503;
	resp->content_type = JSON_TYPE;
	json_text_init(&j, &resp->body);
	json_text_open(&j, NULL, '{');
	json_text_bool(&j, "ready", ready);
	json_text_bool(&j, "degraded", without || partly);
	/* Not everybody may know where the store is and how it fails. */
	if (!taking || partly)
		json_text_string(&j, "why",
		    slice_str(admin->draining || req->trusted ? why.text
			    : partly ? "a part of the store is unavailable"
				     : "the store is unavailable"));
	json_text_close(&j, '}');
	buf_add_char(&resp->body, '\n');
}

static void
answer_metrics(void *arg, const struct http_request *req, struct http_response *resp)
{
	struct admin *admin = arg;
	struct metrics_input in = metrics_of(admin);

	(void)req;
	process_usage_renew(&admin->usage);
	metric_set(in.cells[admin->options.worker], METRIC_STORE_UP,
	    store_ready(admin->options.store, NULL));
	resp->status = 200;
	resp->content_type = METRICS_CONTENT_TYPE;
	metrics_format(&in, &resp->body);
}

static void
answer_version(void *arg, const struct http_request *req, struct http_response *resp)
{
	struct json_text j;

	(void)arg;
	(void)req;
	resp->status = 200;
	resp->content_type = JSON_TYPE;
	json_text_init(&j, &resp->body);
	json_text_open(&j, NULL, '{');
	json_text_string(&j, "name", slice_str("rationd"));
	json_text_string(&j, "version", slice_str(RATION_VERSION));
	json_text_string(&j, "api", slice_str("v1"));
	json_text_close(&j, '}');
	buf_add_char(&resp->body, '\n');
}

static bool
is_default(const struct policy_set *set, const struct policy *policy)
{
	return policy_set_find(set, slice_str(NULL)) == policy;
}

static void
add_policy(
    struct json_text *j, const struct policy_set *set, const struct policy *policy)
{
	json_text_open(j, NULL, '{');
	json_text_string(j, "name", slice_str(policy_name(policy)));
	json_text_string(j, "description", slice_str(policy_description(policy)));
	json_text_string(j, "hash", slice_str(policy_hash(policy)));
	json_text_int(j, "tools", (int64_t)policy_tool_count(policy));
	json_text_int(j, "limits", (int64_t)policy_limit_count(policy));
	json_text_bool(j, "default", is_default(set, policy));
	json_text_close(j, '}');
}

static void
answer_policies(void *arg, const struct http_request *req, struct http_response *resp)
{
	struct admin *admin = arg;
	const struct in_force *now = in_force_lock(admin->options.in_force);
	const struct policy_set *set = now->policies;
	struct json_text j;

	(void)req;
	resp->status = 200;
	resp->content_type = JSON_TYPE;
	json_text_init(&j, &resp->body);
	json_text_open(&j, NULL, '{');
	json_text_open(&j, "policies", '[');
	for (size_t i = 0; i < policy_set_count(set); i++)
		add_policy(&j, set, policy_set_at(set, i));
	json_text_close(&j, ']');
	reload_report_format(&j, "last_reload", &now->report);
	in_force_unlock(admin->options.in_force);
	json_text_close(&j, '}');
	buf_add_char(&resp->body, '\n');
}

/* The policy that the path names; NULL: the response says that there is none. */
static const struct policy *
policy_of_path(
    const struct policy_set *set, struct slice path, struct http_response *resp)
{
	size_t skip = strlen(POLICIES_PATH "/");
	char name[POLICY_NAME_MAX];
	const struct policy *policy = NULL;
	ptrdiff_t len = percent_decode(
	    slice_make(path.ptr + skip, path.len - skip), name, sizeof(name));

	if (len < 0) {
		http_problem(
		    resp, 400, "the policy's name is too long or badly escaped");
		return NULL;
	}
	if (len > 0)
		policy = policy_set_find(set, slice_make(name, (size_t)len));
	if (!policy)
		http_problem(resp, 404,
		    "there is no policy of that name; GET " POLICIES_PATH
		    " lists them");
	return policy;
}

static void
answer_policy(void *arg, const struct http_request *req, struct http_response *resp)
{
	struct admin *admin = arg;
	const struct policy_set *set = in_force_lock(admin->options.in_force)->policies;
	const struct policy *policy = policy_of_path(set, req->path, resp);

	if (policy) {
		struct json_text j;

		resp->status = 200;
		resp->content_type = JSON_TYPE;
		json_text_init(&j, &resp->body);
		add_policy(&j, set, policy);
		buf_add_char(&resp->body, '\n');
	}
	in_force_unlock(admin->options.in_force);
}

/* --- INFO ----------------------------------------------------------------------- */

static void
info_server(const struct admin *admin, struct buf *out)
{
	int64_t up_us = clock_real_us() - admin->options.started_us;

	buf_printf(out,
	    "ration_version:%s\r\nprocess_id:%d\r\nuptime_in_seconds:%lld\r\n"
	    "workers:%zu\r\ndraining:%d\r\n",
	    RATION_VERSION, (int)getpid(), (long long)(up_us / 1000000),
	    admin->options.n_cells, admin->draining);
}

static void
info_cells(const struct admin *admin, struct buf *out, const char *name, enum metric id)
{
	struct metrics_input in = metrics_of(admin);

	buf_printf(out, "%s:%lld\r\n", name, (long long)metrics_value(&in, id));
}

/* How connections are spread over the workers: "12,13,12,13". */
static void
info_spread(const struct admin *admin, struct buf *out)
{
	const struct admin_options *o = &admin->options;

	for (size_t i = 0; i < o->n_cells; i++)
		buf_printf(out, "%s%lld", i == 0 ? "worker_connections:" : ",",
		    (long long)(metric_get(o->cells[i], METRIC_HTTP_CONNECTIONS) +
			metric_get(o->cells[i], METRIC_RESP_CONNECTIONS)));
	buf_add_str(out, "\r\n");
}

static void
info_clients(const struct admin *admin, struct buf *out)
{
	info_cells(admin, out, "http_connections", METRIC_HTTP_CONNECTIONS);
	info_cells(admin, out, "resp_connections", METRIC_RESP_CONNECTIONS);
	info_cells(admin, out, "refused_connections", METRIC_CONNECTIONS_REFUSED);
	info_spread(admin, out);
}

static void
info_stats(const struct admin *admin, struct buf *out)
{
	info_cells(admin, out, "http_requests", METRIC_HTTP_REQUESTS);
	info_cells(admin, out, "resp_requests", METRIC_RESP_REQUESTS);
	info_cells(admin, out, "checks_allow", METRIC_CHECKS_ALLOW);
	info_cells(admin, out, "checks_deny_policy", METRIC_CHECKS_DENY_POLICY);
	info_cells(admin, out, "checks_deny_limit", METRIC_CHECKS_DENY_LIMIT);
	info_cells(admin, out, "checks_deny_store", METRIC_CHECKS_DENY_STORE);
	info_cells(admin, out, "checks_require_approval", METRIC_CHECKS_APPROVAL);
	info_cells(admin, out, "checks_invalid", METRIC_CHECKS_INVALID);
}

static void
info_store(const struct admin *admin, struct buf *out)
{
	struct errinfo why = { 0 };
	bool ready = is_ready(admin, &why);

	buf_printf(
	    out, "store:%s\r\nstore_ready:%d\r\n", admin->options.store_shown, ready);
	if (why.text[0])
		buf_printf(out, "store_fault:%s\r\n", why.text);
	if (admin->options.memory)
		buf_printf(out, "store_counters:%lld\r\n",
		    (long long)memory_count(admin->options.memory));
	info_cells(admin, out, "store_batches", METRIC_STORE_BATCHES);
	info_cells(admin, out, "store_takes", METRIC_STORE_TAKES);
	info_cells(admin, out, "store_late", METRIC_STORE_LATE);
}

static void
info_policies(const struct admin *admin, struct buf *out)
{
	const struct policy_set *set = in_force_lock(admin->options.in_force)->policies;

	buf_printf(out, "policies:%zu\r\n", policy_set_count(set));
	for (size_t i = 0; i < policy_set_count(set); i++) {
		const struct policy *p = policy_set_at(set, i);

		buf_printf(out, "policy%zu:tools=%zu,limits=%zu,default=%d,name=", i,
		    policy_tool_count(p), policy_limit_count(p), is_default(set, p));
		/* Encoded as in keys: a name may contain anything, even line ends. */
		key_add_part(out, slice_str(policy_name(p)));
		buf_add_str(out, "\r\n");
	}
	in_force_unlock(admin->options.in_force);
}

static const struct info_section {
	const char *name;
	const char *title;
	void (*add)(const struct admin *admin, struct buf *out);
} info_sections[] = {
	{ "server", "Server", info_server },
	{ "clients", "Clients", info_clients },
	{ "stats", "Stats", info_stats },
	{ "store", "Store", info_store },
	{ "policies", "Policies", info_policies },
};

void
admin_info(void *arg, struct slice section, struct buf *out)
{
	const struct admin *admin = arg;
	bool all = section.len == 0 || slice_case_eq_str(section, "all") ||
	    slice_case_eq_str(section, "default") ||
	    slice_case_eq_str(section, "everything");
	bool first = true;

	for (size_t i = 0; i < ARRAY_LEN(info_sections); i++) {
		const struct info_section *s = &info_sections[i];

		if (!all && !slice_case_eq_str(section, s->name))
			continue;
		buf_printf(out, "%s# %s\r\n", first ? "" : "\r\n", s->title);
		s->add(admin, out);
		first = false;
	}
}

/* --- composition ---------------------------------------------------------------- */

/* Health is open, so that probes need no secret; the others may reveal names. */
static const struct http_endpoint endpoint_table[] = {
	{ "GET", "/livez", true, answer_livez, NULL },
	{ "GET", "/readyz", true, answer_readyz, NULL },
	{ "GET", "/metrics", false, answer_metrics, NULL },
	{ "GET", "/version", false, answer_version, NULL },
	{ "GET", POLICIES_PATH, false, answer_policies, NULL },
	{ "GET", POLICIES_PATH "/", false, answer_policy, NULL },
	{ NULL, NULL, false, NULL, NULL },
};
_Static_assert(ARRAY_LEN(endpoint_table) <= ENDPOINTS_MAX, "raise ENDPOINTS_MAX");

struct admin *
admin_new(const struct admin_options *options)
{
	struct admin *admin = calloc(1, sizeof(*admin));

	if (!admin)
		return NULL;
	admin->options = *options;
	admin->settled_us = clock_mono_us() + options->settled_ms * 1000;
	for (size_t i = 0; i < ARRAY_LEN(endpoint_table); i++) {
		admin->endpoints[i] = endpoint_table[i];
		admin->endpoints[i].arg = admin;
	}
	return admin;
}

void
admin_free(struct admin *admin)
{
	free(admin);
}

const struct http_endpoint *
admin_endpoints(const struct admin *admin)
{
	return admin->endpoints;
}

void
admin_set_draining(struct admin *admin)
{
	admin->draining = true;
}
