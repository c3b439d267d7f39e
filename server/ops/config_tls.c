/* SPDX-License-Identifier: ISC */
/* The part of the configuration that only means something for a store over TLS. */
#include <string.h>

#include "ops/config.h"
#include "ops/config_key.h"
#include "redis/url.h"

bool
config_store_is_tls(const struct config *config)
{
	struct redis_url url;
	bool tls =
	    config->store && redis_url_parse(config->store, &url, NULL) == 0 && url.tls;

	explicit_bzero(&url, sizeof(url));
	return tls;
}

void
config_check_tls(struct config_reader *r)
{
	const struct config *c = r->config;
	const struct {
		const char *name, *value;
	} given[] = { { "--store-tls-ca", c->store_tls_ca },
		{ "--store-tls-cert", c->store_tls_cert },
		{ "--store-tls-key", c->store_tls_key },
		{ "--store-tls-name", c->store_tls_name } };
	bool tls = config_store_is_tls(c);

	for (size_t i = 0; i < ARRAY_LEN(given) && !tls; i++) {
		struct config_place place = { given[i].name, 0, 0 };

		if (given[i].value)
			config_fault(r, &place, ERR_INVALID,
			    "the store is not reached over TLS; its URL begins with "
			    "rediss where it is");
	}
	if (!c->store_tls_cert != !c->store_tls_key)
		config_fault(r,
		    &(struct config_place){
			given[c->store_tls_cert ? 1 : 2].name, 0, 0 },
		    ERR_INVALID, "--store-tls-cert and --store-tls-key go together");
}
