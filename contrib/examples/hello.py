#!/usr/bin/env python3
"""hello.py [SERVICE]: an HTTP server for lust-inetd, written from lust-protocol(7) alone; one request at a time.

Started by lust-inetd it finds its pair in LUST_FD, else it registers at the door.  SPDX-License-Identifier: ISC"""
import array, os, socket, struct, sys

HELLO, REGISTERED, CONNECTIONS, DRAIN, DENIED, PAIR = range(1, 7)
REGISTER, TAKEN, DONE, REFUSED = range(65, 69)
HEADER, REGISTRATION = struct.Struct("=HHI"), struct.Struct("=HHIIIIIII64s64s")
ENTRY = struct.Struct("=QHHIIHHHH16s16sIIiII")


def receive(sock):
    """One message: its bytes, b"" at the end of file, and the descriptors that came along."""
    data, control, _, _ = sock.recvmsg(5136, 512, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, value in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(value[:len(value) // fds.itemsize * fds.itemsize])
    return data, list(fds)


def register(sock, service, generation=0, last_batch=0):
    # Capacity 1 and nothing held: HELLO is read between two connections.
    sock.send(REGISTRATION.pack(1, REGISTER, 0, generation, 1, 0, 1, 0, last_batch, service.encode(), b"hello.py"))


def say(sock, kind, ids):
    sock.send(HEADER.pack(1, kind, len(ids)) + struct.pack(f"={len(ids)}Q", *ids))


def denied(data):
    sys.exit("hello.py: refused: " + data[8:248].rstrip(b"\0").decode(errors="replace"))


def find_pair(service):
    """The pair, and the lifeline of a server that lust-inetd did not start."""
    if "LUST_FD" in os.environ:
        fd = int(os.environ["LUST_FD"])
        os.set_inheritable(fd, False)
        return socket.socket(fileno=fd), None
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.connect(os.environ.get("LUST_RUNTIME_DIR", "/run/lust-inetd") + "/register.sock")
    register(door, service)
    data, fds = receive(door)
    if data and HEADER.unpack_from(data)[1] == DENIED:
        denied(data)
    if not fds:
        sys.exit("hello.py: lust-inetd did not answer")
    return socket.socket(fileno=fds[0]), door


def serve(client, family, peer, port):
    """One request, one answer."""
    client.settimeout(10)
    request = b""
    while b"\r\n\r\n" not in request and len(request) < 8192:
        if not (more := client.recv(8192)):
            return
        request += more
    size = {socket.AF_INET: 4, socket.AF_INET6: 16}.get(family)
    who = f"{socket.inet_ntop(family, peer[:size])} {port}" if size else "a unix socket"
    body = f"hello from python, pid {os.getpid()}, to {who}\n"
    client.sendall((f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
                    f"Connection: close\r\n\r\n{body}").encode())
    client.shutdown(socket.SHUT_WR)


def main():
    service = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LUST_SERVICE", "hello")
    pair, _lifeline = find_pair(service)
    batch = 0
    while True:
        data, fds = receive(pair)
        kind, count = HEADER.unpack_from(data)[1:] if data else (DRAIN, 0)
        if kind == HELLO:
            register(pair, service, struct.unpack_from("=I", data, 8)[0], batch)
        elif kind == DENIED:
            denied(data)
        elif kind == DRAIN:
            return
        elif kind == CONNECTIONS:
            batch = struct.unpack_from("=I", data, 8)[0]
            entries = [ENTRY.unpack_from(data, 16 + i * ENTRY.size) for i in range(count)]
            if len(fds) < count:  # at RLIMIT_NOFILE: the daemon still has these
                say(pair, REFUSED, [entry[0] for entry in entries[len(fds):]])
            for entry, fd in zip(entries, fds):
                say(pair, TAKEN, [entry[0]])
                try:
                    with socket.socket(fileno=fd) as client:
                        serve(client, entry[5], entry[9], entry[6])
                except OSError:
                    pass  # the client's trouble, not ours
                say(pair, DONE, [entry[0]])
        for fd in fds[count if kind == CONNECTIONS else 0:]:
            os.close(fd)


main()
