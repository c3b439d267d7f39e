/* SPDX-License-Identifier: ISC */
#include "ops/documents.h"

#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/log.h"
#include "ops/file.h"
#include "ops/policy_files.h"

#define TOKEN_FILE_MAX 65536

static struct policy_set *
load_policies(const struct config *config, struct errlist *errors)
{
	struct errinfo ei;

	if (config->policy.n > 0)
		return policy_files_load(&config->policy, config->key_prefix, errors);
	err_set(&ei, ERR_INVALID,
	    "no policy is given; name at least one document, as in "
	    "--policy examples/policies/create_connect_token.json");
	errlist_add_info(errors, "--policy", &ei);
	return NULL;
}

static void
warn_of_readers(const char *file)
{
	struct stat st;

	if (stat(file, &st) == 0 && (st.st_mode & (S_IROTH | S_IWOTH)))
		log_warn("ops", "%s: every user of this host may %s it; chmod o-rw",
		    file, st.st_mode & S_IWOTH ? "write" : "read");
}

static struct token_set *
load_tokens(const char *file, struct errlist *errors)
{
	struct token_set *tokens = NULL;
	struct buf text = { 0 };
	struct errinfo ei;

	warn_of_readers(file);
	if (file_read(file, TOKEN_FILE_MAX, &text, &ei) == 0)
		tokens = token_set_parse(text.data ? text.data : "", text.len, &ei);
	if (!tokens)
		errlist_add_info(errors, file, &ei);
	if (text.data)
		explicit_bzero(text.data, text.len);
	buf_fini(&text);
	return tokens;
}

static struct tls_context *
load_tls(const struct config *config, struct errlist *errors)
{
	struct tls_options options = { .ca_file = config->store_tls_ca,
		.cert_file = config->store_tls_cert,
		.key_file = config->store_tls_key,
		.name = config->store_tls_name };
	struct tls_context *context;
	struct errinfo ei;

	if (config->store_tls_key)
		warn_of_readers(config->store_tls_key);
	context = tls_context_load(&options, &ei);
	if (!context)
		errlist_add_info(errors, ei.file[0] ? ei.file : "--store", &ei);
	return context;
}

const char *
documents_file_at(const struct config *config, size_t i)
{
	const char *const others[] = { config->token_file, config->store_tls_ca,
		config->store_tls_cert, config->store_tls_key };

	if (i < config->policy.n)
		return config->policy.items[i];
	i -= config->policy.n;
	for (size_t k = 0; k < ARRAY_LEN(others); k++)
		if (others[k] && i-- == 0)
			return others[k];
	return NULL;
}

/* Adds to the stamp what identifies a file and its content. */
static uint64_t
add_stamp(uint64_t before, const char *file)
{
	uint64_t all[8] = { before };
	struct stat st;

	if (stat(file, &st) == 0) {
		all[1] = (uint64_t)st.st_dev;
		all[2] = (uint64_t)st.st_ino;
		all[3] = (uint64_t)st.st_size;
		all[4] = (uint64_t)st.st_mtim.tv_sec;
		all[5] = (uint64_t)st.st_mtim.tv_nsec;
		all[6] = (uint64_t)st.st_ctim.tv_sec;
		all[7] = (uint64_t)st.st_ctim.tv_nsec;
	}
	return hash_bytes(all, sizeof(all));
}

static uint64_t
stamp_from(const struct config *config, size_t first)
{
	uint64_t stamp = 0;
	const char *file;

	for (size_t i = first; (file = documents_file_at(config, i)); i++)
		stamp = add_stamp(stamp, file);
	return stamp;
}

uint64_t
documents_stamp(const struct config *config)
{
	return stamp_from(config, 0);
}

/* The files of TLS: the last in the order of documents_file_at(). */
static uint64_t
tls_stamp(const struct config *config)
{
	return stamp_from(config, config->policy.n + (config->token_file != NULL));
}

void
documents_load(
    struct documents *docs, const struct config *config, struct errlist *errors)
{
	docs->stamp = documents_stamp(config);
	docs->policies = load_policies(config, errors);
	docs->tokens =
	    config->token_file ? load_tokens(config->token_file, errors) : NULL;
	docs->tls_stamp = tls_stamp(config);
	docs->tls = config_store_is_tls(config) ? load_tls(config, errors) : NULL;
}

void
documents_fini(struct documents *docs)
{
	policy_set_unref(docs->policies);
	token_set_unref(docs->tokens);
	tls_context_unref(docs->tls);
	*docs = (struct documents){ 0 };
}
