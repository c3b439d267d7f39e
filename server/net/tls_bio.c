/* SPDX-License-Identifier: ISC */
/*
 * OpenSSL's way to a connection's socket. OpenSSL's own would raise SIGPIPE and lose errno.
 *
 * A write never has to be repeated: records wait in the outbox instead. That is because
 * OpenSSL cannot answer a request for new keys while it has a record half written, and
 * because one send(2) then takes many records.
 */
#include <errno.h>
#include <sys/socket.h>

#include "net/tls_inner.h"

static int
bio_write(BIO *bio, const char *data, int len)
{
	struct conn *conn = BIO_get_data(bio);
	struct buf *outbox = &conn->tls->outbox;

	BIO_clear_retry_flags(bio);
	if (outbox->len == 0)
		loop_buf_lend(conn->loop, outbox);
	if (outbox->len < TLS_OUTBOX_MAX)
		buf_add(outbox, data, (size_t)len);
	if (outbox->len < TLS_OUTBOX_MAX && !outbox->failed)
		return len;
	conn->tls->error = ENOBUFS;
	return -1;
}

static int
bio_read(BIO *bio, char *data, int len)
{
	struct conn *conn = BIO_get_data(bio);
	ssize_t n = recv(conn->fd, data, (size_t)len, 0);

	BIO_clear_retry_flags(bio);
	conn->tls->eof = n == 0;
	if (n >= 0)
		return (int)n;
	if (conn_must_wait(errno))
		BIO_set_retry_read(bio);
	else
		conn->tls->error = errno;
	return -1;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *arg)
{
	struct conn *conn = BIO_get_data(bio);

	(void)number;
	(void)arg;
	if (command == BIO_CTRL_EOF)
		return conn->tls->eof;
	return command == BIO_CTRL_FLUSH; /* which we do by ourselves */
}

BIO_METHOD *
tls_bio_method_new(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "conn");

	if (!method || BIO_meth_set_write(method, bio_write) != 1 ||
	    BIO_meth_set_read(method, bio_read) != 1 ||
	    BIO_meth_set_ctrl(method, bio_ctrl) != 1) {
		BIO_meth_free(method);
		return NULL;
	}
	return method;
}
