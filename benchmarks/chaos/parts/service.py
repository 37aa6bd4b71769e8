"""A service that answers with its mark over HTTP, and writes in the witness that it was started.

python3 service.py WORLD WORK MARK PORT
"""

import socket
import sys

from effects import note  # type: ignore[import-not-found]  # it lies beside this file when it runs


def main() -> None:
    """Serve for ever."""
    world, work, mark, port = sys.argv[1:]
    note(world, work, "start", mark, "begin")
    with socket.create_server(("127.0.0.1", int(port)), backlog=64) as listener:
        note(world, work, "start", mark, "end")
        body = mark.encode()
        answer = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        while True:
            peer, _ = listener.accept()
            with peer:
                try:
                    peer.recv(4096)
                    peer.sendall(answer)
                except OSError:
                    continue


if __name__ == "__main__":
    main()
