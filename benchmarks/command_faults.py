def refusals(ground):
    yield from ()
