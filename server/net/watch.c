/* SPDX-License-Identifier: ISC */
#include "net/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/loop_inner.h"

/* As many symbolic links as the kernel follows in one path. */
#define LINKS_MAX 40

#define NAME_EVENTS                                                             \
	(IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | \
	    IN_ATTRIB | IN_ONLYDIR)

/* A watched name in a directory. `name` is NULL for the file itself, which is watched, too:
 * a file that is mounted on its own changes without its directory noticing. */
struct watch_name {
	int wd;
	char *name;
};

struct watch_file {
	char *path;
	bool lost; /* it cannot be watched; tried again every WATCH_RETRY_US */
};

struct watch {
	struct loop *loop;
	void (*changed)(void *arg);
	void *arg;
	struct watch_file *files;
	size_t n_files;

	int fd; /* -1: no inotify */
	struct event event;
	struct watch_name *names;
	size_t n_names;
	struct loop_timer *timer;
	struct loop_timer *retry;
	int64_t first_us; /* the first change not reported yet; 0: none */
};

/* --- the names on the way to a file ------------------------------------------------ */

static bool
has_name(const struct watch *watch, int wd, const char *name)
{
	for (size_t i = 0; i < watch->n_names; i++) {
		const struct watch_name *n = &watch->names[i];

		if (n->wd == wd &&
		    (n->name && name ? strcmp(n->name, name) == 0 : n->name == name))
			return true;
	}
	return false;
}

static int
add_name(struct watch *watch, int wd, const char *name)
{
	struct watch_name *names;
	char *copy;

	if (has_name(watch, wd, name))
		return 0;
	names = realloc(watch->names, (watch->n_names + 1) * sizeof(*names));
	copy = name ? strdup(name) : NULL;
	if (names)
		watch->names = names;
	if (!names || (name && !copy)) {
		free(copy);
		return ERR_NOMEM;
	}
	watch->names[watch->n_names++] = (struct watch_name){ wd, copy };
	return 0;
}

/* A path that is being resolved: `done` has no symbolic links in it, `left` is still to be
 * looked at. */
struct walk {
	char done[PATH_MAX];
	char left[PATH_MAX];
	int links;
};

/* Takes the next name off walk->left; false: there is none. */
static bool
next_name(struct walk *walk, char name[NAME_MAX + 1])
{
	size_t skip = strspn(walk->left, "/");
	size_t len = strcspn(walk->left + skip, "/");

	if (len == 0 || len > NAME_MAX)
		return false;
	memcpy(name, walk->left + skip, len);
	name[len] = '\0';
	memmove(
	    walk->left, walk->left + skip + len, strlen(walk->left + skip + len) + 1);
	return true;
}

/* Appends the name to walk->done; false when that becomes too long. */
static bool
go_down(struct walk *walk, const char *name)
{
	size_t len = strlen(walk->done);
	const char *slash = len > 0 && walk->done[len - 1] != '/' ? "/" : "";
	int n =
	    snprintf(walk->done + len, sizeof(walk->done) - len, "%s%s", slash, name);

	return n >= 0 && (size_t)n < sizeof(walk->done) - len;
}

/* The last name is a symbolic link: its target replaces it. `before` is the length that
 * walk->done had without that name. */
static bool
follow(struct walk *walk, const char *target, size_t before)
{
	char rest[PATH_MAX];

	if (++walk->links > LINKS_MAX)
		return false;
	memcpy(rest, walk->left, sizeof(rest));
	walk->done[before] = '\0';
	if (target[0] == '/')
		strcpy(walk->done, "/");
	return snprintf(walk->left, sizeof(walk->left), "%s/%s", target, rest) <
	    (int)sizeof(walk->left);
}

/* Watches one name in the directory walk->done, and steps there. 1: go on; 0: the path ends
 * here; ERR_NOMEM. *seen says whether the directory is watched. */
static int
step(struct watch *watch, struct walk *walk, const char *name, bool *seen)
{
	char target[PATH_MAX];
	size_t before = strlen(walk->done);
	int wd = inotify_add_watch(watch->fd, before ? walk->done : ".", NAME_EVENTS);
	int why = errno;
	ssize_t n;

	*seen = wd >= 0;
	if (wd >= 0 && add_name(watch, wd, name) < 0)
		return ERR_NOMEM;
	if (!go_down(walk, name))
		return 0;
	n = readlink(walk->done, target, sizeof(target) - 1);
	if (n < 0) {
		bool there = errno == EINVAL; /* it exists, but is no link */

		errno = why;
		return there;
	}
	target[n] = '\0';
	return follow(walk, target, before);
}

/* Watches all names on the path to a file, as far as they exist. 0, ERR_NOMEM, or ERR_IO
 * when the last name's directory cannot be watched. */
static int
watch_path(struct watch *watch, const char *path)
{
	struct walk walk = { .done = "" };
	char name[NAME_MAX + 1];
	bool seen = false;
	int rc = 1;
	int wd;

	if (snprintf(walk.left, sizeof(walk.left), "%s", path) >=
	    (int)sizeof(walk.left))
		return ERR_IO;
	if (path[0] == '/')
		strcpy(walk.done, "/");
	while (rc > 0 && next_name(&walk, name))
		rc = step(watch, &walk, name, &seen);
	if (rc < 0)
		return rc;
	if (!seen)
		return ERR_IO;
	wd = rc > 0 ? inotify_add_watch(watch->fd, walk.done, IN_CLOSE_WRITE) : -1;
	return wd >= 0 ? add_name(watch, wd, NULL) : 0;
}

