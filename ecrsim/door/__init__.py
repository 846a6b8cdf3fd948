"""How requests reach the application under `ecrsim serve`: from granian's RSGI to `Request`, from `Answer` to it.

granian reads and writes sockets in Rust and calls one coroutine for each request, on one loop for each worker. Short
work is done right there; the rest goes to a few threads, and nobody who is slow has one.
"""
