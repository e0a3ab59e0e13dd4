#!/usr/bin/env python3
"""hello.py [SERVICE]: an HTTP server for lust-inetd, written from lust-protocol(7) alone; one request at a time.

Started by lust-inetd it finds its pair in LUST_FD, else it registers at the door.  SPDX-License-Identifier: ISC"""
import array, contextlib, os, random, socket, struct, sys, time

HELLO, REGISTERED, CONNECTIONS, DRAIN, DENIED, PAIR = range(1, 7)
REGISTER, TAKEN, DONE, REFUSED = range(65, 69)
HEADER, WORD, REGISTRATION = struct.Struct("=HHI"), struct.Struct("=HHIQ"), struct.Struct("=HHIIIIIII64s64s")


def receive(sock):
    """One message: its type (None at the end of file), its bytes, and the descriptors that came along."""
    try:
        data, control, _, _ = sock.recvmsg(5136, 512, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:  # said once, when the daemon died: what it had sent can still be read
        return receive(sock)
    fds = array.array("i")
    for level, kind, value in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(value[:len(value) // fds.itemsize * fds.itemsize])
    kind = HEADER.unpack_from(data)[1] if data else None
    if kind == DENIED and not struct.unpack_from("=I", data, 244)[0] & 1:  # 1: try again in a moment
        sys.exit("hello.py: refused: " + data[8:244].rstrip(b"\0").decode(errors="replace"))
    return kind, data, list(fds)


def say(sock, message):
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # receive() comes to the end of file
        sock.send(message)


def register(sock, service, generation=0, last_batch=0):
    # Capacity 1 and nothing held: HELLO, and the daemon's end, are read between two connections.
    say(sock, REGISTRATION.pack(1, REGISTER, 0, generation, 1, 0, 1, 0, last_batch, service.encode(), b"hello.py"))


def knock(service):
    """The pair and, to be kept open, the lifeline."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.connect(os.environ.get("LUST_RUNTIME_DIR", "/run/lust-inetd") + "/register.sock")
    register(door, service)
    _, _, fds = receive(door)
    if not fds:
        raise ConnectionError("lust-inetd let nobody in")
    return socket.socket(fileno=fds[0]), door


def knock_again(service, pause=0.1):
    """The daemon is gone.  All its servers try again, each at times of its own, until there is another one."""
    while True:
        time.sleep(random.uniform(pause / 2, pause))
        with contextlib.suppress(OSError):
            return knock(service)
        pause = min(2 * pause, 5)


def serve(client):
    """One request, one answer."""
    client.settimeout(10)
    request = b""
    while b"\r\n\r\n" not in request and len(request) < 8192:
        if not (more := client.recv(8192)):
            return
        request += more
    body = f"hello from python, pid {os.getpid()}, to {client.getpeername() or 'a unix socket'}\n"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    client.sendall((head + body).encode())
    client.shutdown(socket.SHUT_WR)


def serve_all(pair, service):
    """Until the daemon wants no more, or is gone: DRAIN or None."""
    batch, kind = 0, HELLO
    while kind not in (DRAIN, None):
        kind, data, fds = receive(pair)
        if kind == HELLO:
            register(pair, service, struct.unpack_from("=I", data, 8)[0], batch)
        elif kind == CONNECTIONS:
            batch = struct.unpack_from("=I", data, 8)[0]
            for (id,) in struct.iter_unpack("=Q72x", data[16:16 + 80 * HEADER.unpack_from(data)[2]]):
                say(pair, WORD.pack(1, TAKEN if fds else REFUSED, 1, id))
                if fds:  # else at RLIMIT_NOFILE: the daemon still has it
                    with contextlib.suppress(OSError), socket.socket(fileno=fds.pop(0)) as client:
                        serve(client)
                    say(pair, WORD.pack(1, DONE, 1, id))
        for fd in fds:
            os.close(fd)
    return kind


service = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LUST_SERVICE", "hello")
if "LUST_FD" in os.environ:
    os.set_inheritable(int(os.environ["LUST_FD"]), False)
    serve_all(socket.socket(fileno=int(os.environ["LUST_FD"])), service)
else:
    pair, lifeline = knock(service)
    while serve_all(pair, service) != DRAIN:
        pair, lifeline = knock_again(service)