/* --- inotify ----------------------------------------------------------------------- */

/* Why watch_path() or open_inotify() failed; errno was 0 before. */
static const char *
watch_reason(void)
{
	return errno ? strerror(errno) : "its directory is not there";
}

static void
forget(struct watch *watch)
{
	for (size_t i = 0; i < watch->n_names; i++)
		free(watch->names[i].name);
	watch->n_names = 0;
	if (watch->fd < 0)
		return;
	event_del(&watch->event);
	close(watch->fd);
	watch->fd = -1;
}

static void on_event(evutil_socket_t fd, short what, void *arg);

/* Opens a new inotify rather than changing the old one, so that an event of what a watch
 * descriptor stood for before cannot be mistaken for one of what it stands for now. */
static int
open_inotify(struct watch *watch)
{
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd < 0)
		return ERR_IO;
	event_assign(&watch->event, watch->loop->base, watch->fd, EV_READ | EV_PERSIST,
	    on_event, watch);
	if (event_add(&watch->event, NULL) == 0)
		return 0;
	close(watch->fd);
	watch->fd = -1;
	return ERR_NOMEM;
}

static int
watch_file(struct watch *watch, struct watch_file *file)
{
	int rc = watch->fd < 0 ? open_inotify(watch) : 0;

	if (rc == 0)
		rc = watch_path(watch, file->path);
	file->lost = rc < 0;
	if (file->lost)
		loop_timer_set(watch->retry, WATCH_RETRY_US);
	return rc;
}

/* Paths may lead elsewhere now: walks all of them again. */
static void
renew(struct watch *watch)
{
	forget(watch);
	for (size_t i = 0; i < watch->n_files; i++) {
		struct watch_file *file = &watch->files[i];
		bool was_lost = file->lost;

		errno = 0;
		if (watch_file(watch, file) < 0 && !was_lost)
			log_warn("net", "%s is not watched any more: %s", file->path,
			    watch_reason());
	}
}

static bool
concerns(const struct watch *watch, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; i < watch->n_names; i++) {
		const struct watch_name *n = &watch->names[i];

		if (n->wd != event->wd)
			continue;
		if (!n->name || (event->len > 0 && strcmp(n->name, event->name) == 0))
			return true;
	}
	return false;
}

static void
note_change(struct watch *watch)
{
	int64_t now_us = clock_mono_us();
	int64_t delay_us = WATCH_QUIET_US;

	if (watch->first_us == 0)
		watch->first_us = now_us;
	if (watch->first_us + WATCH_PATIENCE_US < now_us + delay_us)
		delay_us = watch->first_us + WATCH_PATIENCE_US - now_us;
	loop_timer_set(watch->timer, delay_us);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	_Alignas(struct inotify_event) char events[4096];
	struct watch *watch = arg;
	bool ours = false;
	ssize_t n;

	(void)what;
	/* One read per turn: a busy directory must not keep clients waiting. */
	n = read(fd, events, sizeof(events));
	for (ssize_t at = 0; at < n;) {
		const void *p = events + at;
		const struct inotify_event *event = p;

		ours = ours || concerns(watch, event);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	if (ours)
		note_change(watch);
}

static void
on_timer(void *arg)
{
	struct watch *watch = arg;

	watch->first_us = 0;
	/* Watching comes before reading, so that a change in between is seen. */
	renew(watch);
	watch->changed(watch->arg);
}

/* Tries again what could not be watched, for want of a descriptor, say. */
static void
on_retry(void *arg)
{
	struct watch *watch = arg;
	bool found = false;

	for (size_t i = 0; i < watch->n_files; i++) {
		struct watch_file *file = &watch->files[i];

		if (!file->lost || watch_file(watch, file) < 0)
			continue;
		log_info("net", "%s is watched again", file->path);
		found = true;
	}
	/* It may have changed unseen. */
	if (found)
		note_change(watch);
}

/* --- the contract ------------------------------------------------------------------ */

struct watch *
watch_new(struct loop *loop, void (*changed)(void *arg), void *arg)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->fd = -1;
	watch->loop = loop;
	watch->changed = changed;
	watch->arg = arg;
	watch->timer = loop_timer_new(loop, on_timer, watch);
	watch->retry = loop_timer_new(loop, on_retry, watch);
	if (!watch->timer || !watch->retry) {
		watch_free(watch);
		return NULL;
	}
	return watch;
}

void
watch_free(struct watch *watch)
{
	if (!watch)
		return;
	forget(watch);
	free(watch->names);
	for (size_t i = 0; i < watch->n_files; i++)
		free(watch->files[i].path);
	free(watch->files);
	loop_timer_free(watch->timer);
	loop_timer_free(watch->retry);
	free(watch);
}

int
watch_add(struct watch *watch, const char *path, struct errinfo *ei)
{
	struct watch_file *files =
	    realloc(watch->files, (watch->n_files + 1) * sizeof(*files));
	char *copy = strdup(path);
	int rc;

	if (files)
		watch->files = files;
	if (!files || !copy) {
		free(copy);
		return err_set(ei, ERR_NOMEM, "out of memory");
	}
	files[watch->n_files] = (struct watch_file){ .path = copy };
	errno = 0;
	rc = watch_file(watch, &files[watch->n_files++]);
	if (rc == ERR_NOMEM)
		return err_set(ei, rc, "out of memory");
	if (rc < 0)
		return err_set(ei, rc, "cannot be watched: %s", watch_reason());
	return 0;
}
