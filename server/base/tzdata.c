/* SPDX-License-Identifier: ISC */
#include "base/tzdata.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "/usr/share/zoneinfo"
#define NAME_MAX_LEN 64
#define FILE_MAX 65536 /* the largest of tzdata's is under 4 KiB */

/* These are in the folder, too, but mean something else on every machine. */
static const char *const own[] = { "localtime", "posixrules" };

/* Without '.' there is no way out of the folder. No part may be empty. */
static bool
is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/";
	size_t len = strlen(name);

	if (len == 0 || len > NAME_MAX_LEN || strspn(name, letters) != len)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcmp(name, own[i]) == 0)
			return false;
	return name[0] != '/' && name[len - 1] != '/' && !strstr(name, "//");
}

static int
read_all(int fd, struct buf *out, const char *path, struct errinfo *ei)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(ei, ERR_NOTFOUND, "there is no such time zone");
	while (out->len <= FILE_MAX) {
		char *to = buf_reserve(out, 4096);
		ssize_t n = to ? read(fd, to, 4096) : 0;

		if (!to)
			return err_set(ei, ERR_NOMEM, "out of memory");
		if (n < 0)
			return err_set(ei, ERR_IO, "%s: %s", path, strerror(errno));
		if (n == 0)
			return 0;
		buf_commit(out, (size_t)n);
	}
	return err_set(ei, ERR_TOOBIG, "%s is too large for a time zone", path);
}

int
tzdata_read(void *arg, const char *name, struct buf *out, struct errinfo *ei)
{
	char path[sizeof(FOLDER) + NAME_MAX_LEN + 2];
	int fd, rc;

	(void)arg;
	if (!is_name(name))
		return err_set(ei, ERR_INVALID,
		    "a time zone is a name such as \"Europe/Berlin\" or \"UTC\"");
	snprintf(path, sizeof(path), FOLDER "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && access(FOLDER, X_OK) < 0)
		return err_set(ei, ERR_NOTFOUND,
		    "there are no time zones in " FOLDER "; install tzdata");
	if (fd < 0 && errno == ENOENT)
		return err_set(ei, ERR_NOTFOUND, "there is no such time zone");
	if (fd < 0)
		return err_set(ei, ERR_IO, "%s: %s", path, strerror(errno));
	rc = read_all(fd, out, path, ei);
	close(fd);
	return rc;
}
