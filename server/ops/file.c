/* SPDX-License-Identifier: ISC */
#include "ops/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_STEP 65536

static int
read_all(int fd, size_t max, struct buf *out, struct errinfo *ei)
{
	size_t before = out->len;

	for (;;) {
		char *room = buf_reserve(out, FILE_STEP);
		ssize_t n;

		if (!room)
			return err_set(ei, ERR_NOMEM, "out of memory");
		n = read(fd, room, FILE_STEP);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(ei, ERR_IO, "cannot read: %s", strerror(errno));
		if (n == 0)
			return 0;
		buf_commit(out, (size_t)n);
		if (out->len - before > max)
			return err_set(ei, ERR_TOOBIG, "is longer than %zu bytes", max);
	}
}

int
file_read(const char *path, size_t max, struct buf *out, struct errinfo *ei)
{
	/* Without O_NONBLOCK a FIFO would wait for somebody to write. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd < 0)
		return err_set(ei, errno == ENOENT ? ERR_NOTFOUND : ERR_IO,
		    "cannot open: %s", strerror(errno));
	if (fstat(fd, &st) < 0)
		rc = err_set(ei, ERR_IO, "cannot look at it: %s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		rc = err_set(ei, ERR_INVALID, "is %s; a regular file is needed",
		    S_ISDIR(st.st_mode) ? "a directory" : "a device, pipe or socket");
	else
		rc = read_all(fd, max, out, ei);
	close(fd);
	return rc;
}
