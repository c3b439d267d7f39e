/* SPDX-License-Identifier: ISC */
/*
 * A stream socket with deadlines. Sockets are non-blocking and close-on-exec; every
 * wait is a poll(2) that ends at `deadline_us` on ration_sock_clock_us(). Signals do
 * not end a wait, and none is raised.
 */
#ifndef CLIENT_SOCK_H
#define CLIENT_SOCK_H

#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"
#include "failure.h"

/* Microseconds on a clock that never goes back. */
int64_t ration_sock_clock_us(void);

/* Tries every address of the host in turn. Returns a socket, owned by the caller, or
 * RATION_ERR_CONNECT, RATION_ERR_NOMEM. */
int ration_sock_connect(
    const struct endpoint *to, int64_t deadline_us, struct failure *f);

/* Whether a kept connection can still be used: the peer has neither hung up nor sent
 * anything unasked. */
bool ration_sock_is_quiet(int fd);

/* Sends everything; *sent is how much the system took, also on error. 0,
 * RATION_ERR_TIMEOUT or RATION_ERR_CLOSED. */
int ration_sock_send(int fd, const char *data, size_t len, int64_t deadline_us,
    size_t *sent, struct failure *f);

/* Receives at least one byte. Returns how many, or RATION_ERR_TIMEOUT, RATION_ERR_CLOSED. */
int ration_sock_recv(
    int fd, char *out, size_t size, int64_t deadline_us, struct failure *f);

#endif
