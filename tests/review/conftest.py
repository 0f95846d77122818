"""Logs in both databases, and a real PostgreSQL server."""

import uuid

import pytest
from appending import open_at
from private_postgres import HOW, PrivatePostgres, find_programs


@pytest.fixture(scope="session")
def postgres():
    """Start a server; fail where there is none: a skipped test of a database would look like a passed one."""
    if find_programs() is None:
        pytest.fail(f"the tests of decisions in PostgreSQL need its server; {HOW}", pytrace=False)
    server = PrivatePostgres()
    server.start()
    yield server
    server.remove()


class Place:
    """A database and a study in it."""

    def __init__(self, name):
        self.name = name
        self.study = uuid.uuid4().hex
        self._opened = []

    def open(self, **settings):
        self._opened.append(open_at(self.name, self.study, **settings))
        return self._opened[-1]

    def close(self):
        for log in self._opened:
            log.close()


@pytest.fixture
def sqlite_place(tmp_path):
    place = Place(str(tmp_path / "reviews.sqlite"))
    yield place
    place.close()


@pytest.fixture
def postgres_place(postgres):
    place = Place(postgres.url())
    yield place
    place.close()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request):
    """Return a new study's log in each of the databases."""
    return request.getfixturevalue(f"{request.param}_place")
