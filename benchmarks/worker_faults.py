def worker_rows(home):
    yield from ()
