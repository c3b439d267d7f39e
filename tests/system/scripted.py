# SPDX-License-Identifier: ISC
"""A daemon that answers one command with given bytes, for tests of what ration makes of
them."""
import contextlib
import threading

from harness import bound_socket, patience


def bulk(*words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


def answer(verdict=1, rule="", message="", remaining=-1, reset=-1, retry=0, held="",
           flags=0):
    out = [b"*8\r\n"]
    for part in (verdict, rule, message, remaining, reset, retry, held, flags):
        if isinstance(part, int):
            out.append(b":%d\r\n" % part)
        else:
            part = part.encode()
            out.append(b"$%d\r\n%s\r\n" % (len(part), part))
    return b"".join(out)


@contextlib.contextmanager
def scripted(reply):
    """One connection: reads one command, answers with these bytes. Gives (address,
    what came), the latter filled when the client is done."""
    came = []

    def serve(listener):
        with listener.accept()[0] as conn:
            conn.settimeout(patience(10))
            came.append(conn.recv(65536))
            conn.sendall(reply)
            with contextlib.suppress(OSError):
                while conn.recv(65536):
                    pass
    with bound_socket() as listener:
        thread = threading.Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", came
        thread.join(patience(10))
