/* SPDX-License-Identifier: ISC */
/* rationd: reads its configuration, serves, and exits with a code that says how it went. */
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/std_fds.h"
#include "ops/config.h"
#include "ops/process.h"
#include "server.h"

static void
print_errors(const struct errlist *errors)
{
	char line[1400];

	for (size_t i = 0; i < errors->n; i++) {
		err_format(&errors->items[i], line, sizeof(line));
		fprintf(
		    stderr, "%s%s\n", errors->items[i].line ? "" : "rationd: ", line);
	}
	if (errors->more > 0)
		fprintf(stderr, "rationd: and %zu more\n", errors->more);
}

static void
print_buf(struct buf *text)
{
	fputs(buf_cstr(text) ? buf_cstr(text) : "", stdout);
	buf_fini(text);
}

/* Answers --help and --version; false: neither was given. */
static bool
tell(const struct config *config)
{
	struct buf text = { 0 };

	if (config->help)
		config_help(&text);
	else if (config->version)
		buf_printf(&text, "rationd %s\n", RATION_VERSION);
	else
		return false;
	print_buf(&text);
	return true;
}

/* Turns success into failure if the output could not be written, on a full disk say. */
static int
end_output(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "rationd: cannot write to standard output\n");
	return EXIT_CODE_DEPENDENCY;
}

static int
check_only(const struct server *server)
{
	struct buf text = { 0 };

	buf_add_str(&text, "ok\n");
	server_summary(server, &text);
	print_buf(&text);
	return end_output(EXIT_CODE_OK);
}

int
main(int argc, char **argv)
{
	struct server server = { 0 };
	struct config config;
	struct errlist errors;
	int code;

	std_fds_fill();
	process_hold_reload();
	code = config_load(&config, argc, argv, environ, &errors);

	if (code == EXIT_CODE_OK && tell(&config)) {
		code = end_output(code);
		goto out;
	}
	if (code == EXIT_CODE_OK) {
		log_start((enum log_level)config.log_level,
		    (enum log_style)config.log_format);
		code = server_load(&server, &config, &errors);
	}
	if (code != EXIT_CODE_OK)
		print_errors(&errors);
	else if (config.check_config)
		code = check_only(&server);
	else
		code = server_run(&server);
out:
	server_close(&server);
	config_fini(&config);
	errlist_fini(&errors);
	return code;
}
